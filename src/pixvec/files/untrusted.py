"""Files and JSON that strangers wrote -> bytes and values, read within bounds.

In: a path or a text. Out: an open regular file, its bytes, or values in which no number and no nesting is out of
proportion.
"""

from __future__ import annotations

import io
import json
import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

MAX_JSON_BYTES: Final = 1 << 20
"""Of what a file says of itself, which is a few kilobytes."""
_MAX_DEPTH: Final = 32
_MAX_INTEGER_CHARS: Final = 20
"""Of 64 bits, with a sign. To read an integer takes time by the square of its length."""


class IrregularFileError(OSError):
    """A path leads to a folder, a pipe, a socket or a device."""


def open_regular(path: Path, *, follow: bool = True) -> io.BufferedReader:
    """Open a file for reading; whatever is no regular file is refused, without waiting for it.

    Parameters
    ----------
    path
        What the user named, or a name that pixvec makes up.
    follow
        Whether it may be a link, which only what the user named may.

    Raises
    ------
    OSError
        When there is none, or it is not regular, or may not be read.
    """
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY | (0 if follow else os.O_NOFOLLOW))
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise IrregularFileError(0, "it is not a regular file")
    return os.fdopen(fd, "rb")


def read_regular(path: Path, *, max_bytes: int, follow: bool = True) -> bytes:
    """Read a regular file to its end; `follow` as in `open_regular`.

    Raises
    ------
    OSError
        When it cannot be opened or read.
    ValueError
        When it holds more than `max_bytes`.
    """
    with open_regular(path, follow=follow) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it holds more than {max_bytes:,} bytes")
    return content


def parse_json(
    text: str | bytes,
    *,
    max_bytes: int = MAX_JSON_BYTES,
    any_number: bool = False,
    pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] = dict,
) -> Any:
    """Parse JSON of bounded length and depth whose numbers are finite, integers within 64 bits.

    Parameters
    ----------
    text
        What a stranger wrote.
    max_bytes
        How long it may be.
    any_number
        Whether numbers may be any, since the caller bounds each where it can say what it is.
    pairs
        Makes a dict of the keys and values of an object.

    Raises
    ------
    ValueError
        When it is not JSON, or more than that.
    """
    if len(text) > max_bytes:
        raise ValueError(f"it is longer than {max_bytes:,} bytes")
    try:
        value = json.loads(text, object_pairs_hook=pairs, **{} if any_number else _BOUNDED)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if _depth(value) > _MAX_DEPTH:
        raise ValueError("it is nested too deeply")
    return value


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_CHARS:
        raise ValueError(f"a number in it has {len(digits):,} digits")
    return int(digits)


def _float(digits: str) -> float:
    return number if math.isfinite(number := float(digits)) else _refuse(digits)


def _refuse(number: str) -> NoReturn:
    raise ValueError(f"a number in it is not finite: {number:.40}")


_BOUNDED: Final[dict[str, Any]] = {"parse_int": _integer, "parse_float": _float, "parse_constant": _refuse}


def _depth(value: Any) -> int:
    """Count how deep containers are nested, level by level, since a recursion has bounds of its own."""
    depth, level = 0, [value]
    while level := [container for container in level if isinstance(container, dict | list)]:
        depth += 1
        if depth > _MAX_DEPTH:
            break
        level = [
            inner for container in level for inner in (container.values() if isinstance(container, dict) else container)
        ]
    return depth
