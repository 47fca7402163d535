"""The values that travel between stages: array aliases with their shapes, and frozen value classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float32]
"""One embedding, (D,) float32."""

Vectors: TypeAlias = NDArray[np.float32]
"""Embeddings, (N, D) float32."""

Crop: TypeAlias = NDArray[np.uint8]
"""What the model sees of one image, (S, S, 3) uint8 sRGB."""

Crops: TypeAlias = NDArray[np.uint8]
"""A batch of crops, (N, S, S, 3) uint8 sRGB."""

Box: TypeAlias = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What image was embedded.

    Parameters
    ----------
    sha256
        The hash of the image's bytes, 32 bytes.
    format
        The format its bytes have, as Pillow names it: ``"JPEG"``, ``"PNG"`` …
    width, height
        Pixels, before orientation.
    frames
        How many frames the file has; the first one that is shown is embedded.
    n_bytes
        The length of the file.
    final_url
        Where the bytes came from after redirects; None where there were none.
    thumbnail
        A small WebP of the image, where thumbnails are kept; else None.
    """

    sha256: bytes
    format: str
    width: int
    height: int
    frames: int
    n_bytes: int
    final_url: str | None = None
    thumbnail: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Row:
    """What one input row came to: a vector, or a code with a sentence.

    Exactly one of `vector` and `error` is set; `image` is None where no image was decoded.
    """

    vector: Vector | None = None
    error: str | None = None
    detail: str | None = None
    image: ImageFacts | None = None
