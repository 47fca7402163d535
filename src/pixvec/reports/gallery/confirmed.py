"""Paths of files that a table names in; out, those whose files are the ones that were embedded.

A table may be a stranger's, who writes any path into it. Its pixels are shown only if the table tells the hash of the
file: so the page shows no file that the table's author did not have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pixvec.errors import FetchError, RowError
from pixvec.fetch import looks_like_url, parse_path, read_file
from pixvec.tables.result_columns import read_sha256


def confirm_files(
    cells: Sequence[object], facts: Sequence[object], folder: Path, *, max_bytes: int
) -> list[object | RowError]:
    """Put an error in the place of each path whose file in `folder` has another hash than the facts tell."""
    return [_confirmed(cell, fact, folder, max_bytes) for cell, fact in zip(cells, facts, strict=True)]


def names_file(cell: object) -> bool:
    """Tell whether a cell is a path, or a file: URL."""
    try:
        return isinstance(cell, str) and bool(cell) and parse_path(cell) is not None and not looks_like_url(cell)
    except FetchError:
        return False


def _confirmed(cell: object, fact: object, folder: Path, max_bytes: int) -> object | RowError:
    if not isinstance(cell, str) or not cell:
        return cell
    try:
        if (path := parse_path(cell)) is None:
            return cell
        body = read_file(path, folder, max_bytes=max_bytes)
    except FetchError as error:
        return error
    if hashlib.sha256(body).digest() == read_sha256(fact):
        return cell
    return FetchError("file_not_found", f"no file in {folder.name} has the hash that the table tells: it changed")
