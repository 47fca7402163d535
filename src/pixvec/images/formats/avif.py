"""An AVIF -> the same file as the decoder takes it, and where its compressed pixels end.

In: the bytes of an AVIF. Out: bytes for Pillow, or a fact. It must not decode a pixel, nor look into more boxes than
that takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import Final

_MAX_BOXES: Final = 1 << 10  # three are usual
_MAX_META_BYTES: Final = 1 << 20  # a thousand are usual
_BOX_HEAD: Final = 8
_LONG_BOX_HEAD: Final = 16
_TO_THE_END, _LONG = 0, 1
"""What stands in place of a box's length, where that is left to the file or follows in eight bytes."""
_EXIF_ITEM: Final = re.compile(rb"(infe(?:\x02.{5}|\x03.{7})..)Exif", re.DOTALL)
"""An entry in the table of items: version, flags, number (longer in version 3), protection, type."""
_PROPERTIES: Final = re.compile(rb"(\0\0..ipma[\0\1])\0(\0[\0\1])", re.DOTALL)
"""The head of a table of properties: length, name, version, flags, of which the last bit alone means a thing."""
_MAX_TABLES: Final = 256


def plain_avif(body: bytes) -> bytes:
    """Change what would cost an image whose pixels are all there, byte for byte in its place.

    Exif data is renamed, so that the decoder reads past it: broken Exif is an error to it, and the container says how
    the image is turned. Tables of properties are told apart by their flags: early encoders wrote one for each item,
    alike, and browsers show their images.
    """
    at, end = next(((at, end) for name, at, end in _boxes(body) if name == b"meta"), (0, 0))
    if end - at > _MAX_META_BYTES:
        return body
    numbers = count()
    meta = _PROPERTIES.sub(lambda head: b"%b%c%b" % (head[1], next(numbers) % _MAX_TABLES, head[2]), body[at:end])
    meta = _EXIF_ITEM.sub(rb"\1free", meta)
    return body[:at] + meta + body[end:] if meta != body[at:end] else body


def pixels_end(body: bytes) -> int | None:
    """Find where the last box of compressed pixels ends; None where there is none."""
    ends = [end for name, _, end in _boxes(body) if name == b"mdat"]
    return ends[-1] if ends else None


def _boxes(body: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Walk the outermost boxes: the name of each, where its data begins and where it ends, within the file."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + _BOX_HEAD > len(body):
            return
        n_bytes, n_head = int.from_bytes(body[at : at + 4]), _BOX_HEAD
        if n_bytes == _LONG:
            n_bytes, n_head = int.from_bytes(body[at + _BOX_HEAD : at + _LONG_BOX_HEAD]), _LONG_BOX_HEAD
        end = len(body) if n_bytes == _TO_THE_END else min(at + max(n_bytes, n_head), len(body))
        yield body[at + 4 : at + _BOX_HEAD], at + n_head, end
        at = end
