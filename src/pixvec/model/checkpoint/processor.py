"""A checkpoint's image processor settings -> how its images become pixel values.

In: the JSON of ``processor_config.json`` or ``preprocessor_config.json`` in any of its dialects. Out: a frozen config
that says which steps are on.

The defaults are those of ``CLIPImageProcessorPil`` in transformers 5.23.0,
``models/clip/image_processing_pil_clip.py``; sizes are read as its ``image_processing_utils.py`` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from pixvec.errors import ModelError
from pixvec.model.checkpoint.folder import PROCESSORS, blaming, read_json

Channels: TypeAlias = tuple[float, float, float]
"""One number for each of red, green and blue."""

Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""

_MEAN: Final = (0.48145466, 0.4578275, 0.40821073)
_STD: Final = (0.26862954, 0.26130258, 0.27577711)
_PILLOW_BICUBIC: Final = 3
_MAX_SIDE: Final = 4_096
"""Pixels of a side; no CLIP takes a third of them."""
_MAX_NUMBER: Final = 1e6
_MIN_DIVISOR: Final = 1e-6
"""Bounds of what pixels are multiplied by, reduced by and divided by, far beyond any use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorConfig:
    """The steps between an image and what the model takes, in their order; None where a step is off.

    Parameters
    ----------
    resize
        The length of the shortest edge, or height and width, in pixels.
    resample
        Pillow's number of the filter.
    center_crop
        Height and width in pixels.
    rescale_factor
        What pixels are multiplied by.
    mean, std
        What rescaled pixels are standardized by, for each channel.
    """

    resize: int | Size | None = 224
    resample: int = _PILLOW_BICUBIC
    center_crop: Size | None = (224, 224)
    rescale_factor: float | None = 1 / 255
    mean: Channels | None = _MEAN
    std: Channels | None = _STD

    @property
    def output_size(self) -> Size | None:
        """Height and width of what comes out; None where they depend on the image."""
        return self.center_crop or (self.resize if isinstance(self.resize, tuple) else None)


def read_processor(folder: Path, *, image_size: int) -> ProcessorConfig:
    """Read a folder's image processor settings, for a model that takes squares of `image_size` pixels.

    Raises
    ------
    ModelError
        There are no settings, they are not CLIP's, or what they make is not what the model takes.
    """
    path, values = _find(folder)
    with blaming(path):
        processor = _processor(values)
    if processor.output_size != (image_size, image_size):
        made = "any size" if processor.output_size is None else "{} by {}".format(*processor.output_size)
        raise ModelError(f"{path}: the settings make crops of {made}, and the model takes {image_size} by {image_size}")
    return processor


def _find(folder: Path) -> tuple[Path, dict[str, Any]]:
    newer, older = (folder / name for name in PROCESSORS)
    if newer.is_file() and isinstance(values := read_json(newer).get("image_processor"), dict):
        return newer, values
    if older.is_file():
        return older, read_json(older)
    raise ModelError(f"{folder}: no image processor settings: neither {older.name} nor image_processor in {newer.name}")


def _processor(values: Mapping[str, Any]) -> ProcessorConfig:
    values = {key: value for key, value in values.items() if value is not None}
    kind = values.get("image_processor_type") or values.get("feature_extractor_type") or "CLIP"
    if not str(kind).startswith("CLIP"):
        raise ModelError(f"the image processor is {kind!r:.60}, not CLIP's")
    if values.get("do_pad"):
        raise ModelError("do_pad is on, which CLIP's processor has no use for")
    return ProcessorConfig(
        resize=_resize(values) if values.get("do_resize", True) else None,
        resample=_resample(values),
        center_crop=_size("crop_size", values.get("crop_size", 224)) if values.get("do_center_crop", True) else None,
        rescale_factor=_rescale_factor(values) if values.get("do_rescale", True) else None,
        mean=_channels(values, "image_mean", _MEAN) if values.get("do_normalize", True) else None,
        std=_channels(values, "image_std", _STD) if values.get("do_normalize", True) else None,
    )


def _resize(values: Mapping[str, Any]) -> int | Size:
    size = values.get("size", 224)
    if isinstance(size, dict) and size.keys() == {"shortest_edge"}:
        size = size["shortest_edge"]
    height, width = _size("size", size)
    return height if isinstance(size, int) and not values.get("default_to_square") else (height, width)


def _size(name: str, value: Any) -> Size:
    match value:
        case bool():
            pass
        case int() if _is_side(value):
            return value, value
        case [int() as height, int() as width] if _is_side(height) and _is_side(width):
            return height, width
        case {"height": int() as height, "width": int() as width} if (
            _is_side(height) and _is_side(width) and len(value) == 2
        ):
            return height, width
    raise ModelError(f"{name} is {value!r:.60}, which is no size that pixvec knows, at most {_MAX_SIDE:,} pixels")


def _is_side(length: int) -> bool:
    return 0 < length <= _MAX_SIDE


def _resample(values: Mapping[str, Any]) -> int:
    resample = values.get("resample", _PILLOW_BICUBIC)
    if resample not in range(6):
        raise ModelError(f"resample is {resample!r:.60}, which is no filter of Pillow's")
    return int(resample)


def _rescale_factor(values: Mapping[str, Any]) -> float:
    factor = values.get("rescale_factor", 1 / 255)
    if not _is_number(factor) or factor < _MIN_DIVISOR:
        raise ModelError(
            f"rescale_factor is {factor!r:.60}, which is no number from {_MIN_DIVISOR:g} to {_MAX_NUMBER:g}"
        )
    return float(factor)


def _channels(values: Mapping[str, Any], name: str, default: Channels) -> Channels:
    value = values.get(name, default)
    if not isinstance(value, list | tuple) or len(value) != 3 or not all(_is_number(number) for number in value):
        raise ModelError(f"{name} is {value!r:.60}, which is not three numbers up to {_MAX_NUMBER:g}")
    if name == "image_std" and min(value) < _MIN_DIVISOR:
        raise ModelError(f"image_std is {value!r:.60}, and pixels are divided by it: at least {_MIN_DIVISOR:g}")
    red, green, blue = (float(number) for number in value)
    return red, green, blue


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER
