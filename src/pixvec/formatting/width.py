"""How many cells of a terminal a text takes, and texts cut or wrapped to a number of cells.

The standard library's tables are enough: what they leave out, long sequences of emoji, terminals do not agree on.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_EMOJI_STYLE: Final = "\ufe0f"
"""Makes the character before it an image, two cells wide."""
_SKIN_TONES: Final = range(0x1F3FB, 0x1F400)
_INNER_JAMO: Final = range(0x1160, 0x1200)
"""Vowels and final consonants of Korean, which stand in the cell of the consonant before them."""
_LABEL: Final = re.compile(r" *(?:\S+ {2,})?")


def width(text: str) -> int:
    """Count the cells of a text without control characters."""
    return sum(_widths(text))


def fitted(text: str, n_cells: int) -> str:
    """Cut a text to a number of cells, with an ellipsis where something is missing."""
    if width(text) <= n_cells:
        return text
    room, kept = n_cells - 1, 0
    for cells in _widths(text):
        room -= cells
        if room < 0:
            break
        kept += 1
    return text[:kept] + "…"


def wrapped(line: str, n_cells: int) -> str:
    """Break a line between words; what follows stands below what follows its label, or two cells in."""
    if width(line) <= n_cells:
        return line
    label = _LABEL.match(line)
    start = label.end() if label else 0
    indent = " " * (start if 0 < start < n_cells // 2 else 2)
    lines = [line[:start]]
    for word in re.findall(r"\S+ *", line[start:]):
        if width(lines[-1] + word.rstrip()) > n_cells and lines[-1].strip():
            lines.append(indent)
        lines[-1] += word
    return "\n".join(one.rstrip() for one in lines)


def _widths(text: str) -> Iterator[int]:
    """Give what each character adds."""
    before = 0
    for character in text:
        cells = _cells(character, before)
        yield cells
        before = cells or before


def _cells(character: str, before: int) -> int:
    if character == _EMOJI_STYLE:
        return 1 if before == 1 else 0
    if ord(character) in _INNER_JAMO or unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    if ord(character) in _SKIN_TONES and before == 2:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
