"""Text whose writing runs from right to left, or that says it does -> text that leaves its neighbours as they are.

Source of the marks and of what closes them: Unicode Standard Annex 9, sections 2.1 to 2.5.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, Final
from urllib.parse import quote

_FIRST_STRONG_ISOLATE, _POP_ISOLATE, _POP_EMBEDDING = "\u2068", "\u2069", "\u202c"
_ISOLATES: Final = frozenset("\u2066\u2067\u2068")
_EMBEDDINGS: Final = frozenset("\u202a\u202b\u202d\u202e")
_MARKS: Final = frozenset("\u200e\u200f\u061c")
_RUNS_OTHERWISE: Final = frozenset(["R", "AL", "AN", "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"])
_ASCII: Final = "".join(map(chr, range(0x80)))
_PARAGRAPH_ENDS: Final = re.compile("([\n\r\x1c-\x1e\x85\u2029])")
"""A paragraph ends all that is open in it."""


def isolated(value: Any) -> Any:
    """Isolate a text in which anything runs from right to left; whatever else comes goes back as it is.

    It is put between marks that keep its direction from the text around it. What it opens is closed before its end,
    and what closes nothing is left out, since it would close what is around it.
    """
    if type(value) is not str or value.isascii() or not any(map(_runs_otherwise, value)):
        return value
    return "".join(map(_isolated_line, _PARAGRAPH_ENDS.split(value)))


def ascii_url(url: str) -> str:
    """Escape what a URL holds beyond ASCII, as browsers do, so that `isolated` leaves the link as it is."""
    return quote(url, safe=_ASCII, errors="replace")


def _runs_otherwise(character: str) -> bool:
    return character in _MARKS or unicodedata.bidirectional(character) in _RUNS_OTHERWISE


def _isolated_line(line: str) -> str:
    if not any(map(_runs_otherwise, line)):
        return line
    return f"{_FIRST_STRONG_ISOLATE}{_balanced(line)}{_POP_ISOLATE}"


def _balanced(line: str) -> str:
    kept: list[str] = []
    closers: list[str] = []
    for character in line:
        if character in _ISOLATES | _EMBEDDINGS:
            closers.append(_POP_ISOLATE if character in _ISOLATES else _POP_EMBEDDING)
        elif character == _POP_ISOLATE:
            if character not in closers:
                continue
            while closers.pop() != character:  # an isolate closes what was opened in it
                pass
        elif character == _POP_EMBEDDING:
            if closers[-1:] != [character]:
                continue
            closers.pop()
        kept.append(character)
    return "".join([*kept, *reversed(closers)])
