"""JPEGs that lack pixels have no vector, however they were cut; whole ones have one, whatever else is broken.

Each case goes the way of a run: bytes in a column, decoded in workers, a vector or a code out.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pytest
import simplejpeg
import skimage.data
from PIL import Image

import pixvec
from pixvec.testing.images import draw, encode, image_bytes
from tests.images.jpegs import lossless, one_component_a_scan, segment

END = b"\xff\xd9"
PHOTO = Image.fromarray(skimage.data.astronaut()).resize((900, 900))
SMALL = PHOTO.resize((150, 150))
PLANES = SMALL.convert("YCbCr").split()
KINDS = {
    "baseline": encode(SMALL, quality=85),
    "optimized": encode(SMALL, quality=95, optimize=True),
    "full-colour": encode(SMALL, subsampling=0),
    "grey": encode(SMALL.convert("L")),
    "ink": encode(SMALL.convert("CMYK")),
    "restarts": encode(SMALL, restart_marker_blocks=3),
    "progressive": encode(SMALL, progressive=True),
    "progressive-grey": encode(SMALL.convert("L"), progressive=True),
    "one-component-a-scan": one_component_a_scan(PLANES, factors=(0x11, 0x11, 0x11)),
    "of-unusual-sampling": one_component_a_scan(
        [PLANES[0], *(plane.resize((150, 50)) for plane in PLANES[1:])], factors=(0x13, 0x11, 0x11)
    ),
    "lossless": lossless(SMALL.convert("L")),
}
each_kind = pytest.mark.parametrize("body", KINDS.values(), ids=KINDS)


@pytest.fixture(scope="module")
def embedder(checkpoint: str) -> Iterator[pixvec.Embedder]:
    with pixvec.Embedder(model=checkpoint, precision="fp32", decode="auto") as embedder:
        yield embedder


def codes(embedder: pixvec.Embedder, bodies: Sequence[bytes]) -> list[str | None]:
    return list(embedder.embed(list(bodies)).errors)


def cut(body: bytes, tenths: float) -> bytes:
    return body[: int(len(body) * tenths / 10)]


def test_whole_images_have_a_vector(embedder: pixvec.Embedder) -> None:
    bodies = [*KINDS.values(), encode(PHOTO, quality=85)]
    assert codes(embedder, bodies) == [None] * len(bodies)


def test_what_follows_the_first_part_of_a_photo_does_not_make_it_whole(embedder: pixvec.Embedder) -> None:
    body = encode(PHOTO, quality=85)
    part = cut(body, 4)
    tails = ["FFFE0002FFD9", "FFDC00040010FFD9", "FFC40002FFD9", "FF01FFD9", "FFD9", "FFDAFFD9", ""]
    broken = [part + bytes.fromhex(tail) for tail in tails]
    marked = part + b"\xff\xe3" + body[len(part) + 2 :]
    assert set(codes(embedder, [*broken, marked])) == {"corrupt_image"}


@each_kind
def test_a_cut_anywhere_is_told_whatever_is_put_behind_it(body: bytes, embedder: pixvec.Embedder) -> None:
    parts = [cut(body, tenths) for tenths in np.arange(0.5, 10, 0.5)]
    tails = [b"", END, b"\xff\xfe\0\2" + END, b"\xff" * 30 + END, b"\xff\xd0" + END]
    assert set(codes(embedder, [part + tail for part in parts for tail in tails])) == {"corrupt_image"}


@each_kind
def test_a_cut_at_a_marker_is_told(body: bytes, embedder: pixvec.Embedder) -> None:
    markers = [match.start() for match in re.finditer(rb"\xff[\xc0-\xfe]", body[:-2])]
    parts = [body[: at + n_more] for at in markers if at > 20 for n_more in (0, 2)]
    assert set(codes(embedder, [part + END for part in parts])) == {"corrupt_image"}


def filled(body: bytes, *, end: bytes = b"") -> list[bytes]:
    parts = [cut(body, tenths) for tenths in range(2, 10)]
    return [part + fill * (len(body) - len(part) - len(end)) + end for part in parts for fill in (b"\0", b"\x55")]


@each_kind
def test_a_cut_that_is_filled_up_is_told(body: bytes, embedder: pixvec.Embedder) -> None:
    assert set(codes(embedder, filled(body))) == {"corrupt_image"}


# Of unusual sampling, Pillow decodes, and does not report how many bytes were left.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "of-unusual-sampling"])
def test_a_cut_that_is_filled_up_to_an_end_marker_is_told(kind: str, embedder: pixvec.Embedder) -> None:
    assert set(codes(embedder, filled(KINDS[kind], end=END))) == {"corrupt_image"}


def test_a_photo_of_a_few_blocks_is_told_from_the_first_part_of_it(embedder: pixvec.Embedder) -> None:
    rng = random.Random(0)
    parts = []
    for _ in range(150):
        left, top = rng.randrange(880), rng.randrange(880)
        body = encode(PHOTO.crop((left, top, left + 16, top + 16)), quality=60)
        start = body.index(b"\xff\xda") + 14
        parts.append(body[: len(body) - rng.randint(3, max(3, (len(body) - start) // 4))] + END)
    assert set(codes(embedder, parts)) == {"corrupt_image"}


def reported(body: bytes) -> str:
    """Ask libjpeg what it reports of an image; stray bytes are no loss."""
    try:
        simplejpeg.decode_jpeg(body)
    except ValueError as error:
        return "" if "extraneous" in str(error) else str(error)
    return ""


@pytest.mark.parametrize("kind", ["baseline", "progressive", "grey"])
def test_of_a_changed_byte_is_told_what_the_decoder_reports(kind: str, embedder: pixvec.Embedder) -> None:
    body, rng = KINDS[kind], random.Random(1)
    changed = []
    for number in range(160):
        at = rng.randrange(body.index(b"\xff\xda") + 14, len(body) - 2)
        new = 0xFF if number % 2 else body[at] ^ 1 << rng.randrange(8)
        changed.append(body[:at] + bytes([new]) + body[at + 1 :])
    is_lost = [bool(reported(each)) for each in changed]
    found = codes(embedder, changed)
    assert is_lost.count(True) > 60
    assert {code for code, lost in zip(found, is_lost, strict=True) if lost} == {"corrupt_image"}
    assert found.count(None) >= is_lost.count(False) - 3  # behind stray bytes, which hide it, more may be lost


WHOLE = image_bytes(size=(160, 120))
RESTARTS = image_bytes(size=(160, 120), restart_marker_rows=1)


def behind_start(*segments: bytes) -> bytes:
    return WHOLE[:2] + b"".join(segments) + WHOLE[2:]


def without_jfif(*segments: bytes) -> bytes:
    return WHOLE[:2] + b"".join(segments) + WHOLE[20:]


HARMLESS = {
    "short-jfif": without_jfif(bytes.fromhex("FFE00007") + b"JFIF\0"),
    "jfif-of-the-future": without_jfif(segment(0xE0, b"JFIF\0\x09\1\0\0\1\0\1\0\0")),
    "short-adobe": behind_start(segment(0xEE, b"Adobe")),
    "unknown-adobe": behind_start(segment(0xEE, b"Adobe\0\x64\0\0\0\0\7")),
    "short-profile": behind_start(segment(0xE2, b"ICC_PROFILE\0")),
    "profile-in-too-few-parts": behind_start(segment(0xE2, b"ICC_PROFILE\0\1\2abc")),
    "short-photoshop": behind_start(segment(0xED, b"Photoshop 3.0\x008BIM\4\4")),
    "short-exif": behind_start(segment(0xE1, b"Exif\0\0")),
    "empty-segments": behind_start(segment(0xE1, b""), segment(0xFE, b""), b"\xff\xe5\0\0", b"\xff\xe5\0\1"),
    "marker-without-use": behind_start(b"\xff\x01"),
    "restart-in-the-header": behind_start(b"\xff\xd3"),
    "stray-in-the-header": WHOLE[:20] + b"stray \xff\0\xff\xff\xff" + WHOLE[20:],
    "profile-behind-the-frame": WHOLE.replace(
        b"\xff\xda", segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(99)) + b"\xff\xda"
    ),
    "scan-that-names-no-coefficients": WHOLE.replace(b"\3\x11\0\x3f\0", b"\3\x11\0\0\0"),
    "stray-before-the-end": WHOLE[:-2] + b"stray" + END,
    "zeros-before-the-end": WHOLE[:-2] + bytes(3) + END,
    "behind-the-end": WHOLE + b"\xff\xda\xff\xc0" * 999,
}


@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS)
def test_what_decides_no_pixel_decides_nothing(body: bytes, embedder: pixvec.Embedder) -> None:
    assert body != WHOLE
    column = embedder.embed([WHOLE, body])
    assert list(column.errors) == [None, None]
    assert np.array_equal(column.vectors[0], column.vectors[1])


def test_stray_bytes_between_parts_of_an_image_hide_no_loss(embedder: pixvec.Embedder) -> None:
    restart = RESTARTS.index(b"\xff\xd3")
    stray = RESTARTS[:restart] + b"stray bytes" + RESTARTS[restart:]
    column = embedder.embed([RESTARTS, stray, cut(stray, 9) + END])
    assert list(column.errors) == [None, None, "corrupt_image"]
    assert np.array_equal(column.vectors[0], column.vectors[1])


@pytest.mark.parametrize("decode", ["auto", "full", "reference"])
def test_a_lossless_jpeg_has_the_vector_of_its_pixels(
    decode: Literal["auto", "full", "reference"], checkpoint: str
) -> None:
    image = draw((300, 200), mode="L")
    with pixvec.Embedder(model=checkpoint, precision="fp32", decode=decode) as embedder:
        column = embedder.embed([lossless(image), encode(image, "PNG")])
    assert list(column.errors) == [None, None]
    assert np.array_equal(column.vectors[0], column.vectors[1])


def with_frame(kind: int = 0xC0, *, n_bits: int = 8, n_components: int = 3) -> bytes:
    at = WHOLE.index(b"\xff\xc0")
    frame = bytearray(WHOLE[at : at + 19])
    frame[1], frame[4], frame[9] = kind, n_bits, n_components
    return WHOLE[:at] + bytes(frame) + WHOLE[at + 19 :]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (with_frame(0xC1, n_bits=12), "a JPEG of 12 bits a sample; "),
        (with_frame(0xC3, n_bits=16), "a JPEG of 16 bits a sample; "),
        (with_frame(n_components=2), "a JPEG of 2 components; "),
        (with_frame(0xC5), "a JPEG of the kind SOF5; "),
        (with_frame(0xC9), "a JPEG of the kind SOF9; "),
    ],
    ids=["12-bits", "16-bits", "2-components", "differential", "arithmetic"],
)
def test_a_jpeg_of_a_kind_that_is_not_decoded_is_called_so(body: bytes, words: str, embedder: pixvec.Embedder) -> None:
    column = embedder.embed([body])
    assert list(column.errors) == ["unsupported_format"]
    assert str(column.details[0]).startswith(words)


def test_the_detail_says_what_the_decoder_reports(embedder: pixvec.Embedder) -> None:
    column = embedder.embed([cut(WHOLE, 5) + END])
    expected = "the JPEG decoder reports: Corrupt JPEG data: premature end of data segment"
    assert list(column.details) == [expected]
