"""Bytes of strangers come to an image or to a reason; images of every kind look as people see them."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from pixvec.errors import ImageError
from pixvec.images.decode import Decoded, DecodeOptions, Header, OpenedImage, Policy, decoded_formats
from pixvec.images.preprocess import crop
from pixvec.model.checkpoint.processor import ProcessorConfig
from pixvec.testing.images import animation_bytes, draw, encode, gif_claiming, image_bytes, png_claiming
from tests.images.jpegs import one_component_a_scan

SHARED = Path(__file__).parents[3] / "shared" / "data"
needs_shared_data = pytest.mark.skipif(not SHARED.is_dir(), reason="the folder shared/data is not here")
FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpeg": ("JPEG", {}),
    "progressive": ("JPEG", {"progressive": True}),
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "webp": ("WEBP", {}),
    "lossless-webp": ("WEBP", {"lossless": True}),
    "bmp": ("BMP", {}),
    "avif": ("AVIF", {}),
}
UNDO = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
each_format = pytest.mark.parametrize(("format", "save"), FORMATS.values(), ids=FORMATS)


def opened(
    body: bytes,
    *,
    decode: Policy = "auto",
    formats: str = "",
    max_pixels: int = DecodeOptions().max_pixels,
    min_side: int | None = None,
) -> OpenedImage:
    return OpenedImage(body, policy=decode, formats=decoded_formats(formats), max_pixels=max_pixels, min_side=min_side)


def decode(body: bytes, **options: Any) -> Decoded:
    return opened(body, **options).decode()


def header(body: bytes, **options: Any) -> Header:
    return opened(body, **options).header


def code_of(body: bytes, **options: Any) -> str:
    with pytest.raises(ImageError) as caught:
        decode(body, **options)
    return caught.value.code


def rgb(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(image.convert("RGB"))


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def ihdr(bit_depth: int, color_type: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, bit_depth, color_type, 0, 0, 0))


def png(*chunks: bytes, n_channels: int = 1) -> bytes:
    """Write a PNG of 8 x 8 samples of 0."""
    pixels = chunk(b"IDAT", zlib.compress(bytes(8 * (1 + 8 * n_channels))))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + pixels + chunk(b"IEND")


PLTE = chunk(b"PLTE", bytes([10, 20, 30]) * 16)


@each_format
def test_the_header_says_what_the_file_is(format: str, save: dict[str, Any]) -> None:
    found = header(image_bytes(format, size=(37, 21), **save))
    assert (format, 37, 21, 1) == (found.format, found.width, found.height, found.frames)


@pytest.mark.parametrize("switch", [False, True], ids=["as-is", "host-loads-truncated"])
@each_format
def test_a_truncated_file_is_corrupt(
    format: str, save: dict[str, Any], switch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", switch)
    body = image_bytes(format, **save)
    codes = {code_of(body[: len(body) * tenths // 10]) for tenths in range(1, 10)}
    assert codes == {"corrupt_image"}
    assert decode(body).size == (320, 240)


@pytest.mark.parametrize("format", ["png", "gif", "webp", "lossless-webp", "avif"])
def test_a_host_that_loads_truncated_files_changes_nothing_about_zeros(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    name, save = FORMATS[format]
    body = image_bytes(name, **save)
    assert {code_of(body[: len(body) * part // 4].ljust(len(body), b"\0")) for part in (1, 2, 3)} == {"corrupt_image"}
    short = png(ihdr(8, 2))  # an eighth of the rows is there, with checksums that are right
    assert code_of(short) == "corrupt_image"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "not_an_image"),
        (b"<html>sorry</html>" * 9, "not_an_image"),
        (np.random.default_rng(0).bytes(100_000), "not_an_image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n" * 9, "unsupported_format"),
        (encode(draw((8, 8)), "TIFF"), "unsupported_format"),
        (png_claiming((0, 0)), "corrupt_image"),
        (png_claiming((65_536, 65_536)), "too_many_pixels"),
        (gif_claiming((1, 1), frame=(65_535, 65_535)), "too_many_pixels"),
        (b"\xff\xd8\xff" + bytes(100), "corrupt_image"),
    ],
    ids=["empty", "html", "random", "eps", "tiff", "0x0", "huge-png", "huge-gif-frame", "no-jpeg"],
)
@pytest.mark.parametrize("max_pixels", [1_000_000, None], ids=["host-limits", "host-does-not-limit"])
def test_what_cannot_be_decoded_says_why(
    body: bytes, code: str, max_pixels: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", max_pixels)
    assert code_of(body) == code


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "AVIF"])
def test_the_limit_of_pixels_is_ours_and_not_the_hosts(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    body = image_bytes(format, size=(20, 20))
    assert decode(body, max_pixels=400).size == (20, 20)
    assert code_of(body, max_pixels=399) == "too_many_pixels"


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("1", "RGB"), ("L", "L"), ("P", "RGB"), ("RGB", "RGB"), ("LA", "RGB"), ("RGBA", "RGB"), ("I;16", "L")],
)
def test_every_mode_of_a_png_is_made_ready(mode: str, expected: str) -> None:
    assert decode(image_bytes("PNG", mode=mode)).image.mode == expected


def test_16_bit_grey_is_scaled_and_not_clipped() -> None:
    deep, grey = draw(mode="I;16"), draw(mode="L")
    assert np.array_equal(rgb(grey), rgb(decode(encode(deep, "PNG")).image))


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF"])
def test_what_is_clear_is_white(format: str) -> None:
    image = draw(mode="RGBA")
    image.putalpha(0)
    assert rgb(decode(encode(image, format)).image).min() == 255


@pytest.mark.parametrize(
    ("mode", "color", "transparency"),
    [("1", 0, 0), ("1", 255, 255), ("L", 7, 7), ("RGB", (1, 2, 3), (1, 2, 3)), ("I;16", 300, 300)],
)
def test_the_transparent_colour_of_a_png_is_white(mode: str, color: Any, transparency: Any) -> None:
    body = encode(Image.new(mode, (4, 4), color), "PNG", transparency=transparency)
    assert rgb(decode(body).image).min() == 255


@pytest.mark.parametrize("format", ["PNG", "GIF"])
def test_the_transparent_index_of_a_palette_is_white(format: str) -> None:
    image = draw(mode="P")
    index = int(np.bincount(np.asarray(image).ravel()).argmax())
    clear = np.asarray(image) == index
    seen = rgb(decode(encode(image, format, transparency=index)).image)
    assert seen[clear].min() == 255
    assert np.array_equal(rgb(image)[~clear], seen[~clear])


@pytest.mark.parametrize(
    "body",
    [
        png(ihdr(8, 3)),
        png(ihdr(8, 2), chunk(b"tRNS", bytes(6)), ihdr(8, 3), PLTE),
        png(ihdr(8, 2), chunk(b"tRNS", bytes(6)), ihdr(16, 0), n_channels=2),
        png(ihdr(8, 3), chunk(b"tRNS", b"\1\2\3"), ihdr(8, 2), n_channels=3),
        png(ihdr(8, 3), chunk(b"tRNS", b"\1\2\3"), ihdr(8, 0)),
    ],
    ids=["no-palette", "rgb-then-palette", "rgb-then-16-bit", "palette-then-rgb", "palette-then-grey"],
)
def test_a_png_that_contradicts_itself_is_corrupt(body: bytes) -> None:
    assert code_of(body) == "corrupt_image"


@pytest.mark.parametrize(
    ("body", "color"),
    [
        (png(ihdr(8, 3), PLTE, chunk(b"tRNS", b"\x80" * 300)), (132, 137, 142)),
        (png(ihdr(8, 3), PLTE, chunk(b"tRNS", b"\xff" * 299 + b"\0")), (10, 20, 30)),
        (png(chunk(b"tEXt", b"aaaaaaaa\0xxxx"), ihdr(8, 0), chunk(b"tRNS", b"\0\1")), (0, 0, 0)),
        (png(chunk(b"tEXt", b"aaaaaaaa\0xxxx"), ihdr(8, 0), chunk(b"tRNS", b"\0\0")), (255, 255, 255)),
    ],
    ids=["alphas-past-the-palette", "index-past-the-palette", "text-first", "text-first-and-clear"],
)
def test_a_png_with_a_harmless_fault_is_seen(body: bytes, color: tuple[int, int, int]) -> None:
    assert (rgb(decode(body).image) == color).all()


@pytest.mark.parametrize(("alpha", "color"), [(0, (200, 20, 10)), (255, (200, 20, 10)), (128, (227, 137, 132))])
def test_a_bmp_that_is_clear_everywhere_is_opaque(alpha: int, color: tuple[int, int, int]) -> None:
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 8, 8, 1, 32, 3, 256, 0, 0, 0, 0) + masks + bytes(52)
    body = b"BM" + struct.pack("<IHHI", 378, 0, 0, 122) + header + bytes([10, 20, 200, alpha]) * 64
    assert (rgb(decode(body).image) == color).all()


@needs_shared_data
@pytest.mark.parametrize("name", ["tbbn0g04", "tbwn0g16", "tbbn2c16", "tbrn2c08", "tbbn3p08", "tp1n3p08"])
def test_the_transparent_ground_of_pngsuite_is_white(name: str) -> None:
    corner = decode((SHARED / "pngsuite" / f"{name}.png").read_bytes()).image.convert("RGB").getpixel((0, 0))
    assert corner == (255, 255, 255)


@needs_shared_data
@pytest.mark.parametrize("path", sorted(SHARED.glob("pngsuite/[!x]*.png")), ids=lambda path: path.stem)
def test_every_sound_file_of_pngsuite_is_decoded(path: Path) -> None:
    assert decode(path.read_bytes()).image.mode in {"L", "RGB"}


@needs_shared_data
@pytest.mark.parametrize(
    ("code", "names"),
    [
        ("not_an_image", ["xcrn0g04", "xlfn0g04", "xs1n0g01", "xs2n0g01", "xs4n0g01", "xs7n0g01"]),
        (
            "corrupt_image",
            ["xc1n0g08", "xc9n2c08", "xd0n2c08", "xd3n2c08", "xd9n2c08", "xdtn0g01", "xhdn0g08", "xcsn0g01"],
        ),
    ],
    ids=["broken-signature", "broken-inside"],
)
def test_broken_files_of_pngsuite_say_why(code: str, names: list[str]) -> None:
    codes = [code_of((SHARED / "pngsuite" / f"{name}.png").read_bytes()) for name in names]
    assert [code] * len(names) == codes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_a_turned_copy_has_the_same_pixels(format: str, orientation: int) -> None:
    upright = draw((60, 40))
    turned = upright.transpose(UNDO[orientation]) if orientation in UNDO else upright
    decoded = decode(encode(turned, format, orientation=orientation, lossless=True))
    assert decoded.size == (60, 40)
    assert np.array_equal(rgb(upright), rgb(decoded.image))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_avif_is_turned_once(orientation: int) -> None:
    upright = draw((64, 48))
    turned = upright.transpose(UNDO[orientation]) if orientation in UNDO else upright
    seen = rgb(decode(encode(turned, "AVIF", orientation=orientation, quality=95)).image).astype(int)
    assert abs(seen - rgb(upright)).mean() < 10


@needs_shared_data
@pytest.mark.parametrize("shape", ["Landscape", "Portrait"])
def test_oriented_photographs_look_alike(shape: str) -> None:
    bodies = [(SHARED / "exif-orientation" / f"{shape}_{number}.jpg").read_bytes() for number in range(9)]
    images = [rgb(decode(body).image.resize((32, 32))).astype(int) for body in bodies]
    assert max(abs(one - images[0]).mean() for one in images) < 3


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
@pytest.mark.parametrize("exif", [b"Exif\0\0", b"Exif\0\0junkjunk", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0MM\0*"])
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_a_broken_exif_block_is_ignored(format: str, exif: bytes) -> None:
    assert decode(image_bytes(format, exif=exif)).size == (320, 240)


@pytest.mark.parametrize("format", ["GIF", "PNG", "WEBP", "AVIF"])
def test_an_animation_is_its_first_frame(format: str) -> None:
    body = animation_bytes(format, seeds=(0, 1, 2))
    decoded = decode(body)
    assert header(body).frames == 3
    assert abs(rgb(decoded.image).astype(int) - rgb(draw((64, 48), seed=0))).mean() < 12


def test_what_the_first_frame_of_a_gif_leaves_is_white() -> None:
    body = image_bytes("GIF", size=(20, 10))
    image_at = body.index(b",", 13 + (3 << (body[10] & 7) + 1))
    body = (
        body[:6]
        + struct.pack("<HH", 40, 30)
        + body[10 : image_at + 1]
        + struct.pack("<HH", 5, 7)
        + body[image_at + 5 :]
    )
    seen, referred = rgb(decode(body).image), rgb(decode(body, decode="reference").image)
    expected = np.full((30, 40, 3), 255, np.uint8)
    expected[7:17, 5:25] = referred[7:17, 5:25]
    assert np.array_equal(expected, seen)
    assert np.array_equal(rgb(Image.open(io.BytesIO(body))), referred)


def test_the_hidden_image_of_an_animated_png_is_not_seen() -> None:
    hidden, first, second = (Image.new("RGBA", (9, 9), color) for color in ("red", (0, 0, 0, 0), "blue"))
    first.paste("lime", (3, 3, 6, 6))
    body = encode(hidden, "PNG", save_all=True, append_images=[first, second], default_image=True, blend=1)
    seen = decode(body)
    assert seen.image.getcolors() == [(72, (255, 255, 255)), (9, (0, 255, 0))]
    assert header(body).frames == 3
    assert decode(body, decode="reference").image.getcolors() == [(81, (255, 0, 0))]


def test_an_animation_of_more_frames_than_can_be_counted_is_none() -> None:
    assert header(png(ihdr(8, 0), chunk(b"acTL", struct.pack(">II", 2**31, 0)))).frames == 1


@pytest.mark.parametrize("junk", [b"\r\n\r\n", b"stray"])
def test_bytes_around_a_jpeg_do_no_harm(junk: bytes) -> None:
    body = image_bytes()
    assert np.array_equal(rgb(decode(body).image), rgb(decode(junk + body + junk).image))


def test_cmyk_waits_for_the_crop() -> None:
    assert decode(image_bytes(mode="CMYK")).image.mode == "CMYK"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "I;16"])
def test_the_reference_policy_is_pillows_plain_conversion_where_there_is_no_alpha(mode: str) -> None:
    image = draw(mode=mode)
    decoded = decode(encode(image, "PNG", orientation=6), decode="reference", min_side=10)
    assert np.array_equal(rgb(image), np.asarray(decoded.image))


@pytest.mark.parametrize(
    ("mode", "save"),
    [
        ("RGBA", {}),
        ("LA", {}),
        ("P", {"transparency": bytes(range(256))}),
        ("P", {"transparency": 30}),
        ("L", {"transparency": 30}),
        ("RGB", {"transparency": (255, 255, 255)}),
        ("1", {"transparency": 0}),
    ],
    ids=["RGBA", "LA", "palette of alphas", "palette", "L", "RGB", "1"],
)
def test_the_reference_policy_puts_what_is_clear_on_white(mode: str, save: dict[str, Any]) -> None:
    body = encode(draw(mode=mode), "PNG", **save)
    image = Image.open(io.BytesIO(body)).convert("RGBA")
    expected = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    assert np.array_equal(rgb(expected), np.asarray(decode(body, decode="reference").image))


@pytest.mark.parametrize("format", ["GIF", "PNG"])
def test_the_reference_policy_puts_a_clear_colour_on_white(format: str) -> None:
    image = draw(mode="P")
    image.paste(30, (0, 0, *image.size))
    body = encode(image, format, transparency=30)
    assert np.asarray(decode(body, decode="reference").image).min() == 255


@pytest.mark.parametrize(
    ("min_side", "options", "expected"),
    [
        (100, {}, (161, 121)),
        (120, {}, (161, 121)),
        (121, {}, (321, 241)),
        (None, {}, (321, 241)),
        (30, {}, (41, 31)),
        (30, {"decode": "full"}, (321, 241)),
        (30, {"decode": "reference"}, (321, 241)),
    ],
)
def test_a_jpeg_is_scaled_to_no_less_than_needed(
    min_side: int | None, options: dict[str, Any], expected: tuple[int, int]
) -> None:
    decoded = decode(image_bytes(size=(321, 241)), min_side=min_side, **options)
    assert decoded.image.size == expected
    assert decoded.size == (321, 241)


@pytest.mark.parametrize(
    ("orientation", "size", "box"),
    [
        (1, (321, 243), (0, 0, 160.5, 121.5)),
        (2, (321, 243), (0.5, 0, 161, 121.5)),
        (3, (321, 243), (0.5, 0.5, 161, 122)),
        (4, (321, 243), (0, 0.5, 160.5, 122)),
        (5, (243, 321), (0, 0, 121.5, 160.5)),
        (6, (243, 321), (0.5, 0, 122, 160.5)),
        (7, (243, 321), (0.5, 0.5, 122, 161)),
        (8, (243, 321), (0, 0.5, 121.5, 161)),
    ],
)
def test_a_scaled_image_knows_where_it_lies(
    orientation: int, size: tuple[int, int], box: tuple[float, float, float, float]
) -> None:
    decoded = decode(image_bytes(size=(321, 243), orientation=orientation), min_side=100)
    assert (size, box) == (decoded.size, decoded.box)


@pytest.mark.parametrize(
    ("body", "n_pixels"),
    [
        (image_bytes("PNG"), 320 * 240),
        (image_bytes("WEBP"), 3 * 320 * 240),
        (image_bytes("AVIF"), 2 * 320 * 240),
        (image_bytes("JPEG"), 40 * 30),
        (image_bytes("JPEG", progressive=True), 320 * 240),
        (one_component_a_scan([draw(mode="L")] * 3, factors=[0x11] * 3), 320 * 240),
    ],
    ids=["png", "webp", "avif", "scaled", "progressive", "many-scans"],
)
def test_a_header_says_what_decoding_will_cost(body: bytes, n_pixels: int) -> None:
    assert header(body, min_side=30).n_pixels == n_pixels


def test_the_detail_names_the_exception_and_no_bytes_of_the_body() -> None:
    body = image_bytes("BMP")
    with pytest.raises(ImageError, match=r"^corrupt_image: the BMP decoder failed with EOFError$"):
        decode(body[: len(body) // 2])


SEEDS = [
    *(image_bytes("PNG", size=(24, 18), mode=mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
    *(image_bytes("BMP", size=(24, 18), mode=mode) for mode in ("1", "P", "RGB")),
    *(image_bytes("JPEG", size=(24, 18), mode=mode, orientation=6) for mode in ("L", "RGB", "CMYK")),
    *(image_bytes(name, size=(24, 18), mode="RGBA") for name in ("WEBP", "AVIF")),
    *(animation_bytes(name, size=(24, 18)) for name in ("GIF", "PNG", "WEBP")),
    encode(draw((24, 18), mode="P"), "PNG", transparency=bytes(range(256))),
]

PLACES = st.integers(0, 80) | st.integers(0, 400)  # what is read with most trust stands in front
VALUES = st.integers(0, 255) | st.sampled_from(b"\0\1\xffA")


def without_chunk(number: int, body: bytes) -> bytes:
    """Write a PNG anew, with right checksums, and one chunk less if it has as many."""
    at, chunks = 8, []
    while at + 12 <= len(body):
        end = at + 8 + int.from_bytes(body[at : at + 4])
        chunks.append(chunk(body[at + 4 : at + 8], body[at + 8 : end]))
        at = end + 4
    return body[:8] + b"".join(chunks[:number] + chunks[number + 1 :])


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=1000)
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(PLACES, VALUES), max_size=4),
    st.integers(0, 4),
    st.sampled_from(["auto", "reference"]),
)
def test_a_mutated_file_gives_an_image_or_a_reason(
    body: bytes, edits: list[tuple[int, int]], left_out: int, policy: str
) -> None:
    mutated = bytearray(body)
    for place, value in edits:
        mutated[place % len(body)] = value
    body = without_chunk(left_out, bytes(mutated)) if body.startswith(b"\x89PNG") else bytes(mutated)
    try:
        decoded = decode(body, min_side=16, decode=policy, max_pixels=100_000)
    except ImageError:
        return
    processor = ProcessorConfig(resize=16, center_crop=(16, 16))
    assert crop(decoded.image, processor, size=decoded.size, box=decoded.box).shape == (16, 16, 3)
