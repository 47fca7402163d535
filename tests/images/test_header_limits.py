"""Files that would keep Pillow busy are refused before it opens them; they are walked as Pillow walks them."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import GifImagePlugin

from pixvec.errors import ImageError
from pixvec.images.header_limits import first_frame_end

SCREEN = b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0)


def extension(kind: bytes, parts: list[bytes]) -> bytes:
    return b"!" + kind + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def frame(left: int, top: int, width: int, height: int) -> bytes:
    return b"," + struct.pack("<4HB", left, top, width, height, 0) + b"\x02\0;"


@pytest.mark.parametrize(
    "head",
    [
        b"x" + frame(0, 0, 1, 1),
        b";" + frame(0, 0, 1, 1),
        b"",
        b"!\xfe\xff",
        extension(b"\xfe", [bytes(255)] * 4096) + frame(0, 0, 1, 1),
        extension(b"\xfe", []) * 400_000 + frame(0, 0, 1, 1),
    ],
    ids=["stray", "end", "nothing", "truncated", "long-comment", "many-comments"],
)
def test_a_gif_whose_first_frame_does_not_come_is_corrupt(head: bytes) -> None:
    with pytest.raises(ImageError, match=r"^corrupt_image: a GIF with neither"):
        first_frame_end(SCREEN + head)


@pytest.mark.parametrize(
    "extension",
    [
        extension(b"\x01", []),
        extension(b"\xf9", []),
        extension(b"\xfe", []),
        extension(b"\xff", []),
        extension(b"\xff", [b"NETSCAPE2.0"]),
        extension(b"\xff", [b"NETSCAPE2.0", b"\1\0\0"]),
        extension(b"\xff", [b"NETSCAPE2"]),
        extension(b"\xff", [b"XMP DataXMP"]),
        extension(b"\xfe", [b"NETSCAPE2.0"]),
        extension(b"\xf9", [b"\0\0\0\0", b"more"]),
        b"\0",
        b"\0\0" + extension(b"\xfe", [b"a"]) + b"\0",
    ],
    ids=lambda extension: extension[1:].hex(),
)
def test_the_first_frame_of_a_gif_is_the_one_that_pillow_finds(extension: bytes) -> None:
    read_as_part = frame(1, 2, 3, 4).ljust(1 + ord(","), b"x")
    body = SCREEN + extension + read_as_part + b"\0" + frame(5, 5, 70, 80)
    found = GifImagePlugin.GifImageFile(io.BytesIO(body)).tile[0].extents
    assert found is not None
    assert found[2:] == first_frame_end(body)
