"""Hostile bytes: what each kind of them comes to, decoded in workers as a run decodes them."""

from __future__ import annotations

import io
import os
import struct
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageFile, ImageOps

from pixvec.errors import ImageError, MissingExtraError, UsageError
from pixvec.images.decode import DecodeOptions
from pixvec.images.workers import CropMaker
from pixvec.model.checkpoint import ProcessorConfig
from pixvec.pipeline.settings import Settings
from pixvec.testing.images import (
    Size,
    animation_bytes,
    draw,
    encode,
    gif_claiming,
    grey_cmyk_profile,
    image_bytes,
    png_claiming,
)
from pixvec.values import ImageFacts
from tests.images.jpegs import one_component_a_scan

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data is not here")
PROCESSOR = ProcessorConfig(resize=32, center_crop=(32, 32))
UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""What undoes each of Exif's orientations, as Pillow numbers its transpositions."""


@contextmanager
def crop_maker(**options: Any) -> Iterator[CropMaker]:
    with closing(CropMaker(DecodeOptions(isolate="always", **options), PROCESSOR, min_side=32)) as crops:
        yield crops


@pytest.fixture(scope="module")
def crops() -> Iterator[CropMaker]:
    """Workers with the usual options."""
    with crop_maker() as crops:
        yield crops


@pytest.fixture(scope="module")
def tiff_crops() -> Iterator[CropMaker]:
    """Workers that decode TIFF as well."""
    with crop_maker(formats="+tiff") as crops:
        yield crops


@pytest.fixture(scope="module")
def hurried_crops() -> Iterator[CropMaker]:
    """Workers with a second of processor time and 512 MiB: an image that takes more is a crash."""
    with crop_maker(max_decode_bytes=512 << 20, max_decode_cpu_s=1.0) as crops:
        yield crops


@pytest.fixture(scope="module")
def poor_crops() -> Iterator[CropMaker]:
    """Workers with little memory: what makes room for many pixels does not come back from it."""
    with crop_maker(max_decode_bytes=400 << 20) as crops:
        yield crops


def outcome(crops: CropMaker, body: bytes) -> str:
    try:
        crops.crop(body, sha256=b"")
    except ImageError as error:
        return error.code
    return "ok"


def seen(crops: CropMaker, body: bytes) -> NDArray[np.int64]:
    return crops.crop(body, sha256=b"")[0].astype(int)


def facts(crops: CropMaker, body: bytes) -> ImageFacts:
    return crops.crop(body, sha256=b"")[1]


def difference(crops: CropMaker, one: bytes, other: bytes) -> float:
    return float(abs(seen(crops, one) - seen(crops, other)).mean())


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_with(*chunks: bytes) -> bytes:
    """Put chunks behind a PNG's header."""
    body = image_bytes("PNG", size=(64, 48))
    return body[:33] + b"".join(chunks) + body[33:]


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(payload)) + payload


def jpeg_with(*segments: bytes, behind: int = 0xD8) -> bytes:
    """Put segments behind a JPEG's marker."""
    body = image_bytes(size=(64, 48))
    at = body.index(bytes((0xFF, behind)))
    end = at + 2 + (0 if behind == 0xD8 else int.from_bytes(body[at + 2 : at + 4]))
    return body[:end] + b"".join(segments) + body[end:]


def patched(body: bytes, at: int, new: bytes) -> bytes:
    return body[:at] + new + body[at + len(new) :]


def avif_claiming(width: int, height: int) -> bytes:
    body = image_bytes("AVIF", size=(64, 48))
    return patched(body, body.index(b"ispe") + 8, struct.pack(">II", width, height))


def webp_claiming(width: int, height: int) -> bytes:
    body = image_bytes("WEBP", size=(64, 48))
    return patched(body, 26, struct.pack("<HH", width, height))


def in_scans(n_scans: int, size: tuple[int, int] = (64, 48)) -> bytes:
    """Write a progressive JPEG that repeats its last scan."""
    body = image_bytes(size=size, progressive=True)
    at = body.rindex(b"\xff\xda")
    return body[:at] + body[at:-2] * n_scans + b"\xff\xd9"


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", np.random.default_rng(0).bytes(10_000_000)],
    ids=["nothing", "byte", "jpeg-magic", "png-magic", "gif-magic", "random"],
)
def test_case_53_what_is_no_image(body: bytes, crops: CropMaker) -> None:
    assert outcome(crops, body) == "not_an_image"


@pytest.mark.parametrize(
    "body",
    [
        png_claiming((16_383, 16_383)),
        png_claiming((65_536, 65_536)),
        gif_claiming((65_535, 65_535), frame=(1, 1)),
        gif_claiming((1, 1), frame=(65_535, 65_535)),
        patched(image_bytes(size=(64, 48)), image_bytes(size=(64, 48)).index(b"\xff\xc0") + 5, b"\x36\xb0\x4e\x20"),
        avif_claiming(16_000, 16_000),
        webp_claiming(16_383, 16_383),
        patched(image_bytes("BMP"), 18, struct.pack("<ii", 50_000, 50_000)),
    ],
    ids=["png-16383", "png-65536", "gif-screen", "gif-frame", "jpeg-20000x14000", "avif", "webp", "bmp"],
)
def test_case_54_bombs_are_refused_before_there_is_room_for_a_pixel(body: bytes, poor_crops: CropMaker) -> None:
    assert outcome(poor_crops, body) == "too_many_pixels"


def test_case_54_the_avif_decoder_has_a_limit_of_its_own(poor_crops: CropMaker) -> None:
    assert outcome(poor_crops, avif_claiming(17_000, 17_000)) == "corrupt_image"


def test_case_55_between_pillows_limits_ours_decides(crops: CropMaker) -> None:
    body = encode(Image.new("L", (9643, 10328)), "JPEG")
    assert facts(crops, body).height == 10328
    assert outcome(crops, encode(Image.new("L", (9683, 10328)), "JPEG")) == "too_many_pixels"


@pytest.mark.parametrize(
    "body",
    [
        png_with(*[chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 20)))] * 200),
        png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100 << 20)))),
        png_with(chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(100 << 20)))),
        png_with(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100 << 20)))),
        png_with(chunk(b"eXIf", b"MM\0*" + b"\xff" * 1000)),
        png_with(chunk(b"eXIf", b"MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08")),
        png_with(chunk(b"iTXt", b"a\0\0\0\0\0" + bytes(20 << 20))),
        png_with(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"<tiff:Orientation>" * 100_000)),
        png_with(*[chunk(b"tEXt", b"a\0b")] * 100_000),
        png_with(*[chunk(b"abCd")] * 1_000_000),
        image_bytes("PNG")[:-12] + chunk(b"IDAT") * 1_000_000 + chunk(b"IEND"),
        png_with(*[chunk(b"fcTL", bytes(26))] * 100_000),
        image_bytes("PNG") + bytes(30 << 20),
    ],
    ids=[
        *("many-texts", "large-text", "large-international-text", "large-profile", "exif", "exif-ring", "20-mb-text"),
        *("orientations", "100000-texts", "million-unknown", "million-idats", "100000-frames", "30-mb-behind"),
    ],
)
def test_case_56_bombs_beside_the_pixels_do_not_go_off(body: bytes, hurried_crops: CropMaker) -> None:
    assert outcome(hurried_crops, body) in {"ok", "corrupt_image"}


@pytest.mark.parametrize(
    "body",
    [
        jpeg_with(*[segment(0xDB, bytes(range(65)))] * 65_535),
        jpeg_with(*[segment(0xE2, b"ICC_PROFILE\0" + bytes((n + 1, 150)) + bytes(65_000)) for n in range(150)]),
        jpeg_with(*[segment(0xED, b"Photoshop 3.0\0" + b"8BIM\4\4" + bytes(6))] * 10_000),
        jpeg_with(segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\x87\x69\0\4\0\0\0\1\0\0\0\x08\0\0\0\x08")),
        jpeg_with() + bytes(30 << 20),
        jpeg_with()[:-2] + b"\xff\xd0" * (10 << 20) + b"\xff\xd9",
        jpeg_with()[:2] + b"\xff" * (30 << 20) + jpeg_with()[2:],
        image_bytes("GIF")[:-1] + b"!\xfe" + (b"\xff" + bytes(255)) * 100_000 + b"\0;",
        gif_claiming((16, 16), frame=(16, 16))[:-4] + (b"\xff" + b"\0\2" * 127 + b"\0") * 80_000 + b"\0;",
        image_bytes("WEBP") + bytes(30 << 20),
        image_bytes("AVIF") + bytes(30 << 20),
    ],
    ids=[
        *("65535-tables", "icc-of-10-mb", "10000-photoshop", "exif-ring", "30-mb-behind", "restarts", "stray-255"),
        *("gif-comment", "gif-clear-codes", "webp-behind", "avif-behind"),
    ],
)
def test_case_56_nor_do_those_of_other_formats(body: bytes, hurried_crops: CropMaker) -> None:
    assert outcome(hurried_crops, body) in {"ok", "corrupt_image"}


def gif_of(n_frames: int) -> bytes:
    body = image_bytes("GIF", size=(64, 48))
    at = body.index(b",", 13 + (3 << (body[10] & 7) + 1))
    return body[:at] + body[at:-1] * n_frames + b";"


@pytest.mark.parametrize(
    ("body", "n_frames"),
    [
        (gif_of(10_000), 10_000),
        (animation_bytes("PNG", seeds=range(129), size=(16, 16)), 129),
        (animation_bytes("WEBP", seeds=range(99), size=(16, 1600)), 99),
    ],
    ids=["gif", "apng", "webp"],
)
def test_case_57_of_many_frames_the_first_is_seen(body: bytes, n_frames: int, poor_crops: CropMaker) -> None:
    assert facts(poor_crops, body).frames == n_frames


@pytest.mark.parametrize(
    "body",
    [
        gif_of(0),
        png_with(
            chunk(b"acTL", struct.pack(">II", 2, 0)),
            chunk(b"fcTL", struct.pack(">5I2H2B", 0, 99, 99, 9, 9, 1, 1, 0, 0)),
        ),
    ],
    ids=["no-frame", "frame-off-the-canvas"],
)
def test_case_57_impossible_frames_are_corrupt(body: bytes, crops: CropMaker) -> None:
    assert outcome(crops, body) == "corrupt_image"


@pytest.mark.parametrize("n_frames", [0, 2, 2**31], ids=["none", "not-there", "past-counting"])
def test_case_57_a_png_that_only_claims_to_be_animated_is_its_image(n_frames: int, crops: CropMaker) -> None:
    claim = chunk(b"acTL", struct.pack(">II", n_frames, 0))
    assert facts(crops, png_with(claim)).frames == 1
    assert difference(crops, png_with(claim), png_with()) == 0


def test_case_58_ten_thousand_scans_are_refused(crops: CropMaker) -> None:
    # Better than to let them run into the limit of processor time, as those below do.
    assert outcome(crops, in_scans(10_000)) == "corrupt_image"
    assert outcome(crops, one_component_a_scan(draw(mode="YCbCr").split(), factors=[0x11] * 3, repeats=34)) == "ok"


def test_case_58_costly_scans_run_into_the_limit_of_processor_time() -> None:
    body = in_scans(400, size=(1600, 1200))
    with (
        crop_maker(max_decode_cpu_s=0.2) as crops,
        pytest.raises(ImageError, match=r"^decoder_crash: .* processor time$"),
    ):
        crops.crop(body, sha256=b"")


def tiff_claiming(tag: int, value: int) -> bytes:
    """Write a TIFF and change a number in its directory."""
    body = image_bytes("TIFF", size=(64, 48))
    directory = int.from_bytes(body[4:8], "little")
    n_entries = int.from_bytes(body[directory : directory + 2], "little")
    for at in range(directory + 2, directory + 2 + 12 * n_entries, 12):
        if int.from_bytes(body[at : at + 2], "little") == tag:
            body = patched(body, at + 2, struct.pack("<HII", 4, 1, value))
    return body


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (image_bytes("TIFF"), "ok"),
        (image_bytes("TIFF", compression="tiff_lzw"), "ok"),
        (image_bytes("TIFF", mode="CMYK"), "ok"),
        (image_bytes("TIFF", mode="F"), "unsupported_format"),
        (image_bytes("TIFF")[:1000], "corrupt_image"),
        (tiff_claiming(256, 4_000_000), "too_many_pixels"),
        (tiff_claiming(279, 0xFFFFFFFF), "ok"),
        (tiff_claiming(273, 0xFFFFFFF0), "corrupt_image"),
    ],
    ids=["plain", "lzw", "cmyk", "floats", "truncated", "bomb", "strip-of-4-GB", "strip-past-the-end"],
)
def test_case_59_tiff_is_decoded_on_request(
    body: bytes, expected: str, tiff_crops: CropMaker, crops: CropMaker
) -> None:
    assert outcome(crops, body) == "unsupported_format"
    assert outcome(tiff_crops, body) == expected


def test_case_59_of_a_tiff_of_many_pages_the_first_is_seen(tiff_crops: CropMaker) -> None:
    body = animation_bytes("TIFF", seeds=(0, 1, 2))
    assert facts(tiff_crops, body).frames == 3
    assert difference(tiff_crops, body, image_bytes("PNG", size=(64, 48), seed=0)) == 0


FORMATS: dict[str, dict[str, Any]] = {
    "jpeg": {"format": "JPEG"},
    "progressive": {"format": "JPEG", "progressive": True},
    "png": {"format": "PNG"},
    "gif": {"format": "GIF"},
    "webp": {"format": "WEBP"},
    "avif": {"format": "AVIF"},
    "bmp": {"format": "BMP"},
}


@pytest.mark.parametrize("save", FORMATS.values(), ids=FORMATS)
def test_case_60_a_truncated_file_is_corrupt(save: dict[str, Any], crops: CropMaker) -> None:
    body = image_bytes(**save)
    assert {outcome(crops, body[: len(body) * tenths // 10]) for tenths in range(1, 10)} == {"corrupt_image"}


EXIF = segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")


@pytest.mark.parametrize(
    "body",
    [
        jpeg_with(segment(0xE1, b"Exif\0\0junk")),
        jpeg_with(EXIF, EXIF),
        jpeg_with(segment(0xE2, b"ICC_PROFILE\0\1\1" + bytes(200)), behind=0xC0),
        encode(draw((64, 48)), "MPO", save_all=True, append_images=[draw((64, 48), seed=1)]),
        jpeg_with() + b"extra bytes" * 100,
        b"\r\n\r\n" + jpeg_with(),
    ],
    ids=["bad-exif", "two-exifs", "icc-behind-frame", "mpo", "bytes-behind", "bytes-before"],
)
def test_case_61_harmless_faults_of_a_jpeg_do_no_harm(body: bytes, crops: CropMaker) -> None:
    assert difference(crops, body, jpeg_with()) < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_case_62_a_turned_copy_has_the_same_bits(format: str, orientation: int, tiff_crops: CropMaker) -> None:
    upright = draw((96, 64))
    turned = upright.transpose(Image.Transpose(UNDO[orientation])) if orientation in UNDO else upright
    body = encode(turned, format, orientation=orientation, **({"lossless": True} if format == "WEBP" else {}))
    assert difference(tiff_crops, encode(upright, "PNG"), body) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(48, 40), (40, 48)], ids=["landscape", "portrait"])
def test_case_62_a_turned_jpeg_has_the_bits_of_its_pixels_turned(
    size: Size, orientation: int, crops: CropMaker
) -> None:
    body = image_bytes(size=size, orientation=orientation)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
    assert difference(crops, body, encode(upright, "PNG", exif=b"")) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_case_62_an_avif_is_turned_by_its_container(orientation: int, crops: CropMaker) -> None:
    """Pillow writes an orientation as the boxes irot and imir, and leaves it out of the Exif data."""
    upright = draw((96, 64))
    turned = upright.transpose(Image.Transpose(UNDO[orientation])) if orientation in UNDO else upright
    body = encode(turned, "AVIF", orientation=orientation, quality=95, subsampling="4:4:4")
    assert (b"irot" in body or b"imir" in body) == (orientation > 1)
    assert difference(crops, body, encode(upright, "PNG")) < 2


@needs_shared_data
@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_case_62_oriented_photographs_look_alike(shape: str, crops: CropMaker) -> None:
    bodies = [(SHARED / "exif-orientation" / f"{shape}_{number}.jpg").read_bytes() for number in range(9)]
    images = [seen(crops, body).ravel() for body in bodies]
    cosines = [one @ images[0] / np.linalg.norm(one) / np.linalg.norm(images[0]) for one in images]
    assert min(cosines) > 0.999


@pytest.mark.parametrize("save", [{}, {"quality": 95}, {"progressive": True}], ids=["plain", "fine", "progressive"])
def test_case_63_cmyk_looks_like_its_twin(save: dict[str, Any], crops: CropMaker) -> None:
    cmyk = draw(mode="CMYK")
    assert difference(crops, encode(cmyk, "JPEG", **save), encode(cmyk.convert("RGB"), "PNG")) < 6


def as_ycck(image: Image.Image) -> bytes:
    """Write a JPEG whose inks are stored as luma and chroma, as Photoshop does; libjpeg knows it by Adobe's marker."""
    cyan, magenta, yellow, black = image.split()
    luma_and_chroma = Image.merge("RGB", (cyan, magenta, yellow)).convert("YCbCr").split()
    stored = Image.merge("CMYK", (*map(ImageOps.invert, luma_and_chroma), black))
    body = encode(stored, "JPEG", quality=95)
    return patched(body, body.index(b"Adobe") + 11, b"\2")


def without_adobe_marker(body: bytes) -> bytes:
    at = body.index(b"\xff\xee")
    return body[:at] + body[at + 2 + int.from_bytes(body[at + 2 : at + 4]) :]


INKS = draw(mode="CMYK")
STORED_OTHERWISE = {"ycck": as_ycck(INKS), "no-adobe-marker": without_adobe_marker(encode(INKS, "JPEG", quality=95))}


@pytest.mark.parametrize("body", STORED_OTHERWISE.values(), ids=STORED_OTHERWISE)
def test_case_63_however_inks_are_stored_they_look_like_their_twin(body: bytes, crops: CropMaker) -> None:
    twin = encode(INKS.convert("RGB"), "PNG")
    assert difference(crops, body, twin) < 6
    one, other = (seen(crops, each).ravel() - 128 for each in (body, twin))
    assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.98


def test_case_63_a_profile_of_cmyk_is_used(crops: CropMaker) -> None:
    crop = seen(crops, image_bytes(mode="CMYK", icc_profile=grey_cmyk_profile()))
    assert abs(crop - crop.mean(axis=2, keepdims=True)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "I;16", "P", "RGB"])
def test_case_64_every_depth_looks_like_its_twin(mode: str, crops: CropMaker) -> None:
    image = draw(mode=mode)
    twin = draw(mode="L") if mode == "I;16" else image.convert("RGBA")
    assert difference(crops, encode(image, "PNG"), encode(twin, "PNG")) < 1


def test_case_64_16_bit_grey_of_a_tiff_is_scaled(tiff_crops: CropMaker) -> None:
    assert difference(tiff_crops, image_bytes("TIFF", mode="I;16"), image_bytes("PNG", mode="L")) == 0


@needs_shared_data
@pytest.mark.parametrize("path", sorted(SHARED.glob("pngsuite/bas[in]*.png")), ids=lambda path: path.stem)
def test_case_64_pngsuite_is_seen_whole(path: Path, crops: CropMaker) -> None:
    assert 40 < seen(crops, path.read_bytes()).mean() < 215


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_case_65_hidden_pixels_do_not_leak(mode: str, crops: CropMaker) -> None:
    image = draw(mode=mode)
    image.putalpha(0)
    assert seen(crops, encode(image, "PNG")).min() == 255


@pytest.mark.parametrize("mode", ["P", "RGB", "L"])
def test_case_65_a_transparent_colour_is_white(mode: str, crops: CropMaker) -> None:
    body = encode(Image.new(mode, (40, 40), 0), "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert seen(crops, body).min() == 255


@pytest.mark.parametrize(
    ("mode", "profile"),
    [("RGB", b"junk"), ("L", b"junk"), ("CMYK", b"junk"), ("RGB", grey_cmyk_profile()), ("L", grey_cmyk_profile())],
    ids=["broken", "broken-grey", "broken-cmyk", "of-another-mode", "grey-of-another-mode"],
)
def test_case_66_a_profile_of_rgb_or_a_broken_one_is_ignored(mode: str, profile: bytes, crops: CropMaker) -> None:
    assert difference(crops, image_bytes(mode=mode, icc_profile=profile), image_bytes(mode=mode)) == 0


def wide_profile(*primaries: tuple[float, float, float]) -> bytes:
    """Write sRGB's profile with other primaries: X, Y and Z of red, green and blue, as ICC has them."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for tag, color in zip((b"rXYZ", b"gXYZ", b"bXYZ"), primaries, strict=True):
        at = int.from_bytes(profile[profile.index(tag) + 4 :][:4]) + 8
        profile = patched(profile, at, struct.pack(">3i", *(round(65536 * part) for part in color)))
    return profile


WIDE = {
    "display-p3": wide_profile((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841)),
    "prophoto": wide_profile((0.7977, 0.2880, 0.0), (0.1352, 0.7119, 0.0), (0.0313, 0.0001, 0.8249)),
}


@pytest.mark.parametrize("profile", WIDE.values(), ids=WIDE)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_case_66_a_profile_of_a_wide_gamut_is_ignored_as_transformers_ignores_it(
    format: str, profile: bytes, crops: CropMaker
) -> None:
    by_profile = ImageCms.profileToProfile(draw(), io.BytesIO(profile), ImageCms.createProfile("sRGB"))
    assert by_profile is not None
    assert difference(crops, encode(by_profile, "PNG"), image_bytes("PNG")) > 2
    assert difference(crops, image_bytes(format, icc_profile=profile), image_bytes(format)) == 0


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_case_67_an_animation_is_its_first_frame(format: str, crops: CropMaker) -> None:
    body = animation_bytes(format, seeds=(0, 1, 2))
    assert facts(crops, body).frames == 3
    assert difference(crops, body, image_bytes("PNG", size=(64, 48), seed=0)) < 12


SOUND = {name: image_bytes(name) for name in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF")}
OTHERS = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99),
    "JPEG XL": b"\xff\x0a" + bytes(99),
    "JPEG 2000": image_bytes("JPEG2000"),
    "ICO": image_bytes("ICO"),
    "TIFF": image_bytes("TIFF"),
    "PSD": b"8BPS\0\1" + bytes(99),
    "PDF": image_bytes("PDF"),
    "PostScript": image_bytes("EPS"),
    "SVG": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "MP4": b"\0\0\0\x18ftypisom\0\0\0\0" + bytes(99),
}


@pytest.mark.parametrize(("format", "body"), SOUND.items(), ids=SOUND)
def test_case_68_the_format_is_told(format: str, body: bytes, crops: CropMaker) -> None:
    assert facts(crops, body).format == format


@pytest.mark.parametrize(("format", "body"), OTHERS.items(), ids=OTHERS)
def test_case_68_what_is_not_decoded_is_named(format: str, body: bytes, crops: CropMaker) -> None:
    with pytest.raises(ImageError, match=f"^unsupported_format: a file in the format {format};"):
        crops.crop(body, sha256=b"")


@pytest.mark.parametrize("formats", ["tiff", "+pdf", "+eps", "+svg", "-jpeg", "+tiff +heic"])
def test_case_68_other_formats_cannot_be_asked_for(formats: str) -> None:
    with pytest.raises(UsageError, match="neither"):
        Settings(formats=formats)


def test_case_68_heic_is_decoded_on_request() -> None:
    try:
        import pillow_heif  # noqa: PLC0415 (an extra)
    except ImportError:
        with pytest.raises(MissingExtraError, match=r"pixvec\[heic\]"):
            Settings(formats="+heic")
        return
    file = io.BytesIO()
    pillow_heif.from_pillow(draw((64, 48))).save(file, quality=90)
    with crop_maker(formats="+heic") as crops:
        assert facts(crops, file.getvalue()).format == "HEIC"
        assert difference(crops, file.getvalue(), image_bytes("PNG", size=(64, 48))) < 12
        assert outcome(crops, file.getvalue()[:-100]) == "corrupt_image"


def test_case_69_nothing_reaches_ghostscript(crops: CropMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch {tmp_path}/reached\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    postscript = image_bytes("EPS")
    bodies = [postscript, b"\r\n" + postscript, b"\xc5\xd0\xd3\xc6" + bytes(26) + postscript, image_bytes("PDF")]
    disguises = [magic + postscript for magic in (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM")]
    here = CropMaker(DecodeOptions(isolate="never"), PROCESSOR)
    outcomes = {outcome(where, body) for body in (*bodies, *disguises) for where in (crops, here)}
    assert outcomes <= {"unsupported_format", "corrupt_image", "not_an_image"}
    assert not (tmp_path / "reached").exists()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (image_bytes("PNG", size=(1, 1)), "ok"),
        (encode(Image.new("L", (1, 65_535)), "PNG"), "ok"),
        (encode(Image.new("L", (65_535, 1)), "PNG"), "ok"),
        (encode(Image.new("L", (65_500, 1)), "JPEG"), "ok"),
        (png_claiming((0, 0)), "corrupt_image"),
        (png_claiming((0, 9)), "corrupt_image"),
        (patched(image_bytes("BMP"), 18, bytes(8)), "corrupt_image"),
        (gif_claiming((0, 0), frame=(0, 0)), "corrupt_image"),
    ],
    ids=["1x1", "1x65535", "65535x1", "jpeg-65500x1", "png-0x0", "png-0x9", "bmp-0x0", "gif-0x0"],
)
def test_case_70_extreme_shapes(body: bytes, expected: str, poor_crops: CropMaker) -> None:
    assert outcome(poor_crops, body) == expected


@needs_shared_data
@pytest.mark.parametrize("path", sorted(SHARED.glob("pngsuite/x*.png")), ids=lambda path: path.stem)
def test_case_72_broken_files_of_pngsuite(path: Path, crops: CropMaker) -> None:
    """A broken signature is no image's."""
    expected = "not_an_image" if path.stem.startswith(("xcr", "xlf", "xs")) else "corrupt_image"
    assert outcome(crops, path.read_bytes()) == expected


@pytest.mark.parametrize(
    "save",
    [{}, {"mode": "L"}, {"mode": "CMYK"}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 3}, {"optimize": True}],
    ids=["plain", "grey", "cmyk", "restarts", "many-restarts", "optimized"],
)
@pytest.mark.parametrize("ground", ["drawn", "flat-below"])
def test_case_76_a_jpeg_half_with_an_end_marker_is_corrupt(save: dict[str, Any], ground: str, crops: CropMaker) -> None:
    save = dict(save)
    image = draw((320, 240))
    if ground == "flat-below":
        image.paste((128, 128, 128), (0, 160, 320, 240))  # the very grey that libjpeg fills with
    body = encode(image.convert(save.pop("mode", "RGB")), "JPEG", **save)
    assert outcome(crops, body) == "ok"
    halves = [body[: len(body) * tenths // 10] + b"\xff\xd9" for tenths in range(2, 9)]
    assert {outcome(crops, half) for half in halves} == {"corrupt_image"}


def test_case_76_a_progressive_part_with_an_end_marker_is_corrupt(crops: CropMaker) -> None:
    body = image_bytes(progressive=True)
    parts = [body[: len(body) * tenths // 10] + b"\xff\xd9" for tenths in range(2, 10)]
    assert {outcome(crops, part) for part in parts} == {"corrupt_image"}


@pytest.mark.parametrize("limit", [None, 10], ids=["no-limit", "small-limit"])
def test_case_76_the_hosts_switches_change_no_outcome(
    limit: int | None, crops: CropMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = [*SOUND.values(), *(body[: len(body) // 2] for body in SOUND.values()), png_claiming((65_536, 65_536))]
    before = [outcome(crops, body) for body in bodies]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    assert [outcome(crops, body) for body in bodies] == before
    assert (True, limit) == (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_case_77_an_image_that_outgrows_its_decoders_memory_costs_its_row(poor_crops: CropMaker) -> None:
    body = encode(Image.new("1", (9_900, 9_900)), "PNG")  # 100 MB as it is decoded, 400 MB more as it is seen
    codes = [outcome(poor_crops, body), outcome(poor_crops, SOUND["JPEG"])]
    assert codes == ["decoder_crash", "ok"]


def test_no_case_leaves_a_thread() -> None:
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("pixvec")] == []
