"""Neighbours in a dense crowd, whose cosines differ by less than float32 can tell: all of them in float64.

Thousands may be equally near once cosines are rounded to float32; of these only the first can be neighbours, so that
no more than these are compared pair by pair. Slow, with a memory of its own that is bounded, and never wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pixvec.link.parallel import raise_if_stopped
from pixvec.link.ranking import Pairs
from pixvec.link.space import Numbers, Space, chunks

_MAX_COSINES = 1 << 22
"""Cosines that are held at a time: 32 MB."""
_CHUNK = 2048


def nearest_in_crowd(
    space: Space, queries: Numbers, k: int, stop: threading.Event | None = None
) -> Iterator[tuple[slice, Pairs]]:
    """Find at least the `k` nearest others of each query, (Q,), where there are as many.

    Yields
    ------
    tuple
        A slice of `queries`, and their ranked pairs; places count from the slice's start.
    """
    for block in chunks(len(queries), max(1, _MAX_COSINES // len(space))):
        cosines = _all_cosines(space, queries[block], stop)  # (Q', U)
        places, numbers = np.nonzero(_may_be_near(cosines, k, error=(space.dim + 16) * 2.0**-52))
        exact = space.cosines(queries[block][places], numbers)
        yield block, Pairs(places, numbers, exact).ranked()


def _all_cosines(space: Space, queries: Numbers, stop: threading.Event | None) -> NDArray[np.float64]:
    left = space.units(queries)
    cosines = np.empty((len(queries), len(space)))
    for chunk in chunks(len(space), _CHUNK):
        raise_if_stopped(stop)
        cosines[:, chunk] = left @ space.units(np.arange(chunk.start, chunk.stop)).T
    cosines[np.arange(len(queries)), queries] = -np.inf
    return cosines


def _may_be_near(cosines: NDArray[np.float64], k: int, *, error: float) -> NDArray[np.bool_]:
    """Mark what may be among the k nearest once rounded to float32, when cosines are off by `error` at most."""
    low, high = (cosines - error).astype(np.float32), (cosines + error).astype(np.float32)  # (Q', U)
    kth = np.partition(low, -k, axis=1)[:, -k, None]  # (Q', 1): the k-th nearest is at least as near
    is_sure = low >= kth
    n_sure_before: NDArray[np.int64] = np.cumsum(is_sure, axis=1) - is_sure
    return np.asarray((high > kth) | ((high == kth) & (n_sure_before < k)))
