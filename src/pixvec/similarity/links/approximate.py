"""Approximate neighbours, for when all pairs are too many: directions are clustered again and again, each time anew.

Near directions are often in the same cluster. Each direction is assigned to two clusters. The members of a cluster are
compared with each other and with the directions known to be near to any of them, as a neighbour's neighbour is often a
neighbour. The search ends when enough neighbours of a sample are found, whose true neighbours are known from comparing
it with all directions. The recall is measured on another such sample.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from pixvec.concurrency.parallel import parallel_map
from pixvec.concurrency.stop import raise_if_stopped
from pixvec.similarity.links.clusters import Cluster, find_clusters
from pixvec.similarity.links.neighbors import Neighbors, NeighborSearch, ReportProgress
from pixvec.similarity.links.space import Cosines, Directions, Space, chunks
from pixvec.similarity.links.top_k import TopK, greatest
from pixvec.values import Vectors

_SAMPLE: Final = 256
"""Queries in each of the two samples."""
_WANTED_RECALL: Final = 0.95
_MAX_ROUNDS: Final = 40
_CLUSTER_SIZE: Final = 64
"""About how many members a cluster has, unless very many neighbours are asked for."""
_LINKS: Final = 4
"""So many of the nearest known to each member are compared with the whole cluster."""
_PRINCIPAL_AXES: Final = 128
"""In so many dimensions directions are clustered: enough to tell what is near, and fewer are faster."""
_AXES_SAMPLE: Final = 1 << 14
_CHUNK: Final = 512
"""Members of a cluster that are compared at a time."""
_LARGE_CHUNK: Final = 1 << 12
"""Directions that a sample is compared with at a time, or whose neighbours are ranked."""


@dataclass(frozen=True, slots=True)
class ApproximateSearch(NeighborSearch):
    """Finds most of the true neighbours, by comparing the directions of small clusters."""

    def nearest(
        self,
        space: Space,
        k: int,
        *,
        on_progress: ReportProgress | None = None,
        stop: threading.Event | None = None,
    ) -> Neighbors:
        """Find most of the nearest directions of each direction: see `NeighborSearch`.

        The space must have at least two samples of directions.
        """
        graph = _NeighborGraph(space, min(k, len(space) - 1), stop)
        stopping, held_out = np.random.default_rng(0).choice(len(space), (2, _SAMPLE), replace=False)
        nearest_stopping, nearest_held_out = parallel_map(graph.nearest_of_all, [stopping, held_out], stop)
        for seed in range(_MAX_ROUNDS):
            graph.improve(seed)
            recall = graph.recall(stopping, nearest_stopping)
            if on_progress:
                on_progress(int(len(space) * _progress(recall)), len(space))
            if recall >= _WANTED_RECALL:
                break
        return graph.ranked(recall=graph.recall(held_out, nearest_held_out))


def _progress(recall: float) -> float:
    """Estimate the share of the rounds that are done, 0 to 1: each finds about the same share of what is missing."""
    return math.log1p(-min(recall, _WANTED_RECALL)) / math.log1p(-_WANTED_RECALL)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """For some queries, (Q,), others that may be near, (Q, M), and their cosines."""

    queries: Directions
    targets: Directions
    cosines: Cosines


class _NeighborGraph:
    """The nearest of each direction that are found so far."""

    def __init__(self, space: Space, k: int, stop: threading.Event | None) -> None:
        self._space = space
        self._k = k
        self._stop = stop
        self._vectors = space.all_unit_vectors(len(space))
        axes = _principal_axes(self._vectors)
        blocks = (self._vectors[chunk] for chunk in chunks(len(space), _CHUNK))
        self._points = np.concatenate(parallel_map(lambda block: block @ axes, blocks, stop))
        self._found = TopK(np.arange(len(space)), k)
        self._order = np.arange(len(space))  # by cluster, so that near directions are close to each other

    def nearest_of_all(self, queries: Directions) -> TopK:
        """Compare some directions, (Q,), with all."""
        nearest = TopK(queries, self._k)
        rows, vectors = np.arange(len(queries)), self._vectors[queries]
        for chunk in chunks(len(self._vectors), _LARGE_CHUNK):
            raise_if_stopped(self._stop)
            nearest.update(rows, np.arange(chunk.start, chunk.stop), vectors @ self._vectors[chunk].T)
        return nearest

    def improve(self, seed: int) -> None:
        """Cluster all directions, differently for another seed, and compare those of each cluster."""
        size = max(_CLUSTER_SIZE, 4 * self._k)
        clusters = find_clusters(self._points, size, min_members=self._k + 1, seed=seed, stop=self._stop)
        self._order = np.concatenate([cluster.members for cluster in clusters])
        candidates = parallel_map(self._compare, clusters, self._stop)
        parallel_map(self._merge, candidates, self._stop)

    def _compare(self, cluster: Cluster) -> list[_Candidates]:
        """Compare the members of a cluster with all in it and with the nearest known to any of them.

        What is found for second members is returned: they are members of other clusters, which other threads may be
        comparing.
        """
        links = self._found.nearest(cluster.members, _LINKS)
        others = np.unique(np.concatenate([cluster.members, cluster.second_members, links[links >= 0]]))
        vectors = self._vectors[others]
        second = np.searchsorted(others, cluster.second_members)
        members = np.sort(cluster.members)
        candidates: list[_Candidates] = []
        for some in (members[chunk] for chunk in chunks(len(members), _CHUNK)):
            cosines = vectors @ vectors[np.searchsorted(others, some)].T  # (others, members)
            of_second = cosines[second]
            near = greatest(of_second, self._k)
            near_cosines = np.take_along_axis(of_second, near, axis=1)
            candidates.append(_Candidates(cluster.second_members, some[near], near_cosines))
            self._found.update(some, others, cosines.T.copy())
        return candidates

    def _merge(self, candidates: list[_Candidates]) -> None:
        for some in candidates:
            self._found.merge(some.queries, some.targets, some.cosines)

    def recall(self, queries: Directions, nearest: TopK) -> float:
        """Return the share of the nearest of some directions, (Q,), that is found, or of others that are as near."""
        least = nearest.cosines.min(axis=1, keepdims=True) - self._space.rounding
        return float(np.mean(self._found.cosines[queries] >= least))

    def ranked(self, *, recall: float) -> Neighbors:
        """Rank what is found by exact cosines."""
        neighbors = Neighbors.empty(len(self._space), self._k, recall=recall)
        some = (self._order[chunk] for chunk in chunks(len(self._space), _LARGE_CHUNK))
        parallel_map(partial(self._rank, neighbors), some, self._stop)
        return neighbors

    def _rank(self, neighbors: Neighbors, queries: Directions) -> None:
        targets = self._found.directions[queries]
        cosines = self._space.cosines(queries, targets)
        order = np.lexsort((targets, -cosines), axis=1)
        neighbors.directions[queries] = np.take_along_axis(targets, order, axis=1)
        neighbors.cosines[queries] = np.take_along_axis(cosines, order, axis=1)


def _principal_axes(vectors: Vectors) -> Vectors:
    """Find the axes in which a sample of vectors, (U, D), is largest: (D, D')."""
    sample = vectors[:: -(-len(vectors) // _AXES_SAMPLE)]
    _, axes = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(axes[:, -_PRINCIPAL_AXES:])
