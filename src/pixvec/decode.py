"""Bytes of a stranger -> a picture that is ready to be resized.

In: the body of one file. Out: its picture in mode L, RGB or CMYK, and the facts about it. It must not know where the
bytes came from, nor what the picture is made for.

The bytes decide what a file is, and the class of its format alone opens it: `PIL.Image.open` would try others, and
measure the picture against a limit that belongs to the host program.
"""

from __future__ import annotations

import io
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
from PIL import ExifTags, Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pixvec.errors import ImageError
from pixvec.options import limit, option
from pixvec.sniff import drop_stray_bytes, sniff
from pixvec.values import ImageFacts

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


@dataclass(frozen=True, kw_only=True)
class DecodeOptions:
    """How bytes become a picture, and how large one may be."""

    decode: Literal["auto", "full", "reference"] = option(
        "auto", "auto: scaled JPEG decoding; full: every pixel; reference: exactly as transformers does"
    )
    max_pixels: int = limit(100_000_000)
    max_pixels_in_flight: int = limit(150_000_000)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A picture that is ready to be resized.

    Parameters
    ----------
    image
        In mode L, RGB, or CMYK: the last is cheaper to convert when it is small.
    size
        Width and height of the whole picture as it is seen; a scaled decoding has fewer pixels.
    box
        Where the picture lies in `image`: a scaled decoding fills its last pixels only in part.
    facts
        What the file is.
    """

    image: Image.Image
    size: tuple[int, int]
    box: Box
    facts: ImageFacts


class Decoder:
    """Decodes pictures, in any number of threads; those being decoded share a budget of pixels.

    Parameters
    ----------
    options
        The policy and the limits.
    """

    def __init__(self, options: DecodeOptions) -> None:
        self._options = options
        self._budget = _PixelBudget(options.max_pixels_in_flight)

    @contextmanager
    def decode(self, body: bytes, *, sha256: bytes, min_side: int | None = None) -> Iterator[Decoded]:
        """Decode a picture; its pixels count against the budget until the block ends.

        Parameters
        ----------
        body
            The bytes of a file.
        sha256
            Their hash, for the facts.
        min_side
            Under ``decode="auto"``, a JPEG may be decoded at a scale that leaves both sides at least this long; None
            decodes every pixel.

        Raises
        ------
        ImageError
            The bytes hold no picture that can be decoded within the limits.
        """
        image, frames = _open(drop_stray_bytes(body), max_pixels=self._options.max_pixels)
        facts = ImageFacts(sha256, str(image.format), *image.size, frames, len(body))
        extent = _scale_down(image, min_side if self._options.decode == "auto" else None)
        with self._budget.hold(_n_pixels_held(image, facts)):
            with _third_party_code(facts.format):
                image.load()
            if self._options.decode == "reference":
                yield Decoded(_as_transformers(image), image.size, (0, 0, *image.size), facts)
            else:
                yield _upright(_as_seen(image, body), _orientation(image), extent, facts)


class _PixelBudget:
    """Lets threads hold pixels up to a limit; who holds more than the limit, holds it alone."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, n_pixels: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + n_pixels <= self._max_pixels)
            self._held += n_pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= n_pixels
                self._changed.notify_all()


# Opening --------------------------------------------------------------------------------------------------------------

_DECODED: Final[dict[str, type[ImageFile]]] = {
    "JPEG": JpegImageFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "AVIF": AvifImageFile,
}


def _open(body: bytes, *, max_pixels: int) -> tuple[ImageFile, int]:
    """Read a picture's header and count its frames; no pixel is decoded, and no buffer for pixels made."""
    kind = sniff(body)
    if kind is None:
        raise ImageError("not_an_image", f"{len(body):,} bytes that are no picture")
    if kind not in _DECODED:
        raise ImageError("unsupported_format", f"a file in the format {kind}; decoded are {', '.join(_DECODED)}")
    with _third_party_code(kind):
        if kind == "GIF":
            _check_size(*_first_frame_end(body), max_pixels)
        image = _DECODED[kind](_UntruncatedBytes(body))
        _check_size(*image.size, max_pixels)
        return image, getattr(image, "n_frames", 1)


def _first_frame_end(body: bytes) -> tuple[int, int]:
    """Return how far to the right and down a GIF's first frame reaches: opening it may fill that many pixels."""
    has_palette, palette_bits = body[10] >> 7, (body[10] & 7) + 1
    at = 13 + has_palette * (3 << palette_bits)
    while (block := body[at]) != ord(","):
        at += 1
        if block == ord("!"):  # an extension: its kind, then parts that begin with their length, the last one empty
            at += 1
            while body[at]:
                at += 1 + body[at]
    left, top, width, height = struct.unpack_from("<4H", body, at + 1)
    return left + width, top + height


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError("too_many_pixels", f"{width} x {height} = {width * height:,} pixels, over {max_pixels:,}")


@contextmanager
def _third_party_code(format: str) -> Iterator[None]:
    """Turn what a decoder raises over one picture's bytes into the row's error: decoders raise anything."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:  # the classes of WebP and GIF look at the host program's limit, too
        raise ImageError("too_many_pixels", "the header claims more pixels than the decoder takes") from error
    except Exception as error:
        raise ImageError("corrupt_image", f"the {format} decoder failed with {type(error).__name__}") from error


class _UntruncatedBytes(io.BytesIO):
    """A file that fails when it is read past its end.

    Where a program has set `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`, Pillow fills what is missing with grey as soon as a
    read returns nothing.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        if not part and size:
            raise EOFError
        return part


# Scaled decoding ------------------------------------------------------------------------------------------------------


def _scale_down(image: ImageFile, min_side: int | None) -> tuple[float, float]:
    """Ask for the smallest scale that keeps both sides long enough, which JPEG alone can do.

    Returns the width and height that the picture has in the pixels that will be decoded, which may end inside one.
    """
    drafted = image.draft(None, (min_side, min_side)) if min_side else None
    return drafted[1][2:] if drafted else image.size


def _n_pixels_held(image: ImageFile, facts: ImageFacts) -> int:
    """Count the pixels that decoding keeps in memory."""
    scaled = image.width * image.height
    return facts.width * facts.height if isinstance(image, JpegImageFile) and _has_many_scans(image) else scaled


def _has_many_scans(image: JpegImageFile) -> bool:
    """Tell whether libjpeg must keep all of the picture, at whatever scale, because it comes in layers."""
    if image.fp is None or "progressive" in image.info:
        return True
    # The file stands behind the first scan's header, which ends in: number of its components, 2 bytes each, 3 bytes.
    image.fp.seek(-4 - 2 * image.layers, io.SEEK_CUR)
    return image.fp.read(1)[0] != image.layers


# What is seen ---------------------------------------------------------------------------------------------------------

_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a picture upright, by its Exif orientation."""


def _as_transformers(image: Image.Image) -> Image.Image:
    """Convert a picture as the reference does: no orientation, no alpha, 16 bits clipped.

    A single clear colour outlives the conversion, and transformers' processor then puts it on white.
    """
    if isinstance(image.info.get("transparency"), bytes):
        del image.info["transparency"]  # makes no difference to the pixels, but Pillow would warn of it
    converted = image.convert("RGB")
    return _on_white(converted) if converted.has_transparency_data else converted


def _as_seen(image: Image.Image, body: bytes) -> Image.Image:
    """Convert a picture to what a person sees: transparent is white, 16-bit grey is scaled."""
    if image.format == "PNG":
        _scale_transparent_color(image, bit_depth=body[24])
    if image.mode == "I;16":
        return _grey_in_8_bits(image)
    if image.has_transparency_data:
        return _on_white(image)
    return image if image.mode in {"L", "RGB", "CMYK"} else image.convert("RGB")


def _scale_transparent_color(image: Image.Image, *, bit_depth: int) -> None:
    """Scale the colour that a PNG calls transparent as Pillow scaled the pixels: it has the depth of the file."""
    match image.mode, image.info.get("transparency"):
        case "1" | "L", int(grey):
            image.info["transparency"] = grey * 255 // (2**bit_depth - 1)
        case "RGB", (int(red), int(green), int(blue)) if bit_depth == 16:
            image.info["transparency"] = red >> 8, green >> 8, blue >> 8


def _grey_in_8_bits(image: Image.Image) -> Image.Image:
    samples = np.asarray(image)  # (H, W) uint16
    grey = (samples >> 8).astype(np.uint8)
    if "transparency" in image.info:
        grey[samples == image.info["transparency"]] = 255
    return Image.fromarray(grey)


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image if image.mode == "RGBA" else image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(rgba, mask=rgba)
    return canvas


def _orientation(image: Image.Image) -> int:
    """Read how the camera was held; 1 is upright, and what a broken block comes to."""
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (Exif is a stranger's bytes, and a picture is seen without it)
        return 1
    return orientation if orientation in _TURNS else 1


def _upright(image: Image.Image, orientation: int, extent: tuple[float, float], facts: ImageFacts) -> Decoded:
    """Turn a picture upright; `extent` is what it fills of the image, from the upper left before the turn."""
    size = facts.width, facts.height
    if orientation in _TURNS:
        image = image.transpose(_TURNS[orientation])
    if orientation >= 5:  # a quarter turn: width and height change places
        size, extent = size[::-1], extent[::-1]
    width, height = extent
    left = image.width - width if orientation in {2, 3, 6, 7} else 0
    top = image.height - height if orientation in {3, 4, 7, 8} else 0
    return Decoded(image, size, (left, top, left + width, top + height), facts)
