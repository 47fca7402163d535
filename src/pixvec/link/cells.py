"""Points in cells: small parts in which near ones often lie together, found by k-means.

There are many centres, and comparing each point with all of them is what would take longest. So points are put into
regions first, by k-means too, and those of a region are compared with the centres that are nearest to its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from pixvec.link.parallel import parallel_map
from pixvec.link.space import Numbers, chunks
from pixvec.values import Vectors

_REGIONS: Final = 8
_SHORTLIST: Final = 28
"""Of n centres: this times the root of n are the regions, and the centres on a region's list."""
_SAMPLE: Final = 8
"""Points for each centre, from which it is learnt."""
_ROUNDS: Final = 4
_MIDDLES: Final = 64
"""Regions whose lists are made at a time."""
_MANY: Final = 1 << 14
"""Points that are fetched at a time."""
_ROWS: Final = 512
"""Points that are compared with centres at a time."""
_LARGEST: Final = 8
"""Members of a cell are at most so many times those that it should have, and so are its visitors."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Some points, by their numbers.

    Parameters
    ----------
    members
        Those to which the cell's centre is the nearest: each point is a member of one cell.
    visitors
        Those to which it is the second nearest: each point is a visitor of one cell or of none.
    """

    members: Numbers
    visitors: Numbers


def find_cells(points: Vectors, size: int, *, least: int, seed: int, stop: threading.Event | None = None) -> list[Cell]:
    """Put points into cells of about `size` members.

    Parameters
    ----------
    points
        (U, D'). Near is what has a great inner product.
    least
        A cell has so many members, if there are as many points.
    seed
        Another one gives other cells.

    Raises
    ------
    StoppedError
        Soon after `stop` is set.
    """
    rng = np.random.default_rng(seed)
    most = _LARGEST * size
    cells: list[Cell] = []
    parts = [np.arange(len(points))]
    while parts:
        part = parts.pop()
        if len(part) <= most:
            cells.append(_unvisited(part))
            continue
        for cell in _split(points, part, len(part) // size, rng, stop):
            if len(cell.members) <= most:
                # Those of a crowd that is split once more are visitors elsewhere already.
                cells.append(Cell(cell.members, cell.visitors[: most if len(part) == len(points) else 0]))
            elif len(cell.members) < len(part) / 2:
                parts.append(cell.members)
            else:  # too much alike to be told apart
                shuffled = rng.permutation(cell.members)
                cells += map(_unvisited, np.array_split(shuffled, len(shuffled) // size))
    return list(_joined(cells, least))


def _unvisited(members: Numbers) -> Cell:
    return Cell(members, members[:0])


def _joined(cells: list[Cell], least: int) -> Iterator[Cell]:
    """Join cells of fewer than `least` members to those that follow, and at the end to those before."""
    held: list[Cell] = []
    n_left = sum(len(cell.members) for cell in cells)
    n_held = 0
    for cell in cells:
        held.append(cell)
        n_held += len(cell.members)
        n_left -= len(cell.members)
        if n_held >= least and (n_left >= least or cell is cells[-1]):
            yield _union(held)
            held, n_held = [], 0
    if held:
        yield _union(held)


def _union(cells: list[Cell]) -> Cell:
    return Cell(np.concatenate([cell.members for cell in cells]), np.concatenate([cell.visitors for cell in cells]))


@dataclass(frozen=True, slots=True)
class _Regions:
    """R parts of points that lie part by part.

    Parameters
    ----------
    middles
        (R, D').
    starts
        Where each part begins, and the last one ends, (R + 1,).
    """

    middles: Vectors
    starts: Numbers

    def of_every(self, step: int) -> _Regions:
        """Give the parts of every step-th of the points."""
        return _Regions(self.middles, -(-self.starts // step))

    def pieces(self) -> Iterator[tuple[int, slice]]:
        """Cut the parts, by their numbers, into a few points each."""
        for region, (start, end) in enumerate(pairwise(self.starts.tolist())):
            for chunk in chunks(end - start, _ROWS):
                yield region, slice(start + chunk.start, start + chunk.stop)


def _split(
    points: Vectors, part: Numbers, n: int, rng: np.random.Generator, stop: threading.Event | None
) -> list[Cell]:
    """Learn n centres from some points, and let each of these go to the two that are nearest to it."""
    numbers, regions = _in_regions(points, part, int(_REGIONS * n**0.5), rng, stop)
    points = np.concatenate(parallel_map(lambda chunk: points[numbers[chunk]], chunks(len(numbers), _MANY)))
    step = max(1, len(points) // (n * _SAMPLE))
    sample = points[::step].copy()
    centers = _scaled(points[:: len(points) // n][:n])
    for _ in range(_ROUNDS):
        centers = _moved(centers, sample, _nearest(sample, regions.of_every(step), centers, 1, stop)[:, 0])
    members, visitors = (_grouped(numbers, center, n) for center in _nearest(points, regions, centers, 2, stop).T)
    return list(map(Cell, members, visitors))


def _in_regions(
    points: Vectors, part: Numbers, n: int, rng: np.random.Generator, stop: threading.Event | None
) -> tuple[Numbers, _Regions]:
    """Sort some points into about n regions."""
    sample = points[rng.choice(part, min(len(part), n * _SAMPLE), replace=False)]
    middles = _scaled(sample[:n])
    middles = _moved(middles, sample, _nearest_of_all(sample, middles))
    some = parallel_map(lambda chunk: _nearest_of_all(points[part[chunk]], middles), chunks(len(part), _ROWS), stop)
    region = np.concatenate(some)
    by_region = np.argsort(region, kind="stable")
    return part[by_region], _Regions(middles, np.searchsorted(region[by_region], np.arange(len(middles) + 1)))


def _nearest_of_all(points: Vectors, centers: Vectors) -> Numbers:
    nearest: Numbers = (points @ centers.T).argmax(axis=1)
    return nearest


def _nearest(
    points: Vectors, regions: _Regions, centers: Vectors, n_nearest: int, stop: threading.Event | None
) -> Numbers:
    """Find for each point the nearest of the centres that are near to its region, the nearest first: (n, n_nearest)."""
    lists = _shortlists(regions.middles, centers)

    def nearest_of_some(piece: tuple[int, slice]) -> Numbers:
        region, some = piece
        cosines = points[some] @ centers[lists[region]].T
        chosen = [cosines.argmax(axis=1)]
        while len(chosen) < n_nearest:
            np.put_along_axis(cosines, chosen[-1][:, None], -np.inf, axis=1)
            chosen.append(cosines.argmax(axis=1))
        return np.asarray(lists[region][np.column_stack(chosen)])

    return np.concatenate(parallel_map(nearest_of_some, regions.pieces(), stop))


def _shortlists(middles: Vectors, centers: Vectors) -> Numbers:
    """List for each region the centres that are nearest to its middle: (R, T)."""
    n = min(len(centers), int(_SHORTLIST * len(centers) ** 0.5))

    def shortlists_of_some(chunk: slice) -> Numbers:
        return np.argpartition(middles[chunk] @ centers.T, len(centers) - n, axis=1)[:, -n:]

    return np.concatenate(parallel_map(shortlists_of_some, chunks(len(middles), _MIDDLES)))


def _grouped(numbers: Numbers, center: Numbers, n: int) -> list[Numbers]:
    """List for each of n centres those of some numbers whose centre it is."""
    by_center = np.argsort(center, kind="stable")
    return np.split(numbers[by_center], np.searchsorted(center[by_center], np.arange(1, n)))


def _moved(centers: Vectors, sample: Vectors, nearest: Numbers) -> Vectors:
    """Move centres to the middle of the points of a sample whose nearest they are; those of none stay."""
    by_center = np.argsort(nearest, kind="stable")
    starts = np.flatnonzero(np.diff(nearest[by_center], prepend=-1))
    moved = centers.copy()
    moved[nearest[by_center[starts]]] = _scaled(np.add.reduceat(sample[by_center], starts))
    return moved


def _scaled(vectors: Vectors) -> Vectors:
    """Scale vectors, (n, D'), to length 1; zero stays zero."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors))
    return np.asarray(vectors / np.maximum(lengths, np.finfo(np.float32).tiny)[:, None])
