"""Is there anything in a column that can be fetched? Asked before any work, so that a wrong column costs none."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.fetch import looks_like_url
from pixvec.pipeline.settings import Settings

MAX_CELLS: Final = 100_000
"""Cells that are looked at before a column is taken for one without URLs."""

_HOLDS_SCHEME: Final = re.compile(r"(data|file):|[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_PATH: Final = re.compile(r".*([/\\]|\.\w{2,5}$)", re.DOTALL)


def check_holds_urls(cells: Iterable[object], column: str, settings: Settings) -> None:
    """Check that a column holds something that may be fetched, or images themselves; empty cells say nothing.

    What is no URL that can be requested may be one that was meant: that is for its row to say.

    Raises
    ------
    UsageError
        If all cells, of the first hundred thousand, are texts that are no URLs.
    """
    n_texts = 0
    for cell in islice(cells, MAX_CELLS):
        if cell is None or (isinstance(cell, str) and not cell.strip()):
            continue
        if not isinstance(cell, str) or _is_meant_as_url(cell, settings.files_under):
            return
        n_texts += 1
    if n_texts:
        ways_on = (
            "name another with `column`"
            if settings.files_under
            else "name another with `column`; for local files see `files_under`"
        )
        raise UsageError(f"column {column!r} holds no URLs: its first {n_texts:,} cells are other texts; {ways_on}")


def _is_meant_as_url(text: str, files_under: str | Path | None) -> bool:
    if looks_like_url(text) or _HOLDS_SCHEME.search(text):
        return True
    if files_under is None:
        return False
    # os.path takes any text; a Path raises for some.
    return bool(_PATH.match(text)) or os.path.isfile(os.path.join(files_under, text))  # noqa: PTH113, PTH118
