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
from pixvec.link.parallel import prefetch
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
    on_progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> Neighbors:
    """Find the `k` nearest others of each direction, or all others where they are fewer.

    Parameters
    ----------
    space
        Where to search.
    on_progress
        Called now and then with how many directions are done, and how many there are.

    Raises
    ------
    StoppedError
        Soon after `stop` is set.
    """
    k = min(k, max(len(space) - 1, 0))
    found = Neighbors.empty(len(space), k)
    if k:
        search = _Search(space, k, stop, found)
        for n_done in prefetch(search.finish, search.batches()):
            if on_progress:
                on_progress(n_done, len(space))
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

    def batches(self) -> Iterator[Batch]:
        """Screen all directions, and put blocks together that leave few pairs."""
        blocks: list[Batch] = []
        for block in self._screen.all():
            blocks.append(block)
            n_queries = sum(len(block.queries) for block in blocks)
            if n_queries >= self._max_queries or sum(len(block.groups) for block in blocks) >= _MAX_PAIRS:
                yield Batch.joined(blocks)
                blocks = []
        if blocks:
            yield Batch.joined(blocks)

    def finish(self, batch: Batch) -> int:
        """Find the neighbours of a batch, and tell how many directions are done with it."""
        for places, pairs in self._neighbors(batch):
            self._found.put(batch.queries[places], pairs)
        return int(batch.queries[-1]) + 1

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
