"""Approximate neighbours, for when all pairs are too many: all are put into cells, again and again, each time others.

Near directions are often in the same cell. Each is in two: those of a cell are compared with each other, and with what
is known to be near to any of them, as a neighbour's neighbour is often a neighbour. That goes on until enough is found
of what is nearest to a sample, which has been compared with all; another such sample measures the recall.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np

from pixvec.link.best import Best, greatest
from pixvec.link.cells import Cell, find_cells
from pixvec.link.parallel import parallel_map, raise_if_stopped
from pixvec.link.ranking import Neighbors
from pixvec.link.space import Cosines, Numbers, Space, chunks
from pixvec.link.units import Units
from pixvec.values import Vectors

_SAMPLE: Final = 256
"""Queries in each of the two samples."""
_WANTED_RECALL: Final = 0.95
_MAX_ROUNDS: Final = 40
_CELL_SIZE: Final = 64
"""Members of a cell, more or less, unless very many neighbours are wanted."""
_LINKS: Final = 4
"""So many of the nearest of each in a cell are compared with all of it."""
_MAIN_AXES: Final = 128
"""In so many dimensions directions are put into cells: enough to tell what is near, and fewer are faster."""
_AXES_SAMPLE: Final = 1 << 14
_CHUNK: Final = 512
"""Directions of a cell that are compared at a time."""
_MANY: Final = 1 << 12
"""Directions that a sample is compared with at a time, or whose neighbours are ranked."""


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
        Called now and then with how many directions are as good as done, and how many there are.

    Raises
    ------
    StoppedError
        Soon after `stop` is set.
    """
    search = _Search(space, k, stop)
    watched, unseen = np.random.default_rng(0).choice(len(space), (2, _SAMPLE), replace=False)
    nearest_watched, nearest_unseen = parallel_map(search.nearest_of_all, [watched, unseen], stop)
    for seed in range(_MAX_ROUNDS):
        search.compare_within_cells(seed)
        recall = search.recall(watched, nearest_watched)
        if on_progress:
            on_progress(int(len(space) * _way_gone(recall)), len(space))
        if recall >= _WANTED_RECALL:
            break
    return search.ranked(), search.recall(unseen, nearest_unseen)


def _way_gone(recall: float) -> float:
    """Tell how far it is to the wanted recall, 0 to 1: a round finds about the same share of what is still missing."""
    return math.log1p(-min(recall, _WANTED_RECALL)) / math.log1p(-_WANTED_RECALL)


@dataclass(frozen=True, slots=True)
class _Offer:
    """For some queries, (Q,), others that may be near, (Q, M), and their cosines."""

    queries: Numbers
    numbers: Numbers
    cosines: Cosines


class _Search:
    """What is found so far of each direction's nearest."""

    def __init__(self, space: Space, k: int, stop: threading.Event | None) -> None:
        self._space = space
        self._k = k
        self._stop = stop
        units = Units.of(space)
        self._rounding = units.rounding
        self._vectors = units.vectors[: len(space)]
        axes = _main_axes(self._vectors)
        blocks = (self._vectors[chunk] for chunk in chunks(len(space), _CHUNK))
        self._points = np.concatenate(parallel_map(lambda block: block @ axes, blocks, stop))
        self._found = Best(np.arange(len(space)), k)
        self._order = np.arange(len(space))  # in which near ones are not far from each other

    def nearest_of_all(self, queries: Numbers) -> Best:
        """Compare some directions, (Q,), with all."""
        best = Best(queries, self._k)
        rows, vectors = np.arange(len(queries)), self._vectors[queries]
        for chunk in chunks(len(self._vectors), _MANY):
            raise_if_stopped(self._stop)
            best.improve(rows, np.arange(chunk.start, chunk.stop), vectors @ self._vectors[chunk].T)
        return best

    def compare_within_cells(self, seed: int) -> None:
        """Put all directions into cells, other ones for another seed, and compare those of a cell."""
        size = max(_CELL_SIZE, 4 * self._k)
        cells = find_cells(self._points, size, least=self._k + 1, seed=seed, stop=self._stop)
        self._order = np.concatenate([cell.members for cell in cells])
        offers = parallel_map(self._compare, cells, self._stop)
        parallel_map(self._take, offers, self._stop)

    def _compare(self, cell: Cell) -> list[_Offer]:
        """Compare the members of a cell with all in it and with what is nearest to any of them.

        What is found for visitors is returned: they are members of other cells, which may be at work on them.
        """
        links = self._found.nearest(cell.members, _LINKS)
        others = np.unique(np.concatenate([cell.members, cell.visitors, links[links >= 0]]))
        vectors = self._vectors[others]
        visitors = np.searchsorted(others, cell.visitors)
        members = np.sort(cell.members)
        offers: list[_Offer] = []
        for some in (members[chunk] for chunk in chunks(len(members), _CHUNK)):
            cosines = vectors @ vectors[np.searchsorted(others, some)].T
            of_visitors = cosines[visitors]
            near = greatest(of_visitors, self._k)
            offers.append(_Offer(cell.visitors, some[near], np.take_along_axis(of_visitors, near, axis=1)))
            self._found.improve(some, others, cosines.T.copy())
        return offers

    def _take(self, offers: list[_Offer]) -> None:
        for offer in offers:
            self._found.merge(offer.queries, offer.numbers, offer.cosines)

    def recall(self, queries: Numbers, nearest: Best) -> float:
        """Tell which share of the nearest of some directions, (Q,), is found, or others that are as near."""
        least = nearest.cosines.min(axis=1, keepdims=True) - self._rounding
        return float(np.mean(self._found.cosines[queries] >= least))

    def ranked(self) -> Neighbors:
        """Rank what is found, by the cosines that `Space.cosines` has."""
        neighbors = Neighbors.empty(len(self._space), self._k)
        some = (self._order[chunk] for chunk in chunks(len(self._space), _MANY))
        parallel_map(partial(self._rank, neighbors), some, self._stop)
        return neighbors

    def _rank(self, neighbors: Neighbors, directions: Numbers) -> None:
        numbers = self._found.numbers[directions]
        cosines = self._space.cosines(directions, numbers)
        ranks = np.lexsort((numbers, -cosines), axis=1)
        neighbors.numbers[directions] = np.take_along_axis(numbers, ranks, axis=1)
        neighbors.cosines[directions] = np.take_along_axis(cosines, ranks, axis=1)


def _main_axes(vectors: Vectors) -> Vectors:
    """Find the axes in which a sample of vectors, (U, D), is largest: (D, D')."""
    sample = vectors[:: -(-len(vectors) // _AXES_SAMPLE)]
    _, axes = np.linalg.eigh(sample.T @ sample)
    return np.ascontiguousarray(axes[:, -_MAIN_AXES:])
