"""A ``data:`` URL -> the bytes in it, by the rules of https://fetch.spec.whatwg.org/#data-urls."""

from __future__ import annotations

import binascii
import re
from typing import Final
from urllib.parse import unquote_to_bytes

from pixvec.errors import FetchError

_SCHEME: Final = re.compile(r"\s*data:", re.IGNORECASE)
_BASE64: Final = re.compile(r"; *base64 *\Z", re.IGNORECASE)
_WHITE_SPACE: Final = b"\t\n\f\r "
_MAX_CHARS_PER_BYTE: Final = 3
# unquote_to_bytes takes a hundred times a text's memory: escapes are undone some thousands at a time.
_SLICE: Final = re.compile(r"(?:%[0-9a-f]{2}|.){1,65536}", re.IGNORECASE | re.DOTALL)


def is_data_url(cell: str) -> bool:
    """Tell whether a cell holds its image itself."""
    return _SCHEME.match(cell) is not None


def read_data_url(cell: str, *, max_bytes: int) -> bytes:
    """Take the bytes out of a cell for which `is_data_url` is true.

    Raises
    ------
    FetchError
        ``invalid_url`` where there are none to be read, ``too_many_bytes`` where there are more than `max_bytes`.
    """
    head, comma, text = cell.partition(",")
    if not comma:
        raise FetchError("invalid_url", "a comma must stand before the data of a data: URL")
    # Before anything is copied.
    if len(text) > _MAX_CHARS_PER_BYTE * max_bytes:
        raise _too_many(max_bytes)
    try:
        data = _unescape(text.partition("#")[0])
        body = _from_base64(data) if _BASE64.search(head) else data
    except ValueError:
        raise FetchError("invalid_url", "the data of a data: URL cannot be read as base64") from None
    if len(body) > max_bytes:
        raise _too_many(max_bytes)
    return body


def _unescape(text: str) -> bytes:
    if "%" not in text:
        return text.encode()
    return b"".join(unquote_to_bytes(piece[0]) for piece in _SLICE.finditer(text))


def _from_base64(data: bytes) -> bytes:
    digits = data.translate(None, _WHITE_SPACE).rstrip(b"=")
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4), strict_mode=True)


def _too_many(max_bytes: int) -> FetchError:
    return FetchError("too_many_bytes", f"the data is larger than {max_bytes:,} bytes")
