"""A JPEG that is whole has the very pixels that Pillow's own class gives, at every scale."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL.JpegImagePlugin import JpegImageFile

from pixvec.errors import ImageError
from pixvec.images.formats.jpeg import JpegFile
from pixvec.images.formats.jpeg_markers import read_header
from pixvec.testing.images import draw, encode, image_bytes
from tests.images.jpegs import lossless, one_component_a_scan, segment

SHARED = Path(__file__).parents[4] / "shared" / "data"
SIZE = (161, 119)
PLANES = draw(SIZE, mode="YCbCr").split()
BODIES = {
    "plain": image_bytes(size=SIZE),
    "grey": image_bytes(size=SIZE, mode="L"),
    "ink": image_bytes(size=SIZE, mode="CMYK"),
    "progressive": image_bytes(size=SIZE, progressive=True),
    "progressive-ink": image_bytes(size=SIZE, mode="CMYK", progressive=True),
    "full-colour": image_bytes(size=SIZE, subsampling=0),
    "half-colour": image_bytes(size=SIZE, subsampling=1),
    "fine": image_bytes(size=SIZE, quality=100),
    "coarse": image_bytes(size=SIZE, quality=5),
    "restarts": image_bytes(size=SIZE, restart_marker_blocks=2),
    "rgb": image_bytes(size=SIZE, keep_rgb=True),
    "one-component-a-scan": one_component_a_scan(PLANES, factors=(0x11, 0x11, 0x11)),
    "of-unusual-sampling": one_component_a_scan(
        [PLANES[0], PLANES[1].resize((161, 40)), PLANES[2].resize((161, 40))], factors=(0x13, 0x11, 0x11)
    ),
    "narrow": image_bytes(size=(1, 500)),
    **{path.stem: path.read_bytes() for path in sorted(SHARED.rglob("*.jpg"))},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_pixels_are_those_of_pillow(body: bytes) -> None:
    for scale in (1, 2, 4, 8):
        ours, pillows = JpegFile(io.BytesIO(body)), JpegImageFile(io.BytesIO(body))
        if scale > 1:
            at_least = -(-pillows.width // scale) or 1, -(-pillows.height // scale) or 1
            ours.draft(None, at_least)
            pillows.draft(None, at_least)
        assert (pillows.mode, pillows.size) == (ours.mode, ours.size)
        assert ours.tobytes() == pillows.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 7), (8, 1)])
def test_the_pixels_of_a_tiny_image_are_those_of_pillow(size: tuple[int, int]) -> None:
    body = image_bytes(size=size)
    ours = JpegFile(io.BytesIO(body))
    ours.draft(None, size)
    assert ours.tobytes() == JpegImageFile(io.BytesIO(body)).tobytes()


def test_a_lossless_jpeg_is_never_scaled() -> None:
    image = draw((80, 60), mode="L")
    ours = JpegFile(io.BytesIO(lossless(image)))
    assert ours.draft(None, (10, 10)) is None
    assert ours.tobytes() == image.tobytes()


def test_exif_data_and_profiles_are_joined_as_pillow_joins_them() -> None:
    exif = [segment(0xE1, b"Exif\0\0" + part) for part in (b"MM\0*\0\0\0\x08", b"\0\0", b"\0\0\0\0")]
    profile = [segment(0xE2, b"ICC_PROFILE\0" + bytes((number, 2)) + b"abc") for number in (2, 1)]
    body = image_bytes(size=(8, 8))
    body = body[:2] + b"".join((*exif, *profile)) + body[2:]
    pillows, ours = JpegImageFile(io.BytesIO(body)).info, JpegFile(io.BytesIO(body)).info
    assert (pillows["exif"], pillows["icc_profile"]) == (ours["exif"], ours["icc_profile"])


def test_the_decoder_gets_nothing_that_decides_no_pixel() -> None:
    plain = image_bytes(size=(8, 8))
    full = encode(draw((8, 8)), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0", icc_profile=b"abc", comment=b"words")
    assert read_header(plain).for_decoder == read_header(full).for_decoder


@pytest.mark.parametrize(
    "junk",
    [segment(0xE1, b"Exif\0\0" + bytes(9)) * 70_000, segment(0xE5, b"") * 70_000],
    ids=["exif", "others"],
)
def test_a_header_without_end_is_corrupt(junk: bytes) -> None:
    body = image_bytes(size=(8, 8))
    with pytest.raises(ImageError, match=r"^corrupt_image: a JPEG in which no image begins$"):
        read_header(body[:2] + junk + body[2:])


@pytest.mark.parametrize(
    "junk",
    [segment(0xE1, b"Exif\0\0" + bytes(60_000)) * 500, b"\xff" * (30 << 20), b"\xff\xd0" * (15 << 20), bytes(30 << 20)],
    ids=["exif", "fill", "restarts", "stray"],
)
def test_a_header_of_30_mb_is_read(junk: bytes) -> None:
    body = image_bytes(size=(8, 8))
    header = read_header(body[:20] + junk + body[20:])
    assert header.for_decoder == read_header(body).for_decoder
    assert len(header.exif or b"") <= 1 << 20
