"""An AVIF -> the same file without its Exif data, and where its compressed pixels end.

In: the bytes of an AVIF. Out: bytes for Pillow, or a fact. It must not decode a pixel, nor look into more boxes than
that takes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_MAX_BOXES: Final = 1 << 10  # three are usual
_BOX_HEAD: Final = 8
_LONG_BOX_HEAD: Final = 16
_TO_THE_END, _LONG = 0, 1
"""What stands in place of a box's length, where that is left to the file or follows in eight bytes."""
_EXIF_ITEM: Final = re.compile(rb"(infe(?:\x02.{5}|\x03.{7})..)Exif", re.DOTALL)
"""An entry in the table of items: version, flags, number (longer in version 3), protection, type."""


def without_exif(body: bytes) -> bytes:
    """Make the decoder read past Exif data: broken, it costs the image, and the container says how that is turned."""
    at, end = next(((at, end) for name, at, end in _boxes(body) if name == b"meta"), (0, 0))
    meta, n_items = _EXIF_ITEM.subn(rb"\1free", body[at:end])
    return body[:at] + meta + body[end:] if n_items else body


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
