"""The first sieve: of every group of directions, the greatest cosine with each query, in a known precision.

Matrix products of all pairs are where the time goes. In int8 they take a quarter to a half of fp32's, in bf16 a half,
and their errors are too large to tell neighbours by, but small enough to leave out nearly all that cannot be one.
"""

from __future__ import annotations

import platform
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import resolve_precision
from pixvec.link.products import Kind, Maxima, Products
from pixvec.link.space import Numbers
from pixvec.link.units import BLOCK, Units

_HALF_ROUNDING = 2.0**-11
"""What float16 moves a number by at most, if the number is less than 2."""
_MIN_INT8 = 1 << 15
"""With fewer directions than that, getting ready for int8 takes longer than it saves."""
_MAX_MORE = 0.05
"""Of all groups, how many more may be left for a query than can be hoped for. A query and a group take ten times as
long in the second sieve as int8 saves in the first: measured."""


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
    kinds
        The precisions to choose from, the fastest first. One that is less exact here than it should be, or int8 where
        it tells too few groups apart, gives way to the next; the last is taken as it is.
    """

    def __init__(self, units: Units, k: int, kinds: Sequence[Kind], stop: threading.Event | None = None) -> None:
        self._units = units
        self._k = k
        for kind in kinds:
            self._products = Products(units, kind, stop)
            self._errors = self._products.errors + _HALF_ROUNDING
            if kind == kinds[-1] or (self._products.are_sound() and (kind != "int8" or self._is_sharp())):
                break

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

    def _maxima_of(self, block: slice, index: int, kept: list[list[NDArray[np.float16]]]) -> list[Maxima]:
        """Find a block's maxima in its own tile and all later ones, and keep theirs in the block."""
        whole = slice(block.start, block.start + BLOCK)
        maxima: list[Maxima] = []
        for later, tile in list(enumerate(self._units.tiles))[index:]:
            of_block, of_tile = self._products.maxima(whole, tile)
            maxima.append(of_block)
            if later > index:
                kept[later].append(of_tile.astype(np.float16))
        return maxima

    def _batch(self, queries: Numbers, maxima: Maxima) -> Batch:
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

    def _is_sharp(self) -> bool:
        """Tell whether about as few groups are left for a sample of queries as there can be: one for each neighbour."""
        sample = np.linspace(0, self._units.n - 1, BLOCK, dtype=np.int64)
        maxima = [self._products.maxima(sample, tile)[0] for tile in self._units.tiles]
        batch = self._batch(sample, np.concatenate(maxima, axis=1))
        return len(batch.groups) <= BLOCK * (self._k + 1 + _MAX_MORE * self._units.n_groups)


def fastest_kinds(n: int) -> list[Kind]:
    """Name the precisions for a search among n directions, the fastest first."""
    kinds: list[Kind] = ["fp32"] if resolve_precision("auto") == "fp32" else ["bf16", "fp32"]
    # The engine multiplies int8 fast on x86 alone.
    return ["int8", *kinds] if n >= _MIN_INT8 and platform.machine() in {"x86_64", "AMD64"} else kinds
