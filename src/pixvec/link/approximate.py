"""Approximate neighbours, for when all pairs are too many: each query looks through the clusters it is likeliest in.

Directions are put in an order in which near ones are mostly close together, in small clusters, and cut into groups. A
query looks through the groups of those clusters whose means are nearest to it; what it finds is ranked as in an exact
search. How many clusters that takes is learnt from a sample of queries that are also searched for exactly, and
another such sample measures the recall.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import compile_graph
from pixvec.link.close_up import CloseUp
from pixvec.link.exact import nearest
from pixvec.link.grouping import Clusters, Likeness, cluster_means, find_clusters, products
from pixvec.link.overlap import overlapped
from pixvec.link.ranking import Neighbors, Pairs
from pixvec.link.screen import Batch
from pixvec.link.sieve import Sieve
from pixvec.link.space import Numbers, Space
from pixvec.link.units import BLOCK, GROUP, Units

_SAMPLE = 512
"""Queries in each of the two samples."""
_WANTED_RECALL = 0.97
_NO_FLOOR = -2.0
_MAX_PROBES = 96
"""Clusters that are looked through for a query at most."""


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
    clusters = find_clusters(space, stop=stop)
    order = clusters.order
    places = np.random.default_rng(0).choice(len(space), 2 * _SAMPLE, replace=False)
    true = nearest(space, k, queries=order[places], stop=stop)
    search = _Search(space, clusters, k, stop)
    search.learn(places[:_SAMPLE], true.numbers[:_SAMPLE])
    found = Neighbors.empty(len(space), k)
    for n_done in overlapped(lambda batch: search.finish(batch, found), search.batches()):
        if on_progress:
            on_progress(n_done, len(space))
    in_sample = found.cosines[order[places[_SAMPLE:]]]  # (sample, K)
    return found, float(np.mean(in_sample >= true.cosines[_SAMPLE:, -1:]))


class _Search:
    """A search through the likeliest clusters; queries and pairs are numbered by place in the clusters' order."""

    def __init__(self, space: Space, clusters: Clusters, k: int, stop: threading.Event | None) -> None:
        self._space = space
        self._clusters = clusters
        self._order = clusters.order
        self._k = k
        self._stop = stop
        self._units = Units.of(space, self._order)
        n_clusters = len(clusters.starts) - 1
        self._means = cluster_means(self._units, clusters.of(np.arange(len(self._order))), n_clusters)  # (C, D)
        self._likeness = Likeness(self._units, n_clusters, stop=stop)
        within = (BLOCK // GROUP, GROUP, space.dim)
        self._within_groups = compile_graph(products(within, within), "fp32")
        self._close_up = CloseUp(self._units, stop=stop)
        self._n_probes = _MAX_PROBES

    def learn(self, queries: Numbers, true: Numbers) -> None:
        """Find how many clusters must be looked through, from queries, (Q,), and their true neighbours, (Q, K)."""
        clusters = self._clusters.of(np.argsort(self._order)[true])  # (Q, K)
        likeness = self._likeness.to_all(self._units.vectors[queries], self._means)  # (Q, C)
        its_likeness = np.take_along_axis(likeness, clusters, axis=1)  # (Q, K)
        n_likelier = np.concatenate(
            [(row > its[:, None]).sum(axis=1) for row, its in zip(likeness, its_likeness, strict=True)]
        )
        self._n_probes = min(int(np.quantile(n_likelier, _WANTED_RECALL)) + 1, _MAX_PROBES)

    def batches(self) -> Iterator[Batch]:
        """Choose each block's groups."""
        for queries, near, likeness in self._likeness.to_near(self._means):
            n_probes = min(self._n_probes, len(near))
            least = np.partition(likeness, -n_probes, axis=1)[:, -n_probes, None]
            places, columns = np.nonzero(likeness >= least)
            which, groups = self._clusters.groups(near[columns])
            yield Batch(queries, self._floors(queries), *self._with_own(queries, places[which], groups))

    def _with_own(self, queries: Numbers, places: Numbers, groups: Numbers) -> tuple[Numbers, Numbers]:
        """Add each query's own group and so many beside it that they hold k others; give each pair once."""
        n_groups = self._units.n_groups
        n_own = min(-(-self._k // GROUP) + 1, n_groups)
        own = np.minimum(queries // GROUP, n_groups - n_own)[:, None] + np.arange(n_own)  # (Q, own)
        pairs = np.unique(np.append(places * n_groups + groups, np.arange(len(queries))[:, None] * n_groups + own))
        return pairs // n_groups, pairs % n_groups

    def finish(self, batch: Batch, found: Neighbors) -> int:
        """Put the nearest that are found for a batch in their places, and tell how many directions are done with it."""
        sieve = Sieve(batch.floors, self._k, 2 * self._units.rounding, cuts_crowds=True)
        for pairs in self._close_up(batch, sieve.limits):
            sieve.add(pairs)
        near, _ = sieve.finish()
        numbers = self._order[near.numbers]
        exact = self._space.cosines(self._order[batch.queries[near.places]], numbers)
        found.put(self._order[batch.queries], Pairs(near.places, numbers, exact).ranked())
        return int(batch.queries[-1]) + 1

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
