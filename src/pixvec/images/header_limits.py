"""What must be known of a file before Pillow opens it, because opening alone could cost seconds or gigabytes.

In: the bytes of a file in a format that has such traps. Out: a fact or an error. It goes through that as Pillow 13.0
does (``GifImagePlugin.py``: ``_seek``): a file that the two read differently could pass unseen.
"""

from __future__ import annotations

import struct
from typing import Final

from pixvec.errors import ImageError

_MAX_GIF_HEAD: Final = 1 << 20
_STRAY: Final = b"\0"  # one more than ends an extension: some encoders write it, and browsers read past it
_GIF_COMMENT: Final = b"\xfe"
_GIF_APPLICATION: Final = b"\xff"


def first_frame_end(body: bytes) -> tuple[int, int]:
    """Return how far to the right and down a GIF's first frame reaches: opening it may fill that many pixels.

    Raises
    ------
    ImageError
        No frame begins where one must, or within the first MiB.
    """
    left, top, width, height = struct.unpack_from("<4H", body, _first_frame_at(body) + 1)
    return left + width, top + height


def check_gif_end(body: bytes) -> None:
    """Refuse a GIF whose first frame is followed by zeros alone: they took the place of its last pixels, too.

    The decoder takes those for colours. Zeros in place of more than 255 bytes end the pixels, which it notices.

    Raises
    ------
    ImageError
        Nothing else follows.
    """
    if not body.endswith(b"\0\0"):
        return
    at = _first_frame_at(body)
    has_palette, palette_bits = body[at + 9] >> 7, (body[at + 9] & 7) + 1
    at += 11 + has_palette * (3 << palette_bits)
    while (end := _part_end(body, at)) > at + 1:
        at = end
    if not body[at:].strip(b"\0"):
        raise ImageError("corrupt_image", "a GIF that ends in zeros instead of pixels")


def _first_frame_at(body: bytes) -> int:
    head = body[:_MAX_GIF_HEAD]
    has_palette, palette_bits = head[10] >> 7, (head[10] & 7) + 1
    at = 13 + has_palette * (3 << palette_bits)
    while head.startswith((b"!", _STRAY), at):
        at = at + 1 if head.startswith(_STRAY, at) else _extension_end(head, at)
    if not head.startswith(b",", at):
        raise ImageError("corrupt_image", f"a GIF with neither a frame nor an extension at byte {at:,}")
    return at


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
