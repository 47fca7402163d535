"""Names in messages: shown so that a terminal obeys nothing in them, with the right ones beside the wrong."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from itertools import islice

_MOST_CHARS = 60
_MOST_NAMES = 10
_MOST_COMPARED = 2000
"""Known names that an unknown one is compared with, which takes a tenth of a second."""


def cut(text: str) -> str:
    """Cut a text to a readable length."""
    return text if len(text) <= _MOST_CHARS else text[: _MOST_CHARS - 1] + "…"


def shown(name: str) -> str:
    """Quote a name."""
    return repr(cut(name))


def instead(name: str, known: Collection[str]) -> str:
    """End a message about an unknown name with the nearest one that is known, or with those that there are."""
    by_folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(name.casefold(), list(islice(by_folded, _MOST_COMPARED)), n=1)
    if near:
        return f"; did you mean {shown(by_folded[near[0]])}?"
    return f"; expected one of {listed(known)}" if known else "; there are none"


def listed(names: Collection[str]) -> str:
    """List names, the first of many."""
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(map(shown, islice(names, _MOST_NAMES)))}{more}"


def unknown(kind: str, name: str, known: Collection[str]) -> str:
    """Say that there is no step, column … of that name."""
    return f"there is no {kind} {shown(name)}{instead(name, known)}"


def meant(name: str, known: Collection[str]) -> str:
    """Give the hint about the known name that a rejected one is nearly; an empty one where none is near."""
    hint = instead(name, known)
    return hint if hint.endswith("?") else ""
