"""Approximate neighbours, for when all pairs are too many: each query looks through the groups it is likeliest in.

Directions are put in an order in which near ones are mostly close together, and cut into groups. A query looks through
the groups whose means are nearest to it; what it finds is ranked as in an exact search. How many groups that takes is
learnt from a sample of queries that are also searched for exactly, and another such sample measures the recall.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import compile_graph, resolve_precision
from pixvec.link.close_up import CloseUp
from pixvec.link.exact import nearest
from pixvec.link.grouping import Likeness, group_means, near_together, products
from pixvec.link.ranking import Neighbors, Pairs
from pixvec.link.screen import Batch
from pixvec.link.sieve import Sieve
from pixvec.link.space import Numbers, Space, chunks
from pixvec.link.units import BLOCK, GROUP, Units

_SAMPLE = 512
"""Queries in each of the two samples."""
_WANTED_RECALL = 0.96
_NO_FLOOR = -2.0
_MAX_PROBES = 192
"""Groups that are looked through for a query at most."""


def nearest_approximately(
    space: Space,
    k: int,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    stop: threading.Event | None = None,
) -> tuple[Neighbors, float]:
    """Find most of the `k` nearest others of each direction; and the share of them that was found, by a sample.

    Parameters
    ----------
    space
        Where to search: at least two samples of directions, and more than `k`.
    on_progress
        Called now and then with how many directions are done, and how many there are.

    Raises
    ------
    StoppedError
        Soon after `stop` is set.
    """
    order = near_together(space, stop=stop)
    places = np.random.default_rng(0).choice(len(space), 2 * _SAMPLE, replace=False)
    true = nearest(space, k, queries=order[places], stop=stop)
    search = _Search(space, order, k, stop)
    search.learn(places[:_SAMPLE], true.numbers[:_SAMPLE])
    found = Neighbors.empty(len(space), k)
    for batch in search.batches():
        found.put(order[batch.queries], search.ranked(batch))
        if on_progress:
            on_progress(int(batch.queries[-1]) + 1, len(space))
    in_sample = found.cosines[order[places[_SAMPLE:]]]  # (sample, K)
    return found, float(np.mean(in_sample >= true.cosines[_SAMPLE:, -1:]))


class _Search:
    """A search through the likeliest groups; queries and pairs are numbered by their places in `order`."""

    def __init__(self, space: Space, order: Numbers, k: int, stop: threading.Event | None) -> None:
        self._space = space
        self._order = order
        self._k = k
        self._stop = stop
        self._units = Units.of(space, order)
        self._means = group_means(self._units, np.arange(len(order)))  # (groups, D)
        self._likeness = Likeness(self._units, len(self._means), resolve_precision("auto"), stop=stop)
        within = (BLOCK // GROUP, GROUP, space.dim)
        self._within_groups = compile_graph(products(within, within), "fp32")
        self._close_up = CloseUp(self._units, stop=stop)
        self._n_probes = min(len(self._means), _MAX_PROBES)

    def learn(self, queries: Numbers, true: Numbers) -> None:
        """Find how many groups must be looked through, from queries, (Q,), and their true neighbours, (Q, K)."""
        groups = np.argsort(self._order)[true] // GROUP  # (Q, K)
        likeness = self._likeness(queries, self._means)  # (Q, groups)
        its_likeness = np.take_along_axis(likeness, groups, axis=1)  # (Q, K)
        n_likelier = np.concatenate(
            [(row > its[:, None]).sum(axis=1) for row, its in zip(likeness, its_likeness, strict=True)]
        )
        enough = int(np.quantile(n_likelier, _WANTED_RECALL)) + 1
        at_least = -(-self._k // GROUP) + 1  # groups that hold k others, should one of them not be full
        self._n_probes = min(max(enough, at_least), max(_MAX_PROBES, at_least), len(self._means))

    def batches(self) -> Iterator[Batch]:
        """Choose each block's groups."""
        for block in chunks(len(self._order), BLOCK):
            queries = np.arange(block.start, block.stop)
            likeness = self._likeness(queries, self._means)  # (Q, groups)
            likeness[np.arange(len(queries)), queries // GROUP] = np.inf
            least = np.partition(likeness, -self._n_probes, axis=1)[:, -self._n_probes, None]
            places, groups = np.nonzero(likeness >= least)
            yield Batch(queries, self._floors(queries), places, groups)

    def ranked(self, batch: Batch) -> Pairs:
        """Give ranked pairs, at least the k nearest that are found, for all of a batch."""
        sieve = Sieve(batch.floors, self._k, 2 * self._units.rounding, cuts_crowds=True)
        for pairs in self._close_up(batch, sieve.limits):
            sieve.add(pairs)
        near, _ = sieve.finish()
        numbers = self._order[near.numbers]
        exact = self._space.cosines(self._order[batch.queries[near.places]], numbers)
        return Pairs(near.places, numbers, exact).ranked()

    def _floors(self, queries: Numbers) -> NDArray[np.float64]:
        """Find for each query of a block a float32 cosine that k others in its own group reach, if it has as many."""
        if self._k >= GROUP:
            return np.full(len(queries), _NO_FLOOR)
        vectors = self._units.vectors[queries[0] : queries[0] + BLOCK].reshape(-1, GROUP, self._space.dim)
        cosines = self._within_groups(vectors, vectors, stop=self._stop).reshape(BLOCK, GROUP)
        columns = np.arange(BLOCK)[:, None] // GROUP * GROUP + np.arange(GROUP)  # (BLOCK, GROUP)
        cosines[columns >= len(queries)] = _NO_FLOOR
        kth = np.partition(cosines, -self._k - 1, axis=1)[: len(queries), -self._k - 1]
        return kth.astype(np.float64) - 2 * self._units.rounding
