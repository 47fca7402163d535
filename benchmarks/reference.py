"""The reference's image tower, and how vectors are held against its own. It must not know what is timed."""

# ruff: noqa: PLC0415 (a contender loads its libraries in its own process, and no other's)

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from pixvec.model.engine import Precision


def load_tower(folder: Path, precision: Precision) -> Any:
    """Load CLIP's image tower with transformers."""
    import torch
    import transformers

    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    return transformers.CLIPVisionModelWithProjection.from_pretrained(folder, dtype=dtype).eval()


def standardize(crops: NDArray[np.uint8]) -> torch.Tensor:
    """Turn crops, (N, S, S, 3), to pixel values with CLIP's mean and standard deviation, (N, 3, S, S)."""
    import torch
    from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

    values = (crops.astype(np.float32) / 255 - np.float32(OPENAI_CLIP_MEAN)) / np.float32(OPENAI_CLIP_STD)
    return torch.from_numpy(values.transpose(0, 3, 1, 2).copy())


def cosines(vectors: NDArray[np.float32], reference: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compare rows of (N, D) one by one."""
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(reference, axis=1)
    similarities: NDArray[np.float32] = (vectors * reference).sum(axis=1) / lengths  # (N,)
    return similarities
