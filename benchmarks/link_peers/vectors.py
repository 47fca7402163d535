"""Seeded vectors to link, as a file, and which of them are truly each other's nearest.

A hundred vectors make a cluster. Centres and noise have the same spectrum, a variance that falls as one over the
dimension's number, so that about 28 of the 512 dimensions count: as many as in vectors of real images, more or less.
At the noise of 0.7 a vector's neighbours are of its own cluster; at 1.2 clusters overlap.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

DIM: Final = 512
ROWS_PER_CLUSTER: Final = 100
N_SAMPLED: Final = 1_000
"""The first rows are the sample on which recall is measured: the order of the rows says nothing."""
_BLOCK: Final = 10_000


def vectors_file(folder: Path, n_rows: int, noise: float) -> Path:
    """Find or make the file of `n_rows` unit vectors, (N, 512) float32."""
    path = folder / f"vectors-{n_rows}-noise-{noise}.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        _write(unfinished, n_rows, noise)
        unfinished.rename(path)
    return path


def _write(path: Path, n_rows: int, noise: float) -> None:
    rng = np.random.default_rng(0)
    spread = np.arange(1, DIM + 1, dtype=np.float32) ** np.float32(-0.5)
    centers = rng.standard_normal((-(-n_rows // ROWS_PER_CLUSTER), DIM), np.float32)
    vectors: Any = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, DIM))
    for start in range(0, n_rows, _BLOCK):
        clusters = rng.integers(len(centers), size=min(_BLOCK, n_rows - start))
        block = (centers[clusters] + noise * rng.standard_normal((len(clusters), DIM), np.float32)) * spread
        vectors[start : start + _BLOCK] = block / np.linalg.norm(block, axis=1, keepdims=True)
    vectors.flush()


def true_neighbors(vectors: NDArray[np.float32], n_nearest: int) -> NDArray[np.int64]:
    """Search every vector for the sample's nearest ones, in float64: (1000, n_nearest) row numbers."""
    sample = vectors[:N_SAMPLED].astype(np.float64)
    rows = np.empty((len(sample), 0), np.int64)
    cosines = np.empty((len(sample), 0))
    for start in range(0, len(vectors), _BLOCK):
        block = sample @ vectors[start : start + _BLOCK].astype(np.float64).T
        numbers = np.broadcast_to(np.arange(start, start + block.shape[1]), block.shape)
        block[numbers == np.arange(len(sample))[:, None]] = -np.inf  # nobody is a neighbour of their own
        cosines, rows = np.hstack([cosines, block]), np.hstack([rows, numbers])
        nearest = np.argpartition(-cosines, n_nearest - 1, axis=1)[:, :n_nearest]
        cosines, rows = np.take_along_axis(cosines, nearest, 1), np.take_along_axis(rows, nearest, 1)
    return rows


def recall(found: NDArray[np.int64], truth: NDArray[np.int64]) -> float:
    """Tell which share of the true neighbours was found; both (1000, n_nearest)."""
    return float((truth[:, :, None] == found[:, None, :]).any(axis=2).mean())
