"""A number -> a JPEG file that costs what a photograph does: as many bytes for its pixels, as much work to decode.

Detail falls with frequency as it does in nature, and shapes give it edges. What is seen is nothing.
"""

from __future__ import annotations

import io
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIZES: Final = ((640, 480), (800, 600), (1024, 768), (768, 1024), (1200, 800), (1280, 960))
"""Width and height of the images: 0.76 million pixels on average."""

_SCENE_SIDE: Final = 1600
_N_SCENES: Final = 12
_N_SHAPES: Final = 40
_QUALITY: Final = 85


def photograph(number: int) -> bytes:
    """Return one JPEG file; those of two numbers differ."""
    width, height = SIZES[number % len(SIZES)]
    rng = np.random.default_rng(number)
    left, top = (int(rng.integers(0, _SCENE_SIDE - side)) for side in (width, height))
    part = _scene(number % _N_SCENES).crop((left, top, left + width, top + height))
    file = io.BytesIO()
    part.rotate(180 * int(rng.integers(2))).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


@cache
def _scene(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    pixels = np.asarray(_shapes(rng), np.float32)  # (S, S, 3)
    light = sum(_detail(rng, patch, 1) * 3.7 * patch**0.6 for patch in (1, 2, 4, 8, 16, 32, 64))
    colour = sum(_detail(rng, patch, 3) * 2 * patch**0.5 for patch in (16, 64))
    return Image.fromarray((pixels + light + colour).clip(0, 255).astype(np.uint8))


def _shapes(rng: np.random.Generator) -> Image.Image:
    image = Image.new("RGB", (_SCENE_SIDE, _SCENE_SIDE), "grey")
    draw = ImageDraw.Draw(image)
    for _ in range(_N_SHAPES):
        corners = [tuple(corner) for corner in rng.integers(0, _SCENE_SIDE, (4, 2)).tolist()]
        draw.polygon(corners, fill=tuple(rng.integers(40, 216, 3).tolist()))
    return image


def _detail(rng: np.random.Generator, patch: int, n_channels: int) -> NDArray[np.float32]:
    """Draw noise whose finest detail is `patch` pixels wide: (S, S, channels)."""
    side = _SCENE_SIDE // patch
    channels = [Image.fromarray(rng.standard_normal((side, side), np.float32)) for _ in range(n_channels)]
    large = [channel.resize((_SCENE_SIDE, _SCENE_SIDE), Image.Resampling.BICUBIC) for channel in channels]
    return np.stack([np.asarray(channel) for channel in large], axis=-1)
