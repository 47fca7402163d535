"""Neighbours among ties: directions whose cosines differ by less than float32 resolves, all compared in float64.

Thousands may be equally near once cosines are rounded to float32. Only the first of them can be neighbours, so that
exact cosines are computed for no more than these. This is slow, but its memory is bounded.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixvec.concurrency.stop import raise_if_stopped
from pixvec.similarity.links.neighbors import Pairs
from pixvec.similarity.links.space import Directions, Space, chunks

_MAX_COSINES: Final = 1 << 22
"""Cosines that are held at a time: 32 MB."""
_CHUNK: Final = 2048


def nearest_among_ties(
    space: Space, queries: Directions, k: int, stop: threading.Event | None = None
) -> Iterator[tuple[slice, Pairs]]:
    """Find at least the `k` nearest others of each query, (Q,), where there are as many.

    Yields
    ------
    tuple
        A slice of `queries`, and its ranked pairs, whose queries are positions in the slice.
    """
    for chunk in chunks(len(queries), max(1, _MAX_COSINES // len(space))):
        cosines = _float64_cosines(space, queries[chunk], stop)  # (Q', U)
        positions, targets = np.nonzero(_may_be_near(cosines, k, error=(space.dim + 16) * 2.0**-52))
        exact = space.cosines(queries[chunk][positions], targets)
        yield chunk, Pairs(positions, targets, exact).ranked()


def _float64_cosines(space: Space, queries: Directions, stop: threading.Event | None) -> NDArray[np.float64]:
    left = space.unit_vectors(queries)
    cosines = np.empty((len(queries), len(space)))
    for chunk in chunks(len(space), _CHUNK):
        raise_if_stopped(stop)
        cosines[:, chunk] = left @ space.unit_vectors(np.arange(chunk.start, chunk.stop)).T
    cosines[np.arange(len(queries)), queries] = -np.inf
    return cosines


def _may_be_near(cosines: NDArray[np.float64], k: int, *, error: float) -> NDArray[np.bool_]:
    """Mark what may be among the k nearest once rounded to float32, when cosines are off by `error` at most."""
    low, high = (cosines - error).astype(np.float32), (cosines + error).astype(np.float32)  # (Q', U)
    kth = np.partition(low, -k, axis=1)[:, -k, None]  # (Q', 1): the k-th nearest is at least as near
    is_sure = low >= kth
    n_sure_before: NDArray[np.int64] = np.cumsum(is_sure, axis=1) - is_sure
    return np.asarray((high > kth) | ((high == kth) & (n_sure_before < k)))
