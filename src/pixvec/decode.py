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
from typing import Final, Literal

from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from pixvec.errors import ImageError
from pixvec.options import limit, option
from pixvec.precheck import check_exif, first_frame_end
from pixvec.sniff import drop_stray_bytes, sniff
from pixvec.values import Box, ImageFacts
from pixvec.visual import as_seen, as_transformers, orientation, turn_upright


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
                decoded = self._decode(image, body, extent, facts)
            yield decoded

    def _decode(self, image: ImageFile, body: bytes, extent: tuple[float, float], facts: ImageFacts) -> Decoded:
        if self._options.decode == "reference":
            return Decoded(as_transformers(image), image.size, (0, 0, *image.size), facts)
        seen = as_seen(image, body)
        size = facts.width, facts.height
        return Decoded(*turn_upright(seen, size, extent, orientation=orientation(image)), facts)


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
_MAX_FRAMES: Final = 2**31 - 1  # the limit of PNG


def _open(body: bytes, *, max_pixels: int) -> tuple[ImageFile, int]:
    """Read a picture's header and count its frames; no pixel is decoded, and no buffer for pixels made."""
    kind = sniff(body)
    if kind is None:
        raise ImageError("not_an_image", f"{len(body):,} bytes that are no picture")
    if kind not in _DECODED:
        raise ImageError("unsupported_format", f"a file in the format {kind}; decoded are {', '.join(_DECODED)}")
    with _third_party_code(kind):
        if kind == "GIF":
            _check_size(*first_frame_end(body), max_pixels)
        if kind == "JPEG":
            check_exif(body)
        image = _DECODED[kind](_UntruncatedBytes(body))
        _check_size(*image.size, max_pixels)
        return image, _count_frames(image)


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError("too_many_pixels", f"{width} x {height} = {width * height:,} pixels, over {max_pixels:,}")


def _count_frames(image: ImageFile) -> int:
    """Return how many frames a file says it has; it need not hold them."""
    frames: int = getattr(image, "n_frames", 1)
    if frames > _MAX_FRAMES:
        raise ImageError("corrupt_image", f"a file that claims {frames:,} frames")
    return frames


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
    # The file stands behind the first scan's header: marker, length, number of components, 2 bytes for each, 3 bytes.
    n_bytes = 6 + 2 * image.layers
    image.fp.seek(-2 - n_bytes, io.SEEK_CUR)
    return image.fp.read(5) != struct.pack(">2sHB", b"\xff\xda", n_bytes, image.layers)
