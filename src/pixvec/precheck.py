"""What must be known of a file before Pillow opens it, because opening alone could cost seconds or gigabytes.

In: the bytes of a file in a format that has such traps. Out: a fact or an error. It must not know more of a file than
its outline. It goes through that as Pillow 13.0 does (``GifImagePlugin.py``: ``_seek``; ``JpegImagePlugin.py``:
``_open``; ``WebPImagePlugin.py``: ``_get_size``): a file that the two read differently could pass unseen.
"""

from __future__ import annotations

import re
import struct
from typing import Final

from pixvec.errors import ImageError

_MAX_GIF_HEAD: Final = 1 << 20
_GIF_COMMENT: Final = b"\xfe"
_GIF_APPLICATION: Final = b"\xff"

_JPEG_MARKER: Final = re.compile(rb"\xff[\x01-\xfe]")
_WITHOUT_LENGTH: Final = re.compile(rb"\xff[\xc8\xd0-\xd9\xf0-\xfd]")
_START_OF_SCAN: Final = b"\xff\xda"
_APP1: Final = b"\xff\xe1"
_MAX_JPEG_STEPS: Final = 1 << 16
_MAX_EXIF_SEGMENTS: Final = 64
_MAX_EXIF_BYTES: Final = 1 << 20

_PNG_SIGNATURE_BYTES: Final = 8
_MAX_PNG_CHUNKS: Final = 1 << 16
"""libpng writes pixels in chunks of 8 KiB; the largest body would hold 4,096 of them."""


def first_frame_end(body: bytes) -> tuple[int, int]:
    """Return how far to the right and down a GIF's first frame reaches: opening it may fill that many pixels.

    Raises
    ------
    ImageError
        No frame begins where one must, or within the first MiB.
    """
    head = body[:_MAX_GIF_HEAD]
    has_palette, palette_bits = head[10] >> 7, (head[10] & 7) + 1
    at = 13 + has_palette * (3 << palette_bits)
    while head.startswith(b"!", at):
        at = _extension_end(head, at)
    if not head.startswith(b",", at):
        raise ImageError("corrupt_image", f"a GIF with neither a frame nor an extension at byte {at:,}")
    left, top, width, height = struct.unpack_from("<4H", head, at + 1)
    return left + width, top + height


def _extension_end(head: bytes, at: int) -> int:
    """Find the end of an extension: ``!``, its kind, parts that begin with their length, the last of them empty.

    Pillow does not look for the last one in the first part of any but a comment, nor in the second of a loop count.
    """
    kind, at = head[at + 1 : at + 2], at + 2
    if kind != _GIF_COMMENT:
        start, at = at + 1, _part_end(head, at)
        if kind == _GIF_APPLICATION and head[start:at].startswith(b"NETSCAPE2.0"):
            at = _part_end(head, at)
    while (end := _part_end(head, at)) > at + 1:
        at = end
    return end


def _part_end(head: bytes, at: int) -> int:
    return at + 1 + int.from_bytes(head[at : at + 1])


def check_exif(body: bytes) -> None:
    """Refuse a JPEG with so many segments that Pillow takes seconds: it copies all Exif data for each segment of it.

    Raises
    ------
    ImageError
        Before the first scan stand too many Exif segments or bytes of them, too many segments or stray bytes; or no
        scan comes.
    """
    lengths = _exif_lengths(body)
    if len(lengths) > _MAX_EXIF_SEGMENTS or sum(lengths) > _MAX_EXIF_BYTES:
        raise ImageError(
            "corrupt_image", f"a JPEG with {sum(lengths):,} bytes of Exif data in {len(lengths):,} segments"
        )


def _exif_lengths(body: bytes) -> list[int]:
    """Measure the Exif segments before a JPEG's first scan, in few enough steps: Pillow takes stray bytes singly."""
    lengths: list[int] = []
    at = n_steps = 0
    while marker := _JPEG_MARKER.search(body, at):
        n_steps += 1 + marker.start() - at
        if n_steps > _MAX_JPEG_STEPS:
            break
        if marker[0] == _START_OF_SCAN:
            return lengths
        at = marker.end()
        if not _WITHOUT_LENGTH.match(marker[0]):
            length = int.from_bytes(body[at : at + 2])
            if marker[0] == _APP1 and body[at + 2 : at + length].startswith(b"Exif\0\0"):
                lengths.append(length)
            at += length
    raise ImageError("corrupt_image", f"a JPEG with no picture behind {n_steps:,} segments and stray bytes")


def check_chunks(body: bytes) -> None:
    """Refuse a PNG in so many chunks that Pillow, which takes them singly, would need seconds.

    Raises
    ------
    ImageError
        There are more than `_MAX_PNG_CHUNKS` before the end, whatever they hold.
    """
    at = _PNG_SIGNATURE_BYTES
    for _ in range(_MAX_PNG_CHUNKS):
        if body[at + 4 : at + 8] in {b"IEND", b""}:
            return
        at += 12 + int.from_bytes(body[at : at + 4])
    raise ImageError("corrupt_image", f"a PNG in more than {_MAX_PNG_CHUNKS:,} chunks")


def webp_size(body: bytes) -> tuple[int, int]:
    """Return the width and height that a WebP claims: opening it makes room for the pixels of two frames.

    0 by 0 where it makes no sense: that is the decoder's to refuse.
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
