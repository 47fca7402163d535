"""Images for tests: seeded, drawn with whole numbers, so that they are the same on every machine.

In: a size, a mode, a format. Out: pixels, a Pillow image, or the bytes of a file.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""

_PATCH: Final = 16
_NOISE: Final = 12


def draw_pixels(size: Size = (320, 240), *, seed: int = 0) -> NDArray[np.uint8]:
    """Draw soft patches of colour with fine noise on them, much as a photograph has.

    Returns
    -------
    NDArray[np.uint8]
        (H, W, 3) sRGB.
    """
    width, height = size
    rng = np.random.default_rng(seed)
    corners = rng.integers(0, 256, (height // _PATCH + 2, width // _PATCH + 2, 3))
    y, x = np.arange(height), np.arange(width)
    rows = _blend(corners[y // _PATCH], corners[y // _PATCH + 1], (y % _PATCH)[:, None, None])  # (H, patches, 3)
    smooth = _blend(rows[:, x // _PATCH], rows[:, x // _PATCH + 1], (x % _PATCH)[:, None])  # (H, W, 3)
    noise = rng.integers(-_NOISE, _NOISE + 1, (height, width, 1))
    return (smooth + noise).clip(0, 255).astype(np.uint8)


def _blend(one: NDArray[np.int64], other: NDArray[np.int64], weight: NDArray[np.int64]) -> NDArray[np.int64]:
    return (one * (_PATCH - weight) + other * weight) // _PATCH


def draw(size: Size = (320, 240), *, mode: str = "RGB", seed: int = 0) -> Image.Image:
    """Draw an image in one of Pillow's modes.

    In RGBA and LA it fades from clear, on the left, to opaque; in I;16 it uses the whole range of 16 bits.
    """
    pixels = draw_pixels(size, seed=seed)
    image = Image.fromarray(pixels)
    if mode == "I;16":
        return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    image = image.convert(mode)
    if mode in {"RGBA", "LA"}:
        fade = np.linspace(0, 255, size[0]).astype(np.uint8)
        image.putalpha(Image.fromarray(np.broadcast_to(fade, size[::-1]).copy()))
    return image


def encode(image: Image.Image, format: str = "JPEG", *, orientation: int | None = None, **save: Any) -> bytes:
    """Write an image as a file; `save` goes to Pillow: ``progressive=True`` or ``lossless=True``."""
    if orientation is not None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        save["exif"] = exif
    file = io.BytesIO()
    image.save(file, format, **save)
    return file.getvalue()


def image_bytes(
    format: str = "JPEG",
    *,
    size: Size = (320, 240),
    mode: str = "RGB",
    seed: int = 0,
    orientation: int | None = None,
    **save: Any,
) -> bytes:
    """Draw an image and write it as a file: `draw` and `encode` in one."""
    return encode(draw(size, mode=mode, seed=seed), format, orientation=orientation, **save)


def animation_bytes(format: str = "GIF", *, seeds: Sequence[int] = (0, 1, 2), size: Size = (64, 48)) -> bytes:
    """Write an animation of as many frames as there are seeds."""
    first, *others = (draw(size, seed=seed) for seed in seeds)
    return encode(first, format, save_all=True, append_images=others)


def png_claiming(size: Size) -> bytes:
    """Write a PNG of a few bytes whose header claims any size."""
    header = struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def gif_claiming(size: Size, *, frame: Size) -> bytes:
    """Write a GIF of a few bytes whose first frame claims any size, to be disposed of to the background."""
    screen = b"GIF89a" + struct.pack("<HHBBB", *size, 0, 0, 0)
    disposal = b"\x21\xf9\x04" + struct.pack("<BHB", 2 << 2, 0, 0) + b"\0"
    return screen + disposal + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x08\x01\x00\x00;"


def grey_cmyk_profile() -> bytes:
    """Write an ICC profile in which every ink is a grey, so that one sees whether it was used.

    A version 2 output profile: a header of 128 bytes, a table of one tag, and that tag, a table of 8-bit numbers (mft1)
    which gives a colour in Lab for each of the 16 ways to have inks or not.
    """
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if number % 4 == 0 else 0 for number in range(9)))
    colors = b"".join(bytes((255 - 60 * n_inks.bit_count(), 128, 128)) for n_inks in range(16))
    table = b"mft1\0\0\0\0\x04\x03\x02\0" + matrix + identity * 4 + colors + identity * 3
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table)) + table
    header = struct.pack(">I4sI4s4s4s", 128 + len(tags), b"\0\0\0\0", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    return (
        header.ljust(36, b"\0")
        + b"acsp".ljust(28, b"\0")
        + struct.pack(">I3i", 0, 63190, 65536, 54061).ljust(64, b"\0")
        + tags
    )
