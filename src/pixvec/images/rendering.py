"""A file that Pillow opened -> its image as a person sees it, or as transformers does.

In: an opened file whose pixels are not yet decoded. Out: its image in mode L, RGB or CMYK.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from PIL import ExifTags, Image, ImageChops
from PIL.ImageFile import ImageFile

from pixvec.errors import ImageError

if TYPE_CHECKING:
    from pixvec.values import Box

Size: TypeAlias = tuple[int, int]
"""Width and height, in Pillow's order."""

_MAX_COLORS: Final = 256
_PNG_DEPTH_AT: Final = 24
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes an image upright, by its Exif orientation."""


def as_transformers(image: ImageFile) -> Image.Image:
    """Decode an image and convert it as the reference does: no orientation, alpha on white, 16 bits clipped.

    As ``convert_to_rgb`` of transformers 5.24.0 (``image_transforms.py``), whose ``alpha_composite`` on white gives the
    same numbers as pasting does.
    """
    image.load()
    has_alpha = "A" in image.getbands() or image.info.get("transparency") is not None
    return _on_white(image) if has_alpha else image.convert("RGB")


def as_seen(image: ImageFile, body: bytes) -> Image.Image:
    """Decode an image and convert it to what a person sees: what is clear or left out is white, 16-bit grey is scaled.

    Parameters
    ----------
    image
        The opened file.
    body
        Its bytes; those of a PNG begin with its header.
    """
    image.info.pop("xmp", None)  # Pillow would turn the image by it, which no browser does
    drawn = image.tile[0].extents if image.format in {"GIF", "PNG"} else None
    image.load()
    seen = _without_alpha(image, body)
    return seen if drawn in {None, (0, 0, *seen.size)} else _white_around(seen, drawn)


def _without_alpha(image: ImageFile, body: bytes) -> Image.Image:
    if image.format == "PNG":
        _mend_transparency(image, bit_depth=body[_PNG_DEPTH_AT])
    if image.mode.startswith("I;16"):
        return _grey_in_8_bits(image)
    if image.mode in {"I", "F"}:
        raise ImageError("unsupported_format", f"a {image.format} of numbers for which no black and white are agreed")
    if image.format == "BMP" and image.mode == "RGBA" and image.getchannel("A").getextrema() == (0, 0):
        return image.convert("RGB")  # many programs leave the fourth byte at 0, and mean nothing by it
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


def _mend_transparency(image: Image.Image, *, bit_depth: int) -> None:
    """Make what a PNG calls transparent fit the decoded pixels: Pillow scaled those, but not the colour.

    Of a palette's transparency, what lies past its last possible colour means nothing.
    """
    match image.mode, image.info.get("transparency"):
        case "L", int(grey):
            image.info["transparency"] = grey * 255 // (2**bit_depth - 1)
        case "RGB", (int(red), int(green), int(blue)) if bit_depth == 16:
            image.info["transparency"] = red >> 8, green >> 8, blue >> 8
        case "P", bytes(alphas):
            image.info["transparency"] = alphas[:_MAX_COLORS]
        case "P", int(index) if index >= _MAX_COLORS:
            del image.info["transparency"]


def _grey_in_8_bits(image: Image.Image) -> Image.Image:
    samples = image.tobytes()
    halves = (samples[0::2], samples[1::2]) if image.mode == "I;16B" else (samples[1::2], samples[0::2])
    high, low = (Image.frombytes("L", image.size, half) for half in halves)
    if "transparency" in image.info:
        clear = image.info["transparency"]
        high.paste(255, mask=ImageChops.darker(_where(high, clear >> 8), _where(low, clear & 255)))
    return high


def _where(image: Image.Image, value: int) -> Image.Image:
    """Make a mask of the pixels that have a value."""
    return image.point([255 * (level == value) for level in range(256)])


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(rgba, mask=rgba)
    return canvas


def _white_around(image: Image.Image, part: tuple[int, int, int, int]) -> Image.Image:
    canvas, mask = Image.new(image.mode, image.size, "white"), Image.new("1", image.size)
    mask.paste(1, part)
    canvas.paste(image, mask=mask)  # not `crop`, which asks a limit that belongs to the host program
    return canvas


def orientation(image: Image.Image) -> int:
    """Read how the camera was held; 1 is upright, and what a broken block comes to."""
    try:
        number = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (Exif is a stranger's bytes, and an image is seen without it)
        return 1
    return number if number in _TURNS else 1


def turn_upright(
    image: Image.Image, size: Size, extent: tuple[float, float], *, orientation: int
) -> tuple[Image.Image, Size, Box]:
    """Turn an image upright.

    Parameters
    ----------
    image
        The image as the file holds it, at any scale.
    size
        Width and height of the whole image.
    extent
        Width and height of what it fills of the image, from the upper left.
    orientation
        Exif's number, 1 to 8.

    Returns
    -------
    tuple
        The turned image, the turned image's width and height, and where it lies in the image.
    """
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    if orientation >= 5:  # a quarter turn: width and height change places
        size, extent = size[::-1], extent[::-1]
    width, height = extent
    left = image.width - width if orientation in {2, 3, 6, 7} else 0
    top = image.height - height if orientation in {3, 4, 7, 8} else 0
    return image, size, (left, top, left + width, top + height)
