"""Files that would keep Pillow busy are refused before it opens them; they are walked as Pillow walks them."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import GifImagePlugin, JpegImagePlugin

from pixvec.errors import ImageError
from pixvec.precheck import _exif_lengths, check_exif, first_frame_end
from pixvec.testing.images import image_bytes

JPEG = image_bytes(size=(8, 8))
JFIF_END = 20  # of the start of image and the first segment
SCREEN = b"GIF89a" + struct.pack("<HHBBB", 9, 9, 0, 0, 0)


def segment(marker: bytes, payload: bytes) -> bytes:
    return b"\xff" + marker + struct.pack(">H", 2 + len(payload)) + payload


def exif(n_bytes: int) -> bytes:
    return segment(b"\xe1", b"Exif\0\0" + bytes(n_bytes))


def jpeg(junk: bytes) -> bytes:
    return JPEG[:JFIF_END] + junk + JPEG[JFIF_END:]


def extension(kind: bytes, parts: list[bytes]) -> bytes:
    return b"!" + kind + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def frame(left: int, top: int, width: int, height: int) -> bytes:
    return b"," + struct.pack("<4HB", left, top, width, height, 0) + b"\x02\0;"


@pytest.mark.parametrize(
    "junk",
    [
        exif(10) * 65,
        exif(60_000) * 18,
        segment(b"\xe5", b"") * 70_000,
        b"\xff\xd0" * 70_000,
        b"\xff" * 70_000,
        bytes(70_000),
    ],
    ids=["exif-segments", "exif-bytes", "segments", "restarts", "fill", "stray"],
)
def test_a_jpeg_with_too_much_before_its_picture_is_corrupt(junk: bytes) -> None:
    with pytest.raises(ImageError, match=r"^corrupt_image: a JPEG with"):
        check_exif(jpeg(junk))


@pytest.mark.parametrize(
    "junk",
    [b"", exif(10) * 64, exif(60_000) * 17, segment(b"\xe2", bytes(60_000)) * 100],
    ids=["plain", "exif-segments", "exif-bytes", "other-segments"],
)
def test_a_jpeg_with_much_before_its_picture_is_taken(junk: bytes) -> None:
    check_exif(jpeg(junk))


def is_measured_as_by_pillow(body: bytes) -> bool:
    try:
        expected = len(JpegImagePlugin.JpegImageFile(io.BytesIO(body)).info.get("exif", b""))
    except (OSError, SyntaxError, struct.error):
        return True  # a file that Pillow refuses keeps it busy no longer
    lengths = _exif_lengths(body)
    return expected == sum(length - 8 for length in lengths) + 6 * bool(lengths)


@pytest.mark.parametrize("head", [b"", b"\0\0", b"\0\2", b"\0\7Exif\0"], ids=["none", "0", "2", "7"])
def test_exif_data_is_found_where_pillow_finds_it(head: bytes) -> None:
    rest = head + exif(1) + exif(2) + 2 * segment(b"\xe5", bytes(40_000))
    markers = [bytes([0xFF, number]) for number in range(256)]
    assert [marker for marker in markers if not is_measured_as_by_pillow(jpeg(marker + rest))] == []


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
