"""Everything that decides what a row comes to, in one frozen object: the options of all stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pixvec.fetch import FetchOptions
from pixvec.images.decode import DecodeOptions
from pixvec.model import ModelOptions
from pixvec.model.engine import Precision
from pixvec.pipeline.cache import CacheOptions


# Not slotted: slotted classes cannot be inherited side by side.
@dataclass(frozen=True, kw_only=True)
class ImageOptions(FetchOptions, DecodeOptions):
    """How images are fetched and decoded.

    Raises
    ------
    UsageError
        For a value that an option cannot take.
    """


@dataclass(frozen=True, kw_only=True)
class Settings(CacheOptions, ImageOptions, ModelOptions):
    """The options of model, decode, fetch and cache; each stage reads its own part.

    Raises
    ------
    UsageError
        For a value that an option cannot take.
    """


def resolve_decode(settings: Settings, precision: Precision) -> Literal["scaled", "full", "reference"]:
    """Say how images are decoded: ``auto`` is scaled, unless the precision makes every pixel count."""
    if settings.decode == "auto":
        return "full" if precision == "fp32" else "scaled"
    return settings.decode
