"""Points in cells: small parts in which near ones often lie together, found by k-means."""

from __future__ import annotations

import threading
from functools import partial
from typing import Final

import numpy as np

from pixvec.link.side_by_side import side_by_side
from pixvec.link.space import Numbers, chunks
from pixvec.values import Vectors

_SAMPLE: Final = 24
"""Points for each cell, from which its centre is learnt."""
_ROUNDS: Final = 3
_PRODUCTS: Final = 1 << 20
"""So many are held at a time in a thread: 4 MB."""


def find_cells(
    points: Vectors, size: int, *, least: int, seed: int, stop: threading.Event | None = None
) -> list[Numbers]:
    """Put points into cells of about `size` of them, by their numbers.

    Parameters
    ----------
    points
        (U, D'). Near is what has a great inner product.
    size, least
        No cell holds more than four times `size`, or fewer than `least`, which is at most `size`.
    seed
        Another one gives other cells.

    Raises
    ------
    StoppedError
        Soon after `stop` is set.
    """
    rng = np.random.default_rng(seed)
    cells: list[Numbers] = []
    parts = [np.arange(len(points))]
    while parts:
        part = parts.pop()
        n_cells = -(-len(part) // size)
        if n_cells <= 4:
            cells.append(part)
            continue
        sample = points[rng.choice(part, min(len(part), n_cells * _SAMPLE), replace=False)]
        split = _split(points, part, _centers(sample, n_cells, stop), least, stop)
        parts += split if len(split) > 1 else np.array_split(part, n_cells)
    return cells


def _split(points: Vectors, part: Numbers, centers: Vectors, least: int, stop: threading.Event | None) -> list[Numbers]:
    """Let each go to its nearest centre; to another, where it would be among fewer than `least`."""
    nearest = _nearest(points, part, centers, stop)
    counts = np.bincount(nearest, minlength=len(centers))
    is_alone = (counts < least)[nearest]
    if is_alone.any():
        kept = np.flatnonzero(counts >= least)
        nearest[is_alone] = kept[_nearest(points, part[is_alone], centers[kept], stop)]
    by_center = np.argsort(nearest, kind="stable")
    ends = np.flatnonzero(np.diff(nearest[by_center])) + 1
    return np.split(part[by_center], ends)


def _nearest(points: Vectors, numbers: Numbers, centers: Vectors, stop: threading.Event | None) -> Numbers:
    """Tell which centre is nearest to each of some points, (n,)."""
    some = (numbers[chunk] for chunk in chunks(len(numbers), max(64, _PRODUCTS // len(centers))))
    return np.concatenate(side_by_side(partial(_nearest_of_some, points, centers), some, stop))


def _nearest_of_some(points: Vectors, centers: Vectors, numbers: Numbers) -> Numbers:
    nearest: Numbers = (points[numbers] @ centers.T).argmax(axis=1)
    return nearest


def _centers(sample: Vectors, n: int, stop: threading.Event | None) -> Vectors:
    """Learn n centres from a sample, as k-means does: (n, D'), each of length 1."""
    centers = sample[:n] / _lengths(sample[:n])
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, np.arange(len(sample)), centers, stop)
        by_center = np.argsort(nearest, kind="stable")
        starts = np.flatnonzero(np.diff(nearest[by_center], prepend=-1))
        sums = np.add.reduceat(sample[by_center], starts)
        centers[nearest[by_center[starts]]] = sums / _lengths(sums)
    return centers


def _lengths(vectors: Vectors) -> Vectors:
    """Measure vectors, (n, D'): (n, 1); a zero vector as if it were not quite."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(np.maximum(lengths, np.finfo(np.float32).tiny)[:, None])
