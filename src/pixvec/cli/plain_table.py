"""Rows -> an aligned table of text, in which whatever strangers wrote is shown and does nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pixvec.cli.console import visible

MAX_CELL_CHARS: Final = 72


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns under their names; long cells are cut."""
    lines = [[_cut(visible(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 1] + "…"
