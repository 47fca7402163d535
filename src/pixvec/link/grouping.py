"""Small clusters of near directions: k-means, begun from a tree.

Directions are halved across their widest axis, and the halves again, down to groups; then, a few times over, each
goes to the cluster whose mean is nearest. It looks for it among means near to its block of the tree's leaves alone, so
that the time grows as their number does. No step depends on the number of threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import compile_graph, heed, ops, ov, resolve_precision
from pixvec.link.ranking import ranks
from pixvec.link.space import Numbers, Space, chunks
from pixvec.link.units import BLOCK, GROUP, Units
from pixvec.values import Vectors

_ROUNDS = 4
_NEAR = 4096
"""Clusters that a block's directions are compared with: many times as many as a direction is looked for in."""
MAX_GROUPS_IN_CLUSTER = 4
"""Groups that would hold a cluster; larger ones, as of directions that are all but the same, are cut."""
_AXIS_SAMPLE = 256
_AXIS_STEPS = 4


@dataclass(frozen=True, slots=True)
class Clusters:
    """Small clusters, none of them empty.

    Parameters
    ----------
    order
        The directions, cluster by cluster, (U,).
    starts
        Where in `order` each cluster starts, and U, (C + 1,).
    """

    order: Numbers
    starts: Numbers

    def of(self, places: Numbers) -> Numbers:
        """Tell in which cluster each place in `order` is."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def groups(self, clusters: Numbers) -> tuple[Numbers, Numbers]:
        """List the groups of `order` that clusters, (n,), lie in: for each, the index of the cluster, and the group."""
        first, last = self.starts[clusters] // GROUP, (self.starts[clusters + 1] - 1) // GROUP
        groups = first[:, None] + np.arange(MAX_GROUPS_IN_CLUSTER + 1)  # (n, groups)
        which, column = np.nonzero(groups <= last[:, None])
        return which, groups[which, column]


class Likeness:
    """Multiplies directions by the means of clusters, a block of neighbouring directions at a time.

    Parameters
    ----------
    units
        The directions, in an order in which near ones are mostly close together.
    n_clusters
        How many means there are.
    """

    def __init__(self, units: Units, n_clusters: int, *, stop: threading.Event | None = None) -> None:
        dim = units.vectors.shape[1]
        precision = resolve_precision("auto")
        self._units = units
        self._n_near = min(n_clusters, _NEAR)
        self._to_near = compile_graph(products((BLOCK, dim), (self._n_near, dim)), precision)
        self._to_all = compile_graph(products((BLOCK, dim), (n_clusters, dim)), precision)
        self._stop = stop

    def to_all(self, vectors: Vectors, means: Vectors) -> NDArray[np.float32]:
        """Multiply up to `BLOCK` vectors, (n, D), by means, (C, D): (n, C)."""
        return self._to_all(np.resize(vectors, (BLOCK, vectors.shape[1])), means, stop=self._stop)[: len(vectors)]

    def to_near(self, means: Vectors) -> Iterator[tuple[Numbers, Numbers, NDArray[np.float32]]]:
        """Multiply each block by the means, (C, D), that are near to it.

        Yields
        ------
        tuple
            The block's places in the order, (Q,); the clusters, (near,); and the products, (Q, near).
        """
        near_clusters = chain.from_iterable(self._near_clusters(means))
        for block, clusters in zip(chunks(self._units.n, BLOCK), near_clusters, strict=True):
            vectors = self._units.vectors[block.start : block.start + BLOCK]
            likeness = self._to_near(vectors, means[clusters], stop=self._stop)
            yield np.arange(block.start, block.stop), clusters, likeness[: block.stop - block.start]

    def _near_clusters(self, means: Vectors) -> Iterator[Numbers]:
        """Find the clusters near to each of some blocks, (blocks, near): those near to any of a block's groups."""
        places = np.arange(self._units.n)
        groups = cluster_means(self._units, places // GROUP, self._units.n_groups)
        for some in chunks(len(groups), BLOCK):
            likeness = self.to_all(groups[some], means)  # (groups, C)
            of_blocks = np.maximum.reduceat(likeness, np.arange(0, len(likeness), BLOCK // GROUP))  # (blocks, C)
            yield np.sort(np.argpartition(of_blocks, -self._n_near, axis=1)[:, -self._n_near :], axis=1)


def find_clusters(space: Space, *, stop: threading.Event | None = None) -> Clusters:
    """Cluster the directions of a space."""
    tree_order = _halved(space, stop)
    units = Units.of(space, tree_order)
    n_clusters = units.n_groups
    likeness = Likeness(units, n_clusters, stop=stop)
    nearest = np.arange(units.n) // GROUP
    for _ in range(_ROUNDS):
        means = cluster_means(units, nearest, n_clusters)
        means /= np.maximum(np.sqrt(np.einsum("cd,cd->c", means, means)), np.finfo(np.float32).tiny)[:, None]
        nearest = np.concatenate([near[cosines.argmax(axis=1)] for _, near, cosines in likeness.to_near(means)])
    places = np.argsort(nearest, kind="stable")
    starts = np.flatnonzero(ranks(nearest[places]) % (MAX_GROUPS_IN_CLUSTER * GROUP) == 0)
    return Clusters(tree_order[places], np.append(starts, units.n))


def cluster_means(units: Units, cluster: Numbers, n_clusters: int) -> Vectors:
    """Average the directions of each cluster, given the cluster of each, (U,): (C, D); zeros where it is empty."""
    places = np.argsort(cluster, kind="stable")
    sums = np.zeros((n_clusters, units.vectors.shape[1]), np.float32)
    for some in chunks(units.n, BLOCK):
        numbers = cluster[places[some]]
        firsts = np.flatnonzero(np.diff(numbers, prepend=-1))
        sums[numbers[firsts]] += np.add.reduceat(units.vectors[places[some]], firsts)
    return np.asarray(sums / np.maximum(np.bincount(cluster, minlength=n_clusters), 1).astype(np.float32)[:, None])


def products(left: tuple[int, ...], right: tuple[int, ...]) -> ov.Model:
    """Multiply matrices of these shapes, the second transposed."""
    parameters = [ops.parameter(list(shape), ov.Type.f32) for shape in (left, right)]
    return ov.Model([ops.matmul(*parameters, False, True).output(0)], parameters, "products")


def _halved(space: Space, stop: threading.Event | None) -> Numbers:
    order = np.arange(len(space))
    parts = [slice(0, len(space))]
    while parts:
        part = parts.pop()
        n_groups = -(-(part.stop - part.start) // GROUP)
        if n_groups > 1:
            heed(stop)
            middle = n_groups // 2 * GROUP
            order[part] = order[part][np.argpartition(_along_widest_axis(space, order[part]), middle)]
            parts += [slice(part.start, part.start + middle), slice(part.start + middle, part.stop)]
    return order


def _along_widest_axis(space: Space, numbers: Numbers) -> NDArray[np.float64]:
    """Measure where directions, (n,), lie along the axis in which a sample of them is most spread out: (n,).

    All sums are einsum's, which unlike a BLAS's are never shared out among threads.
    """
    sample = space.units(numbers[:: -(-len(numbers) // _AXIS_SAMPLE)])  # (s, D)
    sample -= sample.mean(axis=0)
    axis = sample[np.einsum("sd,sd->s", sample, sample).argmax()]
    for _ in range(_AXIS_STEPS):
        axis = np.einsum("sd,s->d", sample, np.einsum("sd,d->s", sample, axis))
        axis /= max(np.sqrt(np.einsum("d,d", axis, axis)), np.finfo(float).tiny)
    along = [
        np.einsum("nd,d->n", space.vectors[space.rows[numbers[some]]], axis) for some in chunks(len(numbers), BLOCK)
    ]
    return np.asarray(np.concatenate(along) / space.lengths[numbers])
