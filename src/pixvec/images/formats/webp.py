"""A WebP -> its size, the same file with the length that it has, and where the pixels of its first frame end.

In: the bytes of a WebP. Out: facts, or bytes for Pillow. It must not decode a pixel, nor look into its chunks further
than that takes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

_HEAD: Final = 12  # RIFF, the length of what follows, WEBP
_CHUNK_HEAD: Final = 8
_MAX_CHUNKS: Final = 1 << 16  # of an animation, one for each frame
_EXIF_FLAG: Final = 0x08
_PIXELS: Final = frozenset({b"VP8 ", b"VP8L"})
_N_FRAME_BYTES: Final = 16  # what an ANMF chunk says of its frame before the chunks of that
_Place: TypeAlias = tuple[bytes, int, int]
"""A chunk's name, where its data begins, and where it ends."""


def webp_size(body: bytes) -> tuple[int, int]:
    """Return the width and height that a WebP claims: opening it makes room for the pixels of two frames.

    0 by 0 where it makes no sense: that is the decoder's to refuse. As Pillow 13.0 reads it (``WebPImagePlugin.py``:
    ``_get_size``): a file that the two read differently could pass unseen.
    """
    width = height = 0
    match body[12:16]:
        case b"VP8 " if body[23:26] == b"\x9d\x01\x2a":
            width, height = (number & 0x3FFF for number in struct.unpack_from("<2H", body, 26))
        case b"VP8L" if body[20:21] == b"\x2f":
            bits = int.from_bytes(body[21:25], "little")
            width, height = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            width, height = (int.from_bytes(body[at : at + 3], "little") + 1 for at in (24, 27))
    return width, height


def with_true_length(body: bytes) -> bytes:
    """Correct the length of a WebP that claims more bytes than there are, although it lacks none of its chunks.

    One whose last chunk is cut off, or that announces Exif data and has none, is left as it is: the decoder refuses it.
    """
    n_bytes = len(body) - _CHUNK_HEAD
    if int.from_bytes(body[4:8], "little") <= n_bytes:
        return body
    chunks = list(_chunks(body, _HEAD, len(body)))
    is_whole = bool(chunks) and all(end <= len(body) for _, _, end in chunks)
    is_exif_missing = body[12:16] == b"VP8X" and body[20] & _EXIF_FLAG and all(name != b"EXIF" for name, _, _ in chunks)
    return body[:4] + n_bytes.to_bytes(4, "little") + body[8:] if is_whole and not is_exif_missing else body


def pixels_end(body: bytes) -> int | None:
    """Find where the compressed pixels of the first frame end; None where there are none."""
    chunks = _chunks(body, _HEAD, len(body))
    return next((end for name, at, end in _flattened(body, chunks) if name in _PIXELS and end <= len(body)), None)


def _flattened(body: bytes, chunks: Iterable[_Place]) -> Iterator[_Place]:
    """Put the chunks of each frame of an animation in its place."""
    for name, at, end in chunks:
        if name == b"ANMF":
            yield from _chunks(body, at + _N_FRAME_BYTES, min(end, len(body)))
        else:
            yield name, at, end


def _chunks(body: bytes, at: int, end: int) -> Iterator[_Place]:
    """Walk chunks: the name of each, where its data begins, and where it ends."""
    for _ in range(_MAX_CHUNKS):
        if at + _CHUNK_HEAD > end:
            return
        n_bytes = int.from_bytes(body[at + 4 : at + _CHUNK_HEAD], "little")
        start = at + _CHUNK_HEAD
        yield body[at : at + 4], start, start + n_bytes
        at = start + n_bytes + n_bytes % 2
