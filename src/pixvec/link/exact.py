"""Exact neighbours by three sieves of rising precision, each certain to let every true neighbour through.

The engine's products in int8 or bf16 leave for each query a few groups of directions (`screen`); float32 products with
these (`close_up`) leave a few directions; and those are ranked by their cosines as `Space.cosines` has them, to which
all bounds refer. Queries in a crowd so dense that float32 cannot thin it are looked up in float64 (`crowd`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np

from pixvec.link.close_up import CloseUp
from pixvec.link.crowd import nearest_in_crowd
from pixvec.link.overlap import overlapped
from pixvec.link.ranking import Neighbors, Pairs
from pixvec.link.screen import Batch, Screen, fastest_kinds
from pixvec.link.sieve import MAX_CANDIDATES, Sieve
from pixvec.link.space import Numbers, Space
from pixvec.link.units import Units

_MAX_PAIRS = 1 << 18
"""Pairs of query and group that are looked through together, one block's pairs aside."""
_MAX_QUERIES = 1 << 13


def nearest(
    space: Space,
    k: int,
    *,
    queries: Numbers | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Neighbors:
    """Find the `k` nearest others of each query, (Q,), or all others where they are fewer.

    Parameters
    ----------
    space
        Where to search.
    queries
        Numbers of directions, (Q,); all when not given.
    on_progress
        Called now and then with how many queries are done, and Q.

    Raises
    ------
    StoppedError
        Soon after `stop` is set.
    """
    k = min(k, max(len(space) - 1, 0))
    n_queries = len(space) if queries is None else len(queries)
    found = Neighbors.empty(n_queries, k)
    if k and n_queries:
        search = _Search(space, k, stop, found)
        for n_done in overlapped(search.finish, search.batches(queries)):
            if on_progress:
                on_progress(n_done, n_queries)
    return found


class _Search:
    """A search for the k nearest: at least 1, and at most as many as there are others. `found` takes them in."""

    def __init__(self, space: Space, k: int, stop: threading.Event | None, found: Neighbors) -> None:
        units = Units.of(space)
        self._space = space
        self._k = k
        self._stop = stop
        self._found = found
        self._rounding = units.rounding
        self._screen = Screen(units, k, fastest_kinds(units.n), stop)
        self._close_up = CloseUp(units, stop=stop)

    def batches(self, queries: Numbers | None) -> Iterator[tuple[int, Batch]]:
        """Screen queries, and put blocks together that leave few pairs; each with how many queries were before."""
        blocks: list[Batch] = []
        n_before, n_queries = 0, 0
        for block in self._screen.all() if queries is None else self._screen.some(queries):
            blocks.append(block)
            n_queries += len(block.queries)
            if n_queries >= self._max_queries or sum(len(block.groups) for block in blocks) >= _MAX_PAIRS:
                yield n_before, Batch.joined(blocks)
                blocks, n_before, n_queries = [], n_before + n_queries, 0
        if blocks:
            yield n_before, Batch.joined(blocks)

    def finish(self, numbered: tuple[int, Batch]) -> int:
        """Find the neighbours of a batch, and tell how many queries are done with it."""
        n_before, batch = numbered
        for places, pairs in self._neighbors(batch):
            self._found.put(n_before + places, pairs)
        return n_before + len(batch.queries)

    def _neighbors(self, batch: Batch) -> Iterator[tuple[Numbers, Pairs]]:
        """Give ranked pairs, at least the k nearest, for some places of a batch after the other, until for all."""
        sieve = Sieve(batch.floors - self._rounding, self._k, 2 * self._rounding)
        for pairs in self._close_up(batch, sieve.limits):
            sieve.add(pairs)
        candidates, is_crowded = sieve.finish()
        exact = self._space.cosines(batch.queries[candidates.places], candidates.numbers)
        yield np.flatnonzero(~is_crowded), Pairs(candidates.places, candidates.numbers, exact).ranked()
        crowded = np.flatnonzero(is_crowded)
        for block, pairs in nearest_in_crowd(self._space, batch.queries[crowded], self._k, self._stop):
            yield crowded[block], pairs

    @property
    def _max_queries(self) -> int:
        return max(1, min(_MAX_QUERIES, MAX_CANDIDATES // (16 * self._k)))
