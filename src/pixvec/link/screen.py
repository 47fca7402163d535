"""The first sieve: of every group of directions, the greatest cosine with each query, in a known precision.

Matrix products of all pairs are where the time goes. In bf16 they take half of fp32's, and their errors are too large
to tell neighbours by, but small enough to leave out nearly all that cannot be one. How large they can be is derived,
not assumed; that the engine keeps to it is checked on its first products.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import Graph, Precision, compile_outputs, ops, ov
from pixvec.link.space import Numbers, chunks
from pixvec.link.units import BLOCK, GROUP, Units
from pixvec.values import Vectors

_CHECKED_QUERIES = 32
_HALF_ROUNDING = 2.0**-11
"""What float16 moves a number by at most, if the number is less than 2."""

_Maxima: TypeAlias = NDArray[np.floating[Any]]
_Round: TypeAlias = Callable[[Vectors], Vectors]


@dataclass(frozen=True, slots=True)
class Batch:
    """Q queries and where to look for their neighbours.

    Parameters
    ----------
    queries
        Numbers of directions, (Q,).
    floors
        For each query a cosine that no neighbour's true cosine is below, (Q,).
    places, groups
        The pairs of a query, by its place among `queries`, and a group that a neighbour may be in, (P,) each.
    """

    queries: Numbers
    floors: NDArray[np.float64]
    places: Numbers
    groups: Numbers

    @classmethod
    def joined(cls, batches: list[Batch]) -> Batch:
        """Put batches together."""
        starts = np.cumsum([0, *(len(batch.queries) for batch in batches[:-1])])
        return cls(
            np.concatenate([batch.queries for batch in batches]),
            np.concatenate([batch.floors for batch in batches]),
            np.concatenate([start + batch.places for start, batch in zip(starts, batches, strict=True)]),
            np.concatenate([batch.groups for batch in batches]),
        )


class Screen:
    """Finds the groups in which the k nearest others of a query can be.

    Parameters
    ----------
    units
        The directions.
    k
        How many neighbours are wanted.
    precision
        What to compute in; fp32 takes the place of a bf16 that is less exact here than it should be.
    """

    def __init__(self, units: Units, k: int, precision: Precision, stop: threading.Event | None = None) -> None:
        self._units = units
        self._k = k
        self._stop = stop
        self._program, rounded = _compile(units, precision)
        if not self._is_sound(rounded):
            self._program, rounded = _compile(units, "fp32")
        self._errors = _errors(units, rounded)

    def some(self, queries: Numbers) -> Iterator[Batch]:
        """Screen some directions, block by block."""
        for block in chunks(len(queries), BLOCK):
            vectors = self._units.vectors[np.resize(queries[block], BLOCK)]  # (BLOCK, D): repeated to fill it
            maxima = [self._maxima(vectors, tile)[0] for tile in self._units.tiles]
            yield self._batch(queries[block], np.concatenate(maxima, axis=1))

    def all(self) -> Iterator[Batch]:
        """Screen all directions, block by block; each product of two blocks serves both.

        What is found for later tiles is kept in float16 until their turn: at most U² / (4 GROUP) numbers at a time.
        """
        kept: list[list[NDArray[np.float16]]] = [[] for _ in self._units.tiles]
        for index, tile in enumerate(self._units.tiles):
            earlier = np.concatenate([np.empty((0, self._units.tile), np.float16), *kept[index]])
            kept[index].clear()
            for start in range(0, self._units.tile, BLOCK):
                block = slice(tile.start + start, min(tile.start + start + BLOCK, self._units.n))
                if block.start < block.stop:
                    own_and_later = self._maxima_of(block, index, kept)
                    maxima = [earlier[:, start : start + BLOCK].T, *own_and_later]
                    yield self._batch(np.arange(block.start, block.stop), np.concatenate(maxima, axis=1))

    def _maxima_of(self, block: slice, index: int, kept: list[list[NDArray[np.float16]]]) -> list[_Maxima]:
        """Find a block's maxima in its own tile and all later ones, and keep theirs in the block."""
        vectors = self._units.vectors[block.start : block.start + BLOCK]
        maxima = []
        for later, tile in list(enumerate(self._units.tiles))[index:]:
            of_block, of_tile = self._maxima(vectors, tile)
            maxima.append(of_block)
            if later > index:
                kept[later].append(of_tile.astype(np.float16))
        return maxima

    def _maxima(self, vectors: Vectors, tile: slice) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        of_block, of_tile = self._program(vectors, self._units.vectors[tile], stop=self._stop)
        return of_block, of_tile

    def _batch(self, queries: Numbers, maxima: _Maxima) -> Batch:
        """Choose groups by the maxima of a block, (BLOCK, groups).

        A query is itself among the directions, so that the k + 1 groups of the greatest maxima hold at least k
        others: the k-th neighbour's cosine is at least the least of these maxima, less its error.
        """
        maxima = maxima[: len(queries), : self._units.n_groups]
        errors = self._errors[queries]  # (Q,)
        floors = np.full(len(queries), -1.0)
        if self._k < self._units.n_groups:
            floors = np.partition(maxima, -self._k - 1, axis=1)[:, -self._k - 1] - errors
        places, groups = np.nonzero(maxima >= (floors - errors)[:, None])
        return Batch(queries, floors, places, groups)

    def _is_sound(self, rounded: _Round) -> bool:
        """Compare some of the first maxima with what exact sums over the rounded numbers give."""
        tile = self._units.tiles[0]
        vectors = rounded(self._units.vectors[tile]).astype(np.float64)  # (tile, D)
        expected = (vectors[:_CHECKED_QUERIES] @ vectors.T).reshape(_CHECKED_QUERIES, -1, GROUP).max(axis=2)
        found, _ = self._maxima(self._units.vectors[:BLOCK], tile)
        return bool(np.all(np.abs(found[:_CHECKED_QUERIES] - expected) <= self._units.rounding))


def _errors(units: Units, rounded: _Round) -> NDArray[np.float64]:
    """Bound for each direction how far its maxima may be from the true ones: (U,).

    For unit vectors x and y and what they are rounded to, x·y - x'·y' = (x - x')·y + x'·(y - y'), which by
    Cauchy and Schwarz is at most |x - x'| + |x'| |y - y'|. Both lengths are measured; y may be any direction.
    """
    moved = np.empty(units.n)  # (U,)
    for chunk in chunks(units.n, BLOCK):
        exact = units.vectors[chunk].astype(np.float64)
        moved[chunk] = np.sqrt(np.square(exact - rounded(units.vectors[chunk])).sum(axis=1))
    return np.asarray(moved + (1 + moved) * moved.max() + 2 * units.rounding + _HALF_ROUNDING)


def _compile(units: Units, precision: Precision) -> tuple[Callable[..., tuple[NDArray[np.float32], ...]], _Round]:
    graph = _group_maxima(units.tile, units.vectors.shape[1])
    return compile_outputs(graph, precision), to_bf16 if precision == "bf16" else np.asarray


def _group_maxima(tile: int, dim: int) -> Graph:
    """Multiply a block by a tile; find each one's greatest cosines in the groups of the other."""
    block_vectors = ops.parameter([BLOCK, dim], ov.Type.f32)
    tile_vectors = ops.parameter([tile, dim], ov.Type.f32)
    cosines = ops.matmul(block_vectors, tile_vectors, False, True)  # (BLOCK, tile)
    # In bf16 the engine would hand the cosines on in bf16 too; what is added, nothing, keeps them in float32.
    kept = ops.add(cosines, ops.constant(np.float32(1e-30)))
    maxima = [
        _maxima(kept, (BLOCK, tile // GROUP, GROUP), 2),  # (BLOCK, tile / GROUP)
        _maxima(kept, (BLOCK // GROUP, GROUP, tile), 1),  # (BLOCK / GROUP, tile)
    ]
    return ov.Model(maxima, [block_vectors, tile_vectors], "group maxima")


def _maxima(cosines: ov.Node, shape: tuple[int, int, int], axis: int) -> ov.Output:
    groups = ops.reshape(cosines, ops.constant(np.array(shape)), False)
    return ops.reduce_max(groups, ops.constant(np.array([axis])), False).output(0)


def to_bf16(vectors: Vectors) -> Vectors:
    """Round float32 numbers to the nearest of bf16, ties to even, as processors do; what they are stays float32."""
    bits = vectors.view(np.uint32)
    nearest = bits + (0x7FFF + ((bits >> 16) & 1))
    return (nearest & np.uint32(0xFFFF0000)).view(np.float32)
