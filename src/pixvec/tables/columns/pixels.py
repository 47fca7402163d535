"""Pixels that a program holds -> a PNG file, which goes the way of all images: hashed, isolated, within the limits.

Nothing is lost, and nothing compressed, since the file is read again at once. Of what else an image holds, its Exif
orientation and its transparency come along. Modes whose black and white are not agreed are refused, as files are.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

_CLEAR_MODES: Final = frozenset(["1", "L", "I;16", "P", "RGB"])
"""Modes of PNG in which a colour may be called clear."""
_WITH_ALPHA: Final = {"La": "LA", "RGBa": "RGBA", "PA": "RGBA", "LA": "LA", "RGBA": "RGBA"}
_CHANNELS: Final = frozenset([1, 3, 4])
_TEXTS: Final = frozenset(["xmp", "XML:com.adobe.xmp", "Raw profile type exif"])
"""Where else Pillow looks for an orientation, and no browser does."""


def array_png(array: NDArray[Any]) -> bytes:
    """Write pixels, (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 in the order red, green, blue, alpha.

    Raises
    ------
    ImageError
        ``unsupported_format`` for an array of another shape or type.
    """
    from PIL import Image  # noqa: PLC0415 (texts do without it)

    plane = array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array
    is_image = plane.ndim == 2 or (plane.ndim == 3 and plane.shape[2] in _CHANNELS)
    if array.dtype != np.uint8 or not is_image or not array.size:
        raise ImageError(
            "unsupported_format",
            f"an array of {array.dtype} in the shape {array.shape}; an image is uint8 in the shape (H, W), (H, W, 1), "
            "(H, W, 3) or (H, W, 4)",
        )
    return image_png(Image.fromarray(np.ascontiguousarray(plane)))


def image_png(image: Image) -> bytes:
    """Write a Pillow image.

    Its Exif is believed: an image that was turned by hand and still has its orientation is turned once more.

    Raises
    ------
    ImageError
        ``corrupt_image`` for one that Pillow cannot read, ``unsupported_format`` for a mode without agreed colours.
    """
    from PIL import ExifTags, Image  # noqa: PLC0415 (see above)

    try:
        image.load()
    except Exception as error:
        detail = f"Pillow could not read the image ({type(error).__name__})"
        raise ImageError("corrupt_image", detail) from error
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = _orientation(image)
    body = io.BytesIO()
    try:
        plain = _plain(image)
        clear = image.info.get("transparency") if plain.mode == image.mode and plain.mode in _CLEAR_MODES else None
        plain.save(body, "PNG", compress_level=0, icc_profile=None, exif=exif.tobytes(), transparency=clear)
    except (ValueError, OSError, SystemError, OverflowError, TypeError) as error:
        raise ImageError("unsupported_format", f"a Pillow image in mode {image.mode}, {image.size}: {error}") from error
    return body.getvalue()


def _orientation(image: Image) -> int:
    """Read how an image is turned, by its Exif: what Pillow finds in other texts alone turns no file either."""
    from PIL import Image as Pillow  # noqa: PLC0415 (see above)

    from pixvec.images.rendering import orientation  # noqa: PLC0415 (imports Pillow)

    by_texts, by_exif = Pillow.new("1", (1, 1)), Pillow.new("1", (1, 1))
    for name, value in image.info.items():
        (by_texts if name in _TEXTS else by_exif).info[name] = value
    number = orientation(image)
    return 1 if number == orientation(by_texts) and orientation(by_exif) == 1 else number


def _plain(image: Image) -> Image:
    """Convert an image to a mode of PNG that holds what it shows."""
    from PIL import Image as Pillow  # noqa: PLC0415 (see above)

    if image.mode in {"I", "F"}:
        raise ValueError("this mode defines no black and white; convert it to L or I;16")
    if image.mode.startswith("I;16"):
        return Pillow.fromarray(np.asarray(image).astype("<u2"))
    mode = _WITH_ALPHA.get(image.mode, image.mode if image.mode in _CLEAR_MODES else "RGB")
    return image if image.mode == mode else image.convert(mode)
