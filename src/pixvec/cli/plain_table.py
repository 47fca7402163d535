"""Rows -> an aligned table of text, in which whatever strangers wrote is shown and does nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, Final

from pixvec.cli.console import visible

MAX_CELL_CHARS: Final = 72


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns under their names; long cells are cut."""
    lines = [[_cut(visible(cell)) for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def plain_cell(cell: Any) -> Any:
    """Say a cell in JSON's types: bytes as hex, what is no number as null, whatever else as Python prints it."""
    match cell:
        case dict():
            return {name: plain_cell(part) for name, part in cell.items()}
        case list():
            return [plain_cell(part) for part in cell]
        case bytes():
            return cell.hex()
        case float():
            return cell if math.isfinite(cell) else None
        case None | bool() | int() | str():
            return cell
    return str(cell)


def plain_text(cell: Any) -> str:
    """Say a cell as text: as it is, or in JSON."""
    if isinstance(cell, str):
        return cell
    return "" if cell is None else json.dumps(plain_cell(cell), ensure_ascii=False)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_CELL_CHARS else text[: MAX_CELL_CHARS - 1] + "…"
