"""Bytes of a stranger -> an image that is ready to be resized.

In: the body of one file. Out: its image in mode L, RGB or CMYK, and what its header says.

The bytes decide what a file is, and the class of its format alone opens it: `PIL.Image.open` would try others, and
measure the image against a limit that belongs to the host program.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pixvec.errors import ImageError, MissingExtraError, UsageError
from pixvec.images.formats import avif, webp
from pixvec.images.formats.bmp import plain_bmp, unusual_variant
from pixvec.images.formats.jpeg import JpegFile
from pixvec.images.formats.png import PlainPng, plain_png
from pixvec.images.formats.zero_fill import is_filled
from pixvec.images.header_limits import check_gif_end, first_frame_end
from pixvec.images.rendering import as_seen, as_transformers, orientation, turn_upright
from pixvec.images.sniff import drop_stray_bytes, name_no_image, sniff
from pixvec.options import Options, limit, option

if TYPE_CHECKING:
    from pixvec.values import Box

Policy = Literal["auto", "full", "reference"]


@dataclass(frozen=True, kw_only=True)
class DecodeOptions(Options, group="model"):
    """How bytes become an image, where, and what that may cost.

    Parameters
    ----------
    max_pixels
        Of one image.
    max_pixels_in_flight
        Of all images that are being decoded. A pixel counts once for each 5 bytes that its format's decoder takes,
        and so does each byte of the file, for what stands in it beside the pixels.
    max_decode_cpu_s, max_decode_s
        Processor time and time by the clock for one image, where workers decode.
    max_decode_bytes
        Of one worker's address space.
    max_worker_wait_s
        How long an image waits for a worker that cannot be started, where others could; then the call ends.

    Raises
    ------
    UsageError
        For a format that cannot be asked for.
    MissingExtraError
        For one whose package is not installed.
    """

    decode: Policy = option(
        "auto", "auto: scaled JPEG decoding; full: every pixel; reference: exactly as transformers 5.24 does"
    )
    formats: str = option("", "formats to decode beside the usual ones: +tiff, +heic or +tiff,+heic")
    isolate: Literal["always", "auto", "never"] = option(
        "auto",
        "decode in separate processes, so that a crash loses one row; auto: if they can be started",
        group="limits",
    )
    max_pixels: int = limit(100_000_000)
    max_pixels_in_flight: int = limit(150_000_000)
    max_decode_cpu_s: float = limit(10.0, minimum=0.001)
    max_decode_s: float = limit(60.0, minimum=0.001)
    max_decode_bytes: int = limit(1 << 30)
    max_worker_wait_s: float = limit(60.0, minimum=0.001)

    def __post_init__(self) -> None:
        super().__post_init__()
        if "HEIC" in decoded_formats(self.formats) and find_spec("pillow_heif") is None:
            raise MissingExtraError("Decoding HEIC", "heic")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of its image before a pixel is decoded.

    Parameters
    ----------
    format
        As Pillow names it.
    width, height
        Of the whole image, as the file holds it.
    frames
        How many the file says it has; it need not hold them.
    n_pixels
        What decoding costs in memory, in pixels of 5 bytes.
    """

    format: str
    width: int
    height: int
    frames: int
    n_pixels: int


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image that is ready to be resized.

    Parameters
    ----------
    image
        In mode L, RGB, or CMYK: the last is cheaper to convert when it is small.
    size
        Width and height of the whole image as it is seen; a scaled decoding has fewer pixels.
    box
        Where the image lies in `image`: a scaled decoding fills its last pixels only in part.
    """

    image: Image.Image
    size: tuple[int, int]
    box: Box


class OpenedImage:
    """A file whose header has been read; no pixel is decoded yet, and no buffer for pixels made.

    Parameters
    ----------
    body
        The bytes of a file.
    policy
        As the option `DecodeOptions.decode`.
    formats
        Names of the formats that are decoded.
    max_pixels
        The most that the image may have.
    min_side
        Under ``policy="auto"``, a JPEG may be decoded at a scale that leaves both sides at least this long; None
        decodes every pixel.

    Raises
    ------
    ImageError
        The bytes hold no image that can be decoded within the limits.
    """

    def __init__(
        self,
        body: bytes,
        *,
        policy: Policy = "auto",
        formats: frozenset[str] | None = None,
        max_pixels: int,
        min_side: int | None = None,
    ) -> None:
        self._body = drop_stray_bytes(body)
        self._policy = policy
        self._png: PlainPng | None = None
        kind = _check_kind(self._body, formats or decoded_formats(""))
        with _third_party_code(kind):
            self._make_plain(kind)
            self._image = _open(kind, self._body, max_pixels=max_pixels)
            (width, height), frames = self._image.size, getattr(self._image, "n_frames", 1)
            self._extent = _scale_down(self._image, min_side if policy == "auto" else None)
        is_kept_whole = isinstance(self._image, JpegFile) and self._image.has_many_scans  # at whatever scale
        n_pixels = width * height if is_kept_whole else self._image.width * self._image.height
        self.header = Header(kind, width, height, frames, n_pixels * _COSTS.get(kind, 1))

    def decode(self) -> Decoded:
        """Decode the image; can be done once.

        Raises
        ------
        ImageError
            The bytes hold no whole image, or the decoder ran out of memory.
        """
        with _third_party_code(self.header.format):
            seen = self._seen()
            size = self.header.width, self.header.height
            if self._policy == "reference":
                return Decoded(seen, size, (0, 0, *size))
            return Decoded(*turn_upright(seen, size, self._extent, orientation=orientation(self._image)))

    def _make_plain(self, kind: str) -> None:
        """Leave out of the file, and mend in it, what would cost an image whose pixels are all there."""
        match kind:
            case "PNG":
                self._png = plain_png(self._body, first_frame=self._policy != "reference")
                self._body = self._png.body
            case "WEBP":
                self._body = webp.with_true_length(self._body)
            case "AVIF":
                self._body = avif.plain_avif(self._body)
            case "BMP":
                self._body = plain_bmp(self._body)

    def _seen(self) -> Image.Image:
        if (find_end := _PIXELS_END.get(self.header.format)) and is_filled(
            self._body, _class_of(self.header.format), pixels_end=find_end(self._body)
        ):
            raise ImageError("corrupt_image", f"a {self.header.format} that ends in zeros instead of pixels")
        image = self._image
        seen = as_transformers(image) if self._policy == "reference" else as_seen(image, self._body)
        if self._png and self._png.lacks_pixels(image):
            raise ImageError("corrupt_image", "a PNG with fewer pixels than it claims")
        return seen


# Formats --------------------------------------------------------------------------------------------------------------

_USUAL: Final[dict[str, type[ImageFile]]] = {
    "JPEG": JpegFile,
    "PNG": PngImageFile,
    "GIF": GifImageFile,
    "WEBP": WebPImageFile,
    "BMP": BmpImageFile,
    "AVIF": AvifImageFile,
}
_ON_REQUEST: Final = ("TIFF", "HEIC")
_COSTS: Final = {"WEBP": 3, "AVIF": 2, "HEIC": 2}
"""How many times 5 bytes the decoder takes for a pixel: measured 16 for WebP, 12 for AVIF, 4 to 8 for the others."""
_PIXELS_END: Final = {"WEBP": webp.pixels_end, "AVIF": avif.pixels_end}
"""Where the compressed pixels end, in the formats whose decoders do not notice that zeros took their place."""


def decoded_formats(asked_for: str) -> frozenset[str]:
    """Read the option `DecodeOptions.formats`, and add the usual formats.

    Raises
    ------
    UsageError
        For anything but names of formats on request, each behind a plus, with commas between them.
    """
    words = [word.strip() for word in asked_for.split(",") if word.strip()]
    for word in words:
        if word[0] != "+" or word[1:].upper() not in _ON_REQUEST:
            raise UsageError(f"`formats={asked_for!r}`: {word!r} is neither +tiff nor +heic")
    return frozenset((*_USUAL, *(word[1:].upper() for word in words)))


def _check_kind(body: bytes, formats: frozenset[str]) -> str:
    kind = sniff(body)
    if kind is None:
        raise ImageError("not_an_image", f"{len(body):,} bytes that are {name_no_image(body)}")
    if kind not in formats:
        decoded = ", ".join(name for name in (*_USUAL, *_ON_REQUEST) if name in formats)
        hint = f"; `formats='+{kind.lower()}'` adds it" if kind in _ON_REQUEST else ""
        raise ImageError("unsupported_format", f"a file in the format {kind}; decoded are {decoded}{hint}")
    return kind


def _class_of(kind: str) -> type[ImageFile]:
    match kind:
        case "TIFF":
            return TiffImageFile
        case "HEIC":
            from pillow_heif import HeifImageFile  # noqa: PLC0415 (an extra)

            heif: type[ImageFile] = HeifImageFile
            return heif
        case _:
            return _USUAL[kind]


def _open(kind: str, body: bytes, *, max_pixels: int) -> ImageFile:
    if kind == "GIF":
        _check_size(*first_frame_end(body), max_pixels)
        check_gif_end(body)
    if kind == "WEBP":
        _check_size(*webp.webp_size(body), max_pixels)
    try:
        image = _class_of(kind)(_UntruncatedBytes(body))
    except OSError as error:
        if kind == "BMP" and (variant := unusual_variant(body)):
            raise ImageError("unsupported_format", f"a BMP with {variant}, which is not decoded") from error
        raise
    _check_size(*image.size, max_pixels)
    return image


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError("too_many_pixels", f"{width} x {height} = {width * height:,} pixels, over {max_pixels:,}")


@contextmanager
def _third_party_code(format: str) -> Iterator[None]:
    """Turn what a decoder raises over one image's bytes into the row's error: decoders raise anything."""
    try:
        yield
    except ImageError:
        raise
    except MemoryError as error:
        raise ImageError("decoder_crash", f"the {format} decoder outgrew its memory") from error
    except Image.DecompressionBombError as error:  # some classes look at the host program's limit, too
        raise ImageError("too_many_pixels", "the header claims more pixels than the decoder takes") from error
    except Exception as error:
        raise ImageError("corrupt_image", f"the {format} decoder failed with {type(error).__name__}") from error


class _UntruncatedBytes(io.BytesIO):
    """A file that fails when so many bytes are asked for and none are left; all that is left may be nothing.

    Where a program has set `PIL.ImageFile.LOAD_TRUNCATED_IMAGES`, Pillow fills what is missing with grey as soon as a
    read returns nothing.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        part = super().read(size)
        if not part and size is not None and size > 0:
            raise EOFError
        return part


# JPEG -----------------------------------------------------------------------------------------------------------------


def _scale_down(image: ImageFile, min_side: int | None) -> tuple[float, float]:
    """Ask for the smallest scale that keeps both sides long enough, which JPEG alone can do.

    Returns the width and height that the image has in the pixels that will be decoded, which may end inside one.
    """
    drafted = image.draft(None, (min_side, min_side)) if min_side else None
    return drafted[1][2:] if drafted else image.size
