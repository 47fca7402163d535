"""An order in which near directions are mostly close together, so that cut into groups they make small clusters.

Directions are halved across their widest axis, and the halves again, down to groups; then, a few times over, each
goes to the group whose mean is nearest, and the groups are cut anew. No step depends on the number of threads.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import Precision, compile_graph, heed, ops, ov, resolve_precision
from pixvec.link.space import Numbers, Space, chunks
from pixvec.link.units import BLOCK, GROUP, Units
from pixvec.values import Vectors

_ROUNDS = 4
_AXIS_SAMPLE = 256
_AXIS_STEPS = 4


class Likeness:
    """Multiplies directions by the means of groups.

    Parameters
    ----------
    units
        The directions.
    n_groups
        How many means there are.
    precision
        What to compute in.
    """

    def __init__(
        self, units: Units, n_groups: int, precision: Precision, *, stop: threading.Event | None = None
    ) -> None:
        dim = units.vectors.shape[1]
        self._units = units
        self._program = compile_graph(products((BLOCK, dim), (n_groups, dim)), precision)
        self._stop = stop

    def __call__(self, queries: Numbers, means: Vectors) -> NDArray[np.float32]:
        """Multiply up to `BLOCK` queries, (Q,), by means, (groups, D): (Q, groups)."""
        vectors = self._units.vectors[np.resize(queries, BLOCK)]
        return self._program(vectors, means, stop=self._stop)[: len(queries)]


def near_together(space: Space, *, stop: threading.Event | None = None) -> Numbers:
    """Order the directions of a space: (U,)."""
    order = _halved(space, stop)
    units = Units.of(space, order)
    likeness = Likeness(units, units.n_groups, resolve_precision("auto"), stop=stop)
    places = np.arange(units.n)
    for _ in range(_ROUNDS):
        means = group_means(units, places)
        means /= np.maximum(np.sqrt(np.einsum("gd,gd->g", means, means)), np.finfo(np.float32).tiny)[:, None]
        nearest = [
            likeness(np.arange(block.start, block.stop), means).argmax(axis=1) for block in chunks(units.n, BLOCK)
        ]
        places = np.argsort(np.concatenate(nearest), kind="stable")
    return order[places]


def group_means(units: Units, places: Numbers) -> Vectors:
    """Average each group of the directions at `places`, (U,): (groups, D). The last place fills the last group."""
    filled = np.pad(places, (0, -len(places) % GROUP), mode="edge")
    means = [
        units.vectors[filled[some]].reshape(-1, GROUP, units.vectors.shape[1]).mean(axis=1)
        for some in chunks(len(filled), BLOCK)
    ]
    return np.concatenate(means)


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
