"""Vectors to link, and what any search must find among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixvec.similarity.links import Links
from pixvec.similarity.links.space import Space
from pixvec.values import Vectors


def clusters(n: int, dim: int, *, spread: float, per_cluster: int = 40, seed: int = 0) -> Vectors:
    """Draw n vectors about n / per_cluster centres, `spread` times as far from them as centres are from each other."""
    rng = np.random.default_rng(seed)
    centers = rng.standard_normal((-(-n // per_cluster), dim))
    return (centers[np.arange(n) % len(centers)] + spread * rng.standard_normal((n, dim))).astype(np.float32)


def expected_neighbors(vectors: Vectors, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Sort all pairs: the k nearest others of each of N distinct vectors, by cosine and then by number, (N, K) each."""
    space = Space.of(vectors)
    n = len(space)
    assert n == len(vectors)
    cosines = np.stack([space.cosines(np.full(n, row), np.arange(n)) for row in range(n)])  # (N, N)
    np.fill_diagonal(cosines, -2)
    order = np.argsort(-cosines, axis=1, kind="stable")[:, : min(k, n - 1)]
    return order, np.take_along_axis(cosines, order, axis=1)


def targets_of(links: Links) -> list[list[int]]:
    """Cut the links into rows."""
    return [links.targets[start:end].tolist() for start, end in zip(links.starts, links.starts[1:], strict=False)]


def bits_of(links: Links) -> list[bytes]:
    """Everything that must not change."""
    return [links.starts.tobytes(), links.targets.tobytes(), links.weights.tobytes(), links.has_vector.tobytes()]
