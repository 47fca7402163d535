"""Points in many small clusters (inverted lists), in which near points often lie together, found by k-means.

There are many centroids, and comparing each point with all of them would take longest. So a coarse quantizer, by
k-means too, assigns the points to coarse clusters first. The points of each are compared with the centroids nearest to
its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pixvec.concurrency.parallel import parallel_map
from pixvec.similarity.links.space import Indices, chunks
from pixvec.values import Vectors

_COARSE: Final = 8
_SHORTLIST: Final = 28
"""Of n centroids: this times the root of n are the coarse clusters, and the centroids on the shortlist of one."""
_SAMPLE: Final = 8
"""Points for each centroid, from which it is trained."""
_ROUNDS: Final = 4
_COARSE_CHUNK: Final = 64
"""Coarse clusters whose shortlists are made at a time."""
_GATHERED: Final = 1 << 14
"""Points that are gathered at a time."""
_COMPARED: Final = 512
"""Points that are compared with centroids at a time."""
_LARGEST: Final = 8
"""A cluster's members are at most so many times the size asked for, and so are its second members."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Some points, by their numbers.

    Parameters
    ----------
    members
        Points whose nearest centroid is the cluster's; each point is a member of one cluster.
    second_members
        Points whose second nearest centroid it is (second assignment); each point is one of at most one cluster.
    """

    members: Indices
    second_members: Indices


def find_clusters(
    points: Vectors, size: int, *, min_members: int, seed: int, stop: threading.Event | None = None
) -> list[Cluster]:
    """Assign points to clusters of about `size` members.

    Parameters
    ----------
    points
        (U, D'). Points are near when their inner product is great.
    min_members
        A cluster has at least so many members, if there are as many points.
    seed
        Another seed gives other clusters.

    Raises
    ------
    StoppedError
        Soon after `stop` is set.
    """
    rng = np.random.default_rng(seed)
    most = _LARGEST * size
    clusters: list[Cluster] = []
    pending = [np.arange(len(points))]
    while pending:
        part = pending.pop()
        if len(part) <= most:
            clusters.append(_without_second(part))
            continue
        for cluster in _split(points, part, len(part) // size, rng, stop):
            if len(cluster.members) <= most:
                # Points of a part that is split once more are second members elsewhere already.
                second_members = cluster.second_members[: most if len(part) == len(points) else 0]
                clusters.append(Cluster(cluster.members, second_members))
            elif len(cluster.members) < len(part) / 2:
                pending.append(cluster.members)
            else:  # too much alike to be separated
                shuffled = rng.permutation(cluster.members)
                clusters += map(_without_second, np.array_split(shuffled, len(shuffled) // size))
    return list(_merged(clusters, min_members))


def _without_second(members: Indices) -> Cluster:
    return Cluster(members, members[:0])


def _merged(clusters: list[Cluster], min_members: int) -> Iterator[Cluster]:
    """Merge clusters of too few members with those that follow, and at the end with those before."""
    held: list[Cluster] = []
    n_left = sum(len(cluster.members) for cluster in clusters)
    n_held = 0
    for cluster in clusters:
        held.append(cluster)
        n_held += len(cluster.members)
        n_left -= len(cluster.members)
        if n_held >= min_members and (n_left >= min_members or cluster is clusters[-1]):
            yield _union(held)
            held, n_held = [], 0
    if held:
        yield _union(held)


def _union(clusters: list[Cluster]) -> Cluster:
    return Cluster(
        np.concatenate([cluster.members for cluster in clusters]),
        np.concatenate([cluster.second_members for cluster in clusters]),
    )


@dataclass(frozen=True, slots=True)
class _CoarseClusters:
    """R coarse clusters of points that are sorted by them.

    Parameters
    ----------
    centroids
        (R, D').
    starts
        Where the points of each begin, and those of the last one end, (R + 1,).
    """

    centroids: Vectors
    starts: Indices

    def of_every(self, step: int) -> _CoarseClusters:
        """Return the coarse clusters of every step-th point."""
        return _CoarseClusters(self.centroids, -(-self.starts // step))

    def pieces(self) -> Iterator[tuple[int, slice]]:
        """Yield each coarse cluster's number with some of its points, until all are covered."""
        for number, (start, end) in enumerate(pairwise(self.starts.tolist())):
            for chunk in chunks(end - start, _COMPARED):
                yield number, slice(start + chunk.start, start + chunk.stop)


def _split(
    points: Vectors, part: Indices, n: int, rng: np.random.Generator, stop: threading.Event | None
) -> list[Cluster]:
    """Train n centroids on some points, and assign each of these to its two nearest."""
    part, coarse = _coarsely_quantized(points, part, int(_COARSE * n**0.5), rng, stop)
    points = np.concatenate(parallel_map(lambda chunk: points[part[chunk]], chunks(len(part), _GATHERED)))
    step = max(1, len(points) // (n * _SAMPLE))
    sample = points[::step].copy()
    centroids = _l2_normalized(points[:: len(points) // n][:n])
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, coarse.of_every(step), centroids, 1, stop)[:, 0]
        centroids = _updated(centroids, sample, nearest)
    assignments = _nearest(points, coarse, centroids, 2, stop).T  # (2, n points)
    return list(map(Cluster, *(_inverted_lists(part, centroid, n) for centroid in assignments)))


def _coarsely_quantized(
    points: Vectors, part: Indices, n: int, rng: np.random.Generator, stop: threading.Event | None
) -> tuple[Indices, _CoarseClusters]:
    """Sort some points by about n coarse clusters."""
    sample = points[rng.choice(part, min(len(part), n * _SAMPLE), replace=False)]
    centroids = _l2_normalized(sample[:n])
    centroids = _updated(centroids, sample, _nearest_of_all(sample, centroids))
    some = parallel_map(
        lambda chunk: _nearest_of_all(points[part[chunk]], centroids), chunks(len(part), _COMPARED), stop
    )
    nearest = np.concatenate(some)
    order = np.argsort(nearest, kind="stable")
    return part[order], _CoarseClusters(centroids, np.searchsorted(nearest[order], np.arange(len(centroids) + 1)))


def _nearest_of_all(points: Vectors, centroids: Vectors) -> Indices:
    nearest: Indices = (points @ centroids.T).argmax(axis=1)
    return nearest


def _nearest(
    points: Vectors, coarse: _CoarseClusters, centroids: Vectors, n_nearest: int, stop: threading.Event | None
) -> Indices:
    """Find for each point the nearest centroids on its coarse cluster's shortlist, nearest first: (n, n_nearest)."""
    shortlists = _shortlists(coarse.centroids, centroids)

    def nearest_of_some(piece: tuple[int, slice]) -> Indices:
        number, some = piece
        cosines = points[some] @ centroids[shortlists[number]].T
        chosen = [cosines.argmax(axis=1)]
        while len(chosen) < n_nearest:
            np.put_along_axis(cosines, chosen[-1][:, None], -np.inf, axis=1)
            chosen.append(cosines.argmax(axis=1))
        return np.asarray(shortlists[number][np.column_stack(chosen)])

    return np.concatenate(parallel_map(nearest_of_some, coarse.pieces(), stop))


def _shortlists(coarse_centroids: Vectors, centroids: Vectors) -> Indices:
    """List for each coarse centroid the centroids that are nearest to it: (R, T)."""
    n = min(len(centroids), int(_SHORTLIST * len(centroids) ** 0.5))

    def shortlists_of_some(chunk: slice) -> Indices:
        return np.argpartition(coarse_centroids[chunk] @ centroids.T, len(centroids) - n, axis=1)[:, -n:]

    return np.concatenate(parallel_map(shortlists_of_some, chunks(len(coarse_centroids), _COARSE_CHUNK)))


def _inverted_lists(points: Indices, centroid: Indices, n: int) -> list[Indices]:
    """List for each of n centroids the points that are assigned to it."""
    order = np.argsort(centroid, kind="stable")
    return np.split(points[order], np.searchsorted(centroid[order], np.arange(1, n)))


def _updated(centroids: Vectors, sample: Vectors, nearest: Indices) -> Vectors:
    """Move each centroid to the mean of the sample's points that it is the nearest of; without any it stays."""
    order = np.argsort(nearest, kind="stable")
    starts = np.flatnonzero(np.diff(nearest[order], prepend=-1))
    updated = centroids.copy()
    updated[nearest[order[starts]]] = _l2_normalized(np.add.reduceat(sample[order], starts))
    return updated


def _l2_normalized(vectors: Vectors) -> Vectors:
    """Scale vectors, (n, D'), to length 1; zero stays zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None])
