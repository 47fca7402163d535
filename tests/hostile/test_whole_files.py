"""Files that lost pixels have no vector, whole files have that of their pixels, and other variants are named."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from PIL import ExifTags, Image

import pixvec
from pixvec.testing.images import animation_bytes, draw, encode, image_bytes

SIZE = (64, 48)
PNG = image_bytes("PNG", size=SIZE)
START, END = PNG[:33], PNG[-12:]  # up to the header, and the end chunk
CORRUPT, UNSUPPORTED = "corrupt_image", "unsupported_format"


@pytest.fixture(scope="module")
def embedder(checkpoint: str) -> Iterator[pixvec.Embedder]:
    with pixvec.Embedder(model=checkpoint, formats="+tiff") as embedder:
        yield embedder


def outcomes(embedder: pixvec.Embedder, bodies: Mapping[str, bytes]) -> dict[str, str]:
    column = embedder.embed(list(bodies.values()))
    return {name: error or "ok" for name, error in zip(bodies, column.errors, strict=True)}


def unlike(embedder: pixvec.Embedder, bodies: Mapping[str, Any], twin: bytes) -> dict[str, str]:
    """Find which images have another vector than their twin, bit for bit, or none."""
    column = embedder.embed([*bodies.values(), twin])
    *bits, expected = [vector.tobytes() for vector in column.vectors]
    assert column.errors[-1] is None
    return {
        name: error or "other"
        for name, one, error in zip(bodies, bits, column.errors, strict=False)
        if error or one != expected
    }


def all_are(code: str, bodies: Mapping[str, bytes]) -> dict[str, str]:
    return dict.fromkeys(bodies, code)


def zero_filled(body: bytes) -> dict[str, bytes]:
    """Cut a file at each tenth, and fill it up with zeros to its old length."""
    cuts = {f"{tenths}0%": len(body) * tenths // 10 for tenths in range(1, 10)}
    return {name: body[:cut].ljust(len(body), b"\0") for name, cut in cuts.items()}


# PNG ------------------------------------------------------------------------------------------------------------------


def chunk(name: bytes, data: bytes = b"", *, is_sound: bool = True) -> bytes:
    checksum = zlib.crc32(name + data) ^ (not is_sound)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)


def chunks(body: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at < len(body):
        n_bytes = int.from_bytes(body[at : at + 4])
        yield body[at + 4 : at + 8], body[at + 8 : at + 8 + n_bytes]
        at += 12 + n_bytes


def png(*parts: bytes, start: bytes = START) -> bytes:
    return start + b"".join(parts) + END


PIXELS = b"".join(data for name, data in chunks(PNG) if name == b"IDAT")
IDAT = chunk(b"IDAT", PIXELS)


def control(number: int, *, width: int = 64, height: int = 48, left: int = 0, top: int = 0) -> bytes:
    return chunk(b"fcTL", struct.pack(">5I2H2B", number, width, height, left, top, 1, 10, 0, 0))


def frame(number: int, pixels: bytes = PIXELS, *, is_sound: bool = True) -> bytes:
    return chunk(b"fdAT", struct.pack(">I", number) + pixels, is_sound=is_sound)


TWO_FRAMES = chunk(b"acTL", struct.pack(">II", 2, 0))
HIDDEN = chunk(b"IDAT", zlib.compress(bytes(48 * (1 + 3 * 64))))
ORIENTATION_6 = b"MM\0*\0\0\0\x08\0\1\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"


@pytest.mark.parametrize("n_parts", [1, 20])
def test_a_png_that_was_filled_up_with_zeros_is_corrupt(n_parts: int, embedder: pixvec.Embedder) -> None:
    step = -(-len(PIXELS) // n_parts)
    body = png(*(chunk(b"IDAT", PIXELS[at : at + step]) for at in range(0, len(PIXELS), step)))
    assert unlike(embedder, {"whole": body}, PNG) == {}
    filled = zero_filled(body)
    assert outcomes(embedder, filled) == all_are(CORRUPT, filled)


def compressed_rows(n_rows: int, n_bytes: int = 193) -> bytes:
    return chunk(b"IDAT", zlib.compress(bytes([0] + [7] * (n_bytes - 1)) * n_rows))


ADAM7_ROWS = ([2], [2], [3], [3, 3], [5, 5], [5] * 4, [9] * 4)
"""The bytes of each row of each pass, of 8 x 8 grey pixels."""


def interlaced(n_passes: int) -> bytes:
    raw = bytes(sum(map(sum, ADAM7_ROWS[:n_passes])))
    start = PNG[:8] + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1))
    return png(chunk(b"IDAT", zlib.compress(raw)), start=start)


def test_a_png_with_sound_checksums_and_too_few_pixels_is_corrupt(embedder: pixvec.Embedder) -> None:
    lacking = {
        "no-rows": png(compressed_rows(0)),
        "a-row-less": png(compressed_rows(47)),
        "a-byte-less": png(chunk(b"IDAT", zlib.compress(bytes(48 * 193 - 1)))),
        "a-pass-less": interlaced(6),
        "frame": png(TWO_FRAMES, HIDDEN, control(0), frame(1, compressed_rows(20)[8:-4])),
    }
    whole = {"rows": png(compressed_rows(48)), "black": png(HIDDEN), "interlaced": interlaced(7)}
    assert outcomes(embedder, lacking | whole) == all_are(CORRUPT, lacking) | all_are("ok", whole)


def test_a_broken_chunk_that_pixels_need_costs_a_png(embedder: pixvec.Embedder) -> None:
    of_palette = image_bytes("PNG", size=SIZE, mode="P")
    parts = dict(chunks(of_palette))
    palette = chunk(b"PLTE", parts[b"PLTE"], is_sound=False)
    bodies = {
        "header": png(IDAT, start=PNG[:8] + chunk(b"IHDR", PNG[16:29], is_sound=False)),
        "two-headers": png(IDAT, start=START + START[8:]),
        "palette": png(chunk(b"IDAT", parts[b"IDAT"]), start=of_palette[:33] + palette),
        "no-palette": png(chunk(b"IDAT", parts[b"IDAT"]), start=of_palette[:33]),
        "pixels": png(chunk(b"IDAT", PIXELS, is_sound=False)),
        "last-pixels": png(chunk(b"IDAT", PIXELS[:-9]), chunk(b"IDAT", PIXELS[-9:], is_sound=False)),
        "first-frame": png(TWO_FRAMES, HIDDEN, control(0), frame(1, is_sound=False)),
        "first-frame-off": png(TWO_FRAMES, HIDDEN, control(0, left=1), frame(1)),
        "first-frame-empty": png(TWO_FRAMES, HIDDEN, control(0, width=0), frame(1)),
    }
    assert outcomes(embedder, bodies) == all_are(CORRUPT, bodies)


def test_an_ancillary_chunk_decides_nothing_about_a_png(embedder: pixvec.Embedder) -> None:
    ancillary = {
        "text-checksum": chunk(b"tEXt", b"a\0b", is_sound=False),
        "phys-checksum": chunk(b"pHYs", bytes(9), is_sound=False),
        "short-phys": chunk(b"pHYs", bytes(2)),
        "short-gamma": chunk(b"gAMA", bytes(2)),
        "short-primaries": chunk(b"cHRM", bytes(2)),
        "empty-srgb": chunk(b"sRGB"),
        "short-transparency": chunk(b"tRNS", bytes(2)),
        "transparency-checksum": chunk(b"tRNS", bytes(6), is_sound=False),
        "large-ztxt": chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3 << 20))),
        "large-itxt": chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(3 << 20))),
        "ztxt-method": chunk(b"zTXt", b"a\0\7abc"),
        "profile-method": chunk(b"iCCP", b"a\0\7abc"),
        "large-profile": chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(3 << 20))),
        "exif-checksum": chunk(b"eXIf", ORIENTATION_6, is_sound=False),
        "broken-exif": chunk(b"eXIf", b"junk"),
        "no-frames": TWO_FRAMES,
        "short-animation": chunk(b"acTL", bytes(3)),
        "animation-checksum": chunk(b"acTL", struct.pack(">II", 2, 0), is_sound=False) + control(0, width=9),
        "frame-of-no-animation": control(7, width=9),
    }
    bodies = {name: png(part, IDAT) for name, part in ancillary.items()}
    bodies |= {f"{name}-behind": png(IDAT, part) for name, part in ancillary.items()}
    assert unlike(embedder, bodies, PNG) == {}


def test_a_png_needs_no_end_and_its_animation_no_other_frame(embedder: pixvec.Embedder) -> None:
    bodies = {
        "no-end-chunk": PNG[:-12],
        "half-an-end-chunk": PNG[:-6],
        "junk-behind": PNG[:-12] + b"junk" * 9,
        "frames-cut-off": png(TWO_FRAMES, control(0), IDAT, control(1), frame(2))[:-100],
        "second-frame-broken": png(TWO_FRAMES, control(0), IDAT, control(1), frame(2, is_sound=False)),
        "hidden-image-broken": png(TWO_FRAMES, chunk(b"IDAT", b"junk", is_sound=False), control(0), frame(1)),
        "hidden-image-alone": png(TWO_FRAMES, IDAT, control(0)),
        "frame-in-parts": png(TWO_FRAMES, HIDDEN, control(0), frame(1, PIXELS[:99]), frame(2, PIXELS[99:]), control(3)),
    }
    assert unlike(embedder, bodies, PNG) == {}


def test_apples_variant_of_png_is_named(embedder: pixvec.Embedder) -> None:
    body = png(chunk(b"IDAT", PIXELS[2:-4]), start=PNG[:8] + chunk(b"CgBI", bytes(4)) + START[8:])
    column = embedder.embed([body])
    assert (column.errors, "CgBI" in str(column.details[0])) == ([UNSUPPORTED], True)


# WebP, AVIF, GIF ------------------------------------------------------------------------------------------------------

COMPRESSED: dict[str, tuple[str, dict[str, Any]]] = {
    "lossy": ("WEBP", {}),
    "lossless": ("WEBP", {"lossless": True}),
    "clear": ("WEBP", {"mode": "RGBA"}),
    "turned": ("WEBP", {"orientation": 6}),
    "avif": ("AVIF", {}),
    "gif": ("GIF", {}),
}


@pytest.mark.parametrize(("format", "save"), COMPRESSED.values(), ids=COMPRESSED)
def test_a_file_that_was_filled_up_with_zeros_is_corrupt(
    format: str, save: dict[str, Any], embedder: pixvec.Embedder
) -> None:
    body = image_bytes(format, **save)
    filled = zero_filled(body)
    assert outcomes(embedder, {"whole": body, **filled}) == {"whole": "ok", **all_are(CORRUPT, filled)}


def test_a_small_gif_is_corrupt_wherever_zeros_begin(embedder: pixvec.Embedder) -> None:
    body = image_bytes("GIF", size=(16, 16))
    pixels_at = body.index(b",", 13 + (3 << (body[10] & 7) + 1)) + 11
    filled = {str(cut): body[:cut].ljust(len(body), b"\0") for cut in range(pixels_at, len(body) - 2, 7)}
    later = animation_bytes("GIF", size=(16, 16))
    bodies = {"whole": body, "zeros-in-a-later-frame": later[:-20] + bytes(20), **filled}
    assert outcomes(embedder, bodies) == {"whole": "ok", "zeros-in-a-later-frame": "ok", **all_are(CORRUPT, filled)}


def test_a_flat_image_that_ends_in_zeros_is_whole(embedder: pixvec.Embedder) -> None:
    half = draw((320, 240))
    half.paste((0, 0, 0), (0, 60, 320, 240))
    bodies = {f"{kind}-{quality}": encode(half, "WEBP", method=0, quality=quality, lossless=kind == "lossless")
              for kind in ("lossy", "lossless") for quality in (10, 80)}  # fmt: skip
    assert any(body.rstrip(b"\0") != body[:-1] and body.endswith(bytes(100)) for body in bodies.values())
    assert outcomes(embedder, bodies) == all_are("ok", bodies)


def with_riff_length(body: bytes, surplus: int) -> bytes:
    return body[:4] + struct.pack("<I", len(body) - 8 + surplus) + body[8:]


@pytest.mark.parametrize(
    "body",
    [
        image_bytes("WEBP", size=SIZE),
        image_bytes("WEBP", size=SIZE, lossless=True),
        image_bytes("WEBP", size=SIZE, mode="RGBA", orientation=6),
        animation_bytes("WEBP", size=SIZE),
    ],
    ids=["lossy", "lossless", "extended", "animation"],
)
def test_the_outer_length_of_a_webp_decides_nothing(body: bytes, embedder: pixvec.Embedder) -> None:
    longer = {str(surplus): with_riff_length(body, surplus) for surplus in (1, 20, 1 << 30)}
    assert unlike(embedder, longer, body) == {}


def test_a_webp_that_was_cut_off_is_corrupt_wherever_that_was(embedder: pixvec.Embedder) -> None:
    body = image_bytes("WEBP", size=SIZE, orientation=6)
    cuts = {str(n_bytes): body[:n_bytes] for n_bytes in range(20, len(body))}
    assert outcomes(embedder, cuts) == all_are(CORRUPT, cuts)


def test_a_webp_may_be_very_short(embedder: pixvec.Embedder) -> None:
    short = bytes.fromhex("5249464614000000574542505650384c080000002f63c01810888808")
    assert unlike(embedder, {"28-bytes": short}, short + bytes(4)) == {}


def test_broken_exif_of_an_avif_decides_nothing(embedder: pixvec.Embedder) -> None:
    plain = image_bytes("AVIF", size=SIZE)
    make = Image.Exif()
    make[ExifTags.Base.Make] = "pixvec"
    body = image_bytes("AVIF", size=SIZE, exif=make.tobytes())
    at = body.index(b"MM\0*" if b"MM\0*" in body else b"II*\0")
    bodies = {
        "sound": body,
        "junk": body[:at] + b"junk" + body[at + 4 :],
        "zeros": body[:at] + bytes(12) + body[at + 12 :],
        "offset": body[: at - 10] + b"\xff" * 10 + body[at:],
    }
    assert unlike(embedder, bodies, plain) == {}


def test_an_avif_may_have_a_table_of_properties_for_each_item(embedder: pixvec.Embedder) -> None:
    """As early encoders wrote it for an image with alpha; the decoder takes it for an error."""
    body = image_bytes("AVIF", size=SIZE, mode="RGBA")
    at = body.index(b"ipma")
    assert body[at : at + 12] == b"ipma\0\0\0\0\0\0\0\2"  # two items in one table
    n_bytes = int.from_bytes(body[at - 4 : at])
    entries = body[at + 12 : at - 4 + n_bytes]
    first = 3 + entries[2]
    tables = b"".join(
        struct.pack(">I8sI", 16 + len(part), b"ipma" + bytes(4), 1) + part
        for part in (entries[:first], entries[first:])
    )
    grown = body[: at - 4] + tables + body[at - 4 + n_bytes :]
    assert unlike(embedder, {"two-tables": moved(grown, at - 4, 16)}, body) == {}


def moved(avif: bytes, at: int, n_bytes: int) -> bytes:
    """Let the boxes around a place be so many bytes longer, and what they say lies behind it be so many further on."""
    parts = bytearray(avif)

    def add(where: int) -> None:
        parts[where : where + 4] = (int.from_bytes(parts[where : where + 4]) + n_bytes).to_bytes(4)

    for name in (b"meta", b"iprp"):
        add(avif.index(name) - 4)
    iloc = avif.index(b"iloc")
    assert avif[iloc + 4 : iloc + 10] == b"\0\0\0\0\x44\0"  # offsets and lengths of four bytes
    for item in range(int.from_bytes(avif[iloc + 10 : iloc + 12])):
        add(iloc + 12 + 14 * item + 6)
    return bytes(parts)


def test_stray_zeros_between_the_blocks_of_a_gif_decide_nothing(embedder: pixvec.Embedder) -> None:
    body = image_bytes("GIF", size=SIZE, comment=b"a comment")
    at = body.index(b"!\xfe")
    frame_at = body.index(b",", at + 12)
    bodies = {
        "before-the-frame": body[:frame_at] + b"\0" + body[frame_at:],
        "three": body[:frame_at] + b"\0\0\0" + body[frame_at:],
        "before-a-comment": body[:at] + b"\0" + body[at:],
        "no-trailer": body[:-1],
    }
    assert unlike(embedder, bodies, body) == {}


# BMP, and formats that are not decoded --------------------------------------------------------------------------------


def bmp(
    n_bits: int, *, compression: int = 0, header: int = 40, masks: bytes = b"", n_colors: int = 0, rest: bytes = b""
) -> bytes:
    """Write a BMP of 8 x 8 pixels."""
    fields = struct.pack("<IiiHHIIiiII", header, 8, 8, 1, n_bits, compression, 0, 0, 0, n_colors, 0) + masks
    fields = fields[:header] if header < 40 else fields.ljust(header, b"\0")
    palette = bytes(4 << n_bits) if n_bits <= 8 else b""
    start = 14 + len(fields) + len(palette)
    pixels = rest or bytes(range(256))[: 8 * max(4, n_bits)].ljust(8 * max(4, n_bits), b"\7")
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + fields + palette + pixels


def test_whole_bmps_of_other_kinds_are_named(embedder: pixvec.Embedder) -> None:
    variants = {
        "masks": bmp(16, compression=3, masks=struct.pack("<3I", 0xF00, 0xF0, 0xF)),
        "masks-of-32": bmp(
            32, compression=3, header=124, masks=struct.pack("<4I", 0x3FF, 0xFFC00, 0x3FF00000, 3 << 30)
        ),
        "masks-and-alpha": bmp(32, compression=6, masks=struct.pack("<4I", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)),
        "rle24": bmp(24, compression=4, header=64),
        "huffman": bmp(1, compression=3, header=64),
        "os2-header": bmp(8, header=16),
        "another-os2-header": bmp(8, header=24),
        "jpeg-inside": bmp(0, compression=4, header=124, rest=image_bytes(size=(8, 8))),
        "png-inside": bmp(0, compression=5, header=124, rest=image_bytes("PNG", size=(8, 8))),
        "2-bits": bmp(2),
        "64-bits": bmp(64),
        "cmyk": bmp(32, compression=11),
    }
    assert outcomes(embedder, variants) == all_are(UNSUPPORTED, variants)
    column = embedder.embed(list(variants.values()))
    assert [str(detail).startswith("a BMP with ") for detail in column.details] == [True] * len(variants)


def test_a_bmp_that_makes_no_sense_is_corrupt(embedder: pixvec.Embedder) -> None:
    body = bmp(24)
    bodies = {
        "depth": bmp(3),
        "compression": bmp(24, compression=77),
        "negative-width": body[:18] + struct.pack("<i", -8) + body[22:],
        "half-a-header": bmp(16, compression=3, header=124)[:60],
    }
    assert outcomes(embedder, {"whole": body, **bodies}) == {"whole": "ok", **all_are(CORRUPT, bodies)}


def test_a_bmp_may_claim_more_colours_than_its_pixels_can_name(embedder: pixvec.Embedder) -> None:
    bodies = {str(n_colors): bmp(8, n_colors=n_colors) for n_colors in (257, 300, 1 << 30)}
    assert unlike(embedder, bodies, bmp(8)) == {}


NAMED = {
    "QOI": b"qoif\0\0\0\x08\0\0\0\x08\3\0" + bytes(20),
    "PNM": b"P6\n# by hand\n8 8\n255\n" + bytes(192),
    "PFM": b"PF\n8 8\n-1.0\n" + bytes(768),
    "DDS": b"DDS \x7c\0\0\0" + bytes(200),
    "ICNS": b"icns\0\0\0\x40ic07" + bytes(60),
    "TGA": bytes(2) + b"\2" + bytes(40) + b"TRUEVISION-XFILE.\0",
    "OpenEXR": b"v/1\1\2\0\0\0" + bytes(40),
    "Radiance HDR": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 8 +X 8\n" + bytes(40),
    "JPEG XR": b"II\xbc\1\x08\0\0\0" + bytes(40),
    "MNG": b"\x8aMNG\r\n\x1a\n" + bytes(40),
    "XCF": b"gimp xcf v011\0" + bytes(40),
    "OS/2 bitmap array": b"BA" + bytes(12) + bmp(8),
}


@pytest.mark.parametrize(("name", "body"), NAMED.items(), ids=NAMED)
def test_other_formats_of_images_are_named(name: str, body: bytes, embedder: pixvec.Embedder) -> None:
    column = embedder.embed([body])
    assert column.errors == [UNSUPPORTED]
    assert str(column.details[0]).startswith(f"a file in the format {name};")


def test_a_text_that_begins_like_an_image_is_none(embedder: pixvec.Embedder) -> None:
    texts = {
        "PNM": b"P1 is the first parking lot, and P2 the second",
        "P7": b"P7\nwhere the bus stops every ten minutes",
        "PFM": b"Pf 3 of our prices is a mistake, we are sorry",
        "DDS": b"DDS stands for Doctor of Dental Surgery, we think",
        "ICNS": b"icns are what Apple calls its icons, says a page",
        "BA": b"BA flights were late today, and so were most others",
        "QOI": b"qoif? said nobody ever on a page of this length",
    }
    assert outcomes(embedder, texts) == all_are("not_an_image", texts)


# What is not looked at ------------------------------------------------------------------------------------------------

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
RAW_PROFILE = b"Raw profile type exif\0\nexif\n 32\n" + (b"Exif\0\0" + ORIENTATION_6).hex().encode()


@pytest.mark.parametrize("format", ["JPEG", "WEBP", "AVIF", "TIFF"])
def test_an_orientation_that_only_xmp_names_is_ignored(format: str, embedder: pixvec.Embedder) -> None:
    tags: dict[str, Any] = {"tiffinfo": {700: XMP}} if format == "TIFF" else {"xmp": XMP}
    body = image_bytes(format, size=SIZE, **tags)
    assert b"tiff:Orientation" in body
    assert unlike(embedder, {"turned": body}, image_bytes(format, size=SIZE)) == {}


def test_an_orientation_that_only_texts_of_a_png_name_is_ignored(embedder: pixvec.Embedder) -> None:
    bodies = {
        "xmp": png(chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP), IDAT),
        "raw-profile": png(chunk(b"tEXt", RAW_PROFILE), IDAT),
        "text": png(chunk(b"tEXt", b"exif\0Exif\0\0" + ORIENTATION_6), IDAT),
    }
    assert unlike(embedder, bodies, PNG) == {}


def test_exif_turns_an_image_whatever_its_xmp_says(embedder: pixvec.Embedder) -> None:
    exif = b"Exif\0\0" + ORIENTATION_6.replace(b"\0\6\0\0", b"\0\3\0\0")
    both = image_bytes(size=SIZE, exif=exif, xmp=XMP)
    assert unlike(embedder, {"both": both}, image_bytes(size=SIZE, exif=exif)) == {}
    assert unlike(embedder, {"turned": both}, image_bytes(size=SIZE)) == {"turned": "other"}


IN_MEMORY = {"jpeg": image_bytes(size=SIZE, xmp=XMP), "png": png(chunk(b"tEXt", RAW_PROFILE), IDAT)}


@pytest.mark.parametrize("body", IN_MEMORY.values(), ids=IN_MEMORY)
def test_an_image_in_memory_is_turned_as_its_file_is(body: bytes, embedder: pixvec.Embedder) -> None:
    image = Image.open(io.BytesIO(body))
    assert unlike(embedder, {"in-memory": image}, encode(image, "PNG", exif=b"")) == {}


def test_gamma_primaries_and_the_curves_of_hdr_change_no_vector(embedder: pixvec.Embedder) -> None:
    pngs = {
        "gamma": chunk(b"gAMA", struct.pack(">I", 100_000)),
        "primaries": chunk(b"cHRM", struct.pack(">8I", 31_270, 32_900, 70_800, 29_200, 17_000, 79_700, 13_100, 4_600)),
        "pq": chunk(b"cICP", bytes((9, 16, 0, 1))),
        "hlg": chunk(b"cICP", bytes((9, 18, 0, 1))),
    }
    assert unlike(embedder, {name: png(part, IDAT) for name, part in pngs.items()}, PNG) == {}
    avif = image_bytes("AVIF", size=SIZE)
    at = avif.index(b"nclx") + 4  # primaries, then the curve: two bytes each
    avifs = {
        "pq": avif[:at] + struct.pack(">2H", 9, 16) + avif[at + 4 :],
        "hlg": avif[:at] + struct.pack(">2H", 9, 18) + avif[at + 4 :],
    }
    assert unlike(embedder, avifs, avif) == {}
