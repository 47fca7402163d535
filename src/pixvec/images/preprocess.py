"""An image -> the crop that the model sees of it.

In: an image and the checkpoint's processor settings. Out: its crop, (S, S, 3) uint8 sRGB. Rescaling and standardizing
are the model's: they are folded into its first layer.

A crop equals, bit for bit, what ``CLIPImageProcessorPil`` of transformers 5.24.0 makes (``image_transforms.py``:
``resize``, ``get_resize_output_image_size``, ``center_crop``), with one exception: of an image more than
`_MAX_WASTE` times as long as wide, only the part around the crop is resized, and a pixel may differ by 2: resized
whole, an image of 1 x 65,535 pixels would fill 10 GB.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import numpy as np
from PIL import Image, ImageCms

if TYPE_CHECKING:
    from pixvec.values import Box, Crop

Size: TypeAlias = tuple[int, int]
"""Width and height, in Pillow's order."""

Window: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom, in whole pixels."""


class CropSteps(Protocol):
    """What of a checkpoint's `ProcessorConfig` makes its crops."""

    @property
    def resize(self) -> int | tuple[int, int] | None:
        """The length of the shortest edge, or height and width."""

    @property
    def resample(self) -> int:
        """Pillow's number of the filter."""

    @property
    def center_crop(self) -> tuple[int, int] | None:
        """Height and width."""


_MAX_WASTE: Final = 16
_WIDEST_SUPPORT: Final = 3  # of Pillow's filters, Lanczos reaches farthest: 3 pixels of the smaller image


def min_side(processor: CropSteps) -> int | None:
    """Return how long an image's sides must be for the resize to have no detail to miss; None where all counts."""
    return max(processor.resize) if isinstance(processor.resize, tuple) else processor.resize


def crop(image: Image.Image, processor: CropSteps, *, size: Size | None = None, box: Box | None = None) -> Crop:
    """Resize an image and cut out its centre.

    Parameters
    ----------
    image, processor, size, box
        As of `crop_image`.

    Returns
    -------
    Crop
        (S, S, 3) uint8 sRGB; black where the crop is larger than the resized image.
    """
    return np.asarray(crop_image(image, processor, size=size, box=box))  # (S, S, 3)


def crop_image(
    image: Image.Image, processor: CropSteps, *, size: Size | None = None, box: Box | None = None
) -> Image.Image:
    """Resize an image and cut out its centre, as an image in mode RGB.

    Parameters
    ----------
    image
        In mode L, RGB or CMYK.
    processor
        The sizes and the filter.
    size, box
        For an image that was decoded at a smaller scale: the width and height of the whole image, and where the
        image lies in the image. By default, the image is the image.
    """
    resized_size = _resized_size(size or image.size, processor.resize)
    window = _center_window(resized_size, processor.center_crop)
    seen = max(window[0], 0), max(window[1], 0), min(window[2], resized_size[0]), min(window[3], resized_size[1])
    part = to_srgb(_resize(image, box or (0, 0, *image.size), resized_size, seen, processor.resample))
    left, top = seen[:2]
    return part.crop((window[0] - left, window[1] - top, window[2] - left, window[3] - top))


def _resized_size(size: Size, resize: int | tuple[int, int] | None) -> Size:
    match resize:
        case None:
            return size
        case (height, width):
            return width, height
        case int(shortest_edge):
            width, height = size
            longest_edge = int(shortest_edge * max(size) / min(size))
            return (shortest_edge, longest_edge) if width <= height else (longest_edge, shortest_edge)


def _center_window(size: Size, center_crop: tuple[int, int] | None) -> Window:
    """Return the crop's edges in the resized image; where it is larger than that, they lie outside."""
    width, height = size
    crop_height, crop_width = center_crop or (height, width)
    left, top = (width - crop_width) // 2, (height - crop_height) // 2
    return left, top, left + crop_width, top + crop_height


def _resize(image: Image.Image, box: Box, size: Size, seen: Window, resample: int) -> Image.Image:
    """Resize the image that lies in `box` to `size`, and keep what is `seen` of it."""
    seen_size = seen[2] - seen[0], seen[3] - seen[1]
    if math.prod(size) <= _MAX_WASTE * math.prod(seen_size):
        return image.resize(size, resample, box).crop(seen)
    x_cut, x_part = _part((box[0], box[2]), image.width, resized=size[0], seen=(seen[0], seen[2]))
    y_cut, y_part = _part((box[1], box[3]), image.height, resized=size[1], seen=(seen[1], seen[3]))
    cut = image.crop((x_cut[0], y_cut[0], x_cut[1], y_cut[1]))
    return cut.resize(seen_size, resample, (x_part[0], y_part[0], x_part[1], y_part[1]))


def _part(
    span: tuple[float, float], n_pixels: int, *, resized: int, seen: tuple[int, int]
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Find, on one axis, the pixels that a part of the resized image is made of, and where among them it lies.

    Pillow takes a box in float32, too coarse for a long image: so whole pixels are cut out first, as many as the
    filter sees, and the box is counted from there.
    """
    start, end = span
    scale = (end - start) / resized
    part_start, part_end = start + seen[0] * scale, min(start + seen[1] * scale, end)
    reach = _WIDEST_SUPPORT * max(scale, 1)
    cut_start, cut_end = max(math.floor(part_start - reach), 0), min(math.ceil(part_end + reach), n_pixels)
    return (cut_start, cut_end), (part_start - cut_start, part_end - cut_start)


def to_srgb(image: Image.Image) -> Image.Image:
    """Convert an image to RGB: CMYK through its profile; without one, or with a broken one, by the plain formula."""
    profile = image.info.get("icc_profile")
    if image.mode != "CMYK" or not profile:
        return image.convert("RGB")
    try:
        to_srgb = ImageCms.buildTransform(io.BytesIO(profile), ImageCms.createProfile("sRGB"), "CMYK", "RGB")
    except ImageCms.PyCMSError:
        return image.convert("RGB")
    return to_srgb.apply(image)
