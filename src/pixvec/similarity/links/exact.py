"""Exact neighbours: three steps, each of which leaves out only directions that cannot be among the k nearest.

1. Coarse filter. Products of all pairs, in the fastest precision, give each query's greatest cosine in every group of
   directions, with a bound on its error. They leave for each query the few groups that may hold a neighbour.
2. Rescoring. Float32 products of a query with these groups leave a few candidates.
3. Ranking. Candidates are ranked by their exact cosines, `Space.cosines`, to which all bounds refer.

Where many directions are equally near in float32, rescoring leaves too many candidates. Queries with such ties are
compared with all directions in float64 (`ties`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixvec.concurrency.parallel import prefetch
from pixvec.concurrency.stop import raise_if_stopped
from pixvec.similarity.links.neighbors import Neighbors, NeighborSearch, Pairs, ReportProgress, ranks
from pixvec.similarity.links.products import DefaultBackend, Products
from pixvec.similarity.links.products.backend import BLOCK, GROUP, Backend, Maxima
from pixvec.similarity.links.products.tiles import Tiles
from pixvec.similarity.links.space import Directions, Indices, Space
from pixvec.similarity.links.ties import nearest_among_ties

_FLOAT16_ROUNDING: Final = 2.0**-11
"""By how much float16 rounds a number that is less than 2, at most."""
_MAX_MORE: Final = 0.05
"""The share of all groups that int8 may leave for a query beyond the fewest possible. To rescore a query in a group
takes ten times as long as int8 saves in the coarse filter: measured."""
_MAX_PAIRS: Final = 1 << 18
"""Pairs of a query and a group that are rescored together, except that a block's pairs stay together."""
_MAX_QUERIES: Final = 1 << 13
_MAX_CANDIDATES: Final = 1 << 22
"""Candidates of all queries together that are held before they are thinned: about 100 MB."""


@dataclass(frozen=True, slots=True)
class ExactSearch(NeighborSearch):
    """Finds all true neighbours, by products of all pairs.

    Parameters
    ----------
    backend
        What computes the products, which has no effect on the result; by default the fastest that is there.
    """

    backend: Backend | None = None

    def nearest(
        self,
        space: Space,
        k: int,
        *,
        on_progress: ReportProgress | None = None,
        stop: threading.Event | None = None,
    ) -> Neighbors:
        """Find the nearest directions of each direction: see `NeighborSearch`."""
        k = min(k, max(len(space) - 1, 0))
        found = Neighbors.empty(len(space), k)
        if k:
            tiles = Tiles.of(space)
            coarse_filter = CoarseFilter(tiles, k, self.backend or DefaultBackend(), stop)
            rescoring = _Rescoring(space, tiles, found, stop)
            for n_done in prefetch(rescoring.fill, _batches(coarse_filter.shortlists(), k)):
                if on_progress:
                    on_progress(n_done, len(space))
        return found


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Q queries and the groups that may hold their neighbours.

    Parameters
    ----------
    queries
        (Q,).
    lower_bounds
        For each query a cosine that no neighbour's true cosine is below, (Q,).
    positions, groups
        The pairs of a query, by its position in `queries`, and a group, (P,) each.
    """

    queries: Directions
    lower_bounds: NDArray[np.float64]
    positions: Indices
    groups: Indices

    @classmethod
    def concatenated(cls, parts: list[Shortlist]) -> Shortlist:
        """Concatenate the queries and pairs of several shortlists."""
        starts = np.cumsum([0, *(len(part.queries) for part in parts[:-1])])
        return cls(
            np.concatenate([part.queries for part in parts]),
            np.concatenate([part.lower_bounds for part in parts]),
            np.concatenate([start + part.positions for start, part in zip(starts, parts, strict=True)]),
            np.concatenate([part.groups for part in parts]),
        )


class CoarseFilter:
    """Finds the groups in which the k nearest others of a query can be.

    A precision in which products are less exact than they should be, or int8 where it leaves too many groups, gives
    way to the backend's next one; the last is taken as it is.
    """

    def __init__(self, tiles: Tiles, k: int, backend: Backend, stop: threading.Event | None = None) -> None:
        self._tiles = tiles
        self._k = k
        precisions = backend.precisions(tiles.n)
        for precision in precisions:
            self._products = Products(tiles, precision, backend=backend, stop=stop)
            self._errors = self._products.errors + _FLOAT16_ROUNDING
            if precision == precisions[-1]:
                break
            if self._products.are_exact() and (precision != "int8" or self._is_selective()):
                break

    def shortlists(self) -> Iterator[Shortlist]:
        """Filter all directions, block by block; each product of two blocks serves both.

        The maxima of later tiles are kept in float16 until their turn: at most U² / (4 GROUP) numbers at a time.
        """
        tiles = self._tiles
        kept: list[list[NDArray[np.float16]]] = [[] for _ in tiles.slices]
        for index, tile in enumerate(tiles.slices):
            earlier = np.concatenate([np.empty((0, tiles.size), np.float16), *kept[index]])  # (earlier groups, T)
            kept[index].clear()
            for start in range(0, min(tiles.size, tiles.n - tile.start), BLOCK):
                own_and_later = self._maxima_of(tiles.block(tile.start + start), index, kept)
                maxima = np.concatenate([earlier[:, start : start + BLOCK].T, *own_and_later], axis=1)
                first = tile.start + start
                yield self._shortlist(np.arange(first, min(first + BLOCK, tiles.n)), maxima)

    def _maxima_of(self, block: slice, index: int, kept: list[list[NDArray[np.float16]]]) -> list[Maxima]:
        """Compute a block's maxima in its own tile and all later ones, and keep theirs in the block."""
        maxima: list[Maxima] = []
        for later, tile in list(enumerate(self._tiles.slices))[index:]:
            of_block, of_tile = self._products.maxima(block, tile)
            maxima.append(of_block)
            if later > index:
                kept[later].append(of_tile.astype(np.float16))
        return maxima

    def _shortlist(self, queries: Directions, maxima: Maxima) -> Shortlist:
        """Choose groups by the maxima of a block, (BLOCK, groups).

        A query is itself among the directions, so that the k + 1 groups of the greatest maxima hold at least k
        others: the k-th neighbour's cosine is at least the least of these maxima, less its error.
        """
        maxima = maxima[: len(queries), : self._tiles.n_groups]
        errors = self._errors[queries]  # (Q,)
        lower_bounds = np.full(len(queries), -1.0)
        if self._k < self._tiles.n_groups:
            lower_bounds = np.partition(maxima, -self._k - 1, axis=1)[:, -self._k - 1] - errors
        positions, groups = np.nonzero(maxima >= (lower_bounds - errors)[:, None])
        return Shortlist(queries, lower_bounds, positions, groups)

    def _is_selective(self) -> bool:
        """Check on a sample of queries that about the fewest possible groups are left: one for each neighbour."""
        sample = np.linspace(0, self._tiles.n - 1, BLOCK, dtype=np.int64)
        maxima = [self._products.maxima(sample, tile)[0] for tile in self._tiles.slices]
        shortlist = self._shortlist(sample, np.concatenate(maxima, axis=1))
        return len(shortlist.groups) <= BLOCK * (self._k + 1 + _MAX_MORE * self._tiles.n_groups)


def _batches(shortlists: Iterable[Shortlist], k: int) -> Iterator[Shortlist]:
    """Concatenate shortlists of few pairs."""
    max_queries = max(1, min(_MAX_QUERIES, _MAX_CANDIDATES // (16 * k)))
    batch: list[Shortlist] = []
    for shortlist in shortlists:
        batch.append(shortlist)
        n_pairs = sum(len(part.groups) for part in batch)
        if n_pairs >= _MAX_PAIRS or sum(len(part.queries) for part in batch) >= max_queries:
            yield Shortlist.concatenated(batch)
            batch = []
    if batch:
        yield Shortlist.concatenated(batch)


class _Rescoring:
    """Finds the neighbours of shortlisted queries."""

    def __init__(self, space: Space, tiles: Tiles, found: Neighbors, stop: threading.Event | None) -> None:
        self._space = space
        self._tiles = tiles
        self._found = found
        self._k = found.directions.shape[1]
        self._stop = stop

    def fill(self, shortlist: Shortlist) -> int:
        """Fill in the neighbours of a shortlist's queries, and return how many directions are done with it."""
        for positions, pairs in self._ranked(shortlist):
            self._found.fill(shortlist.queries[positions], pairs)
        return int(shortlist.queries[-1]) + 1

    def _ranked(self, shortlist: Shortlist) -> Iterator[tuple[Indices, Pairs]]:
        """Yield some positions in a shortlist and their ranked pairs, at least the k nearest, until all are done."""
        pool = _Candidates(shortlist.lower_bounds - self._tiles.rounding, self._k, 2 * self._tiles.rounding)
        for pairs in self._near(shortlist, pool.limits):
            pool.add(pairs)
        candidates, has_ties = pool.finish()
        exact = self._space.cosines(shortlist.queries[candidates.queries], candidates.targets)
        yield np.flatnonzero(~has_ties), Pairs(candidates.queries, candidates.targets, exact).ranked()
        tied = np.flatnonzero(has_ties)
        for chunk, pairs in nearest_among_ties(self._space, shortlist.queries[tied], self._k, self._stop):
            yield tied[chunk], pairs

    def _near(self, shortlist: Shortlist, limits: NDArray[np.float64]) -> Iterator[Pairs]:
        """Yield the pairs whose float32 cosine is not below the query's limit, (Q,), which may be raised meanwhile.

        Queries are gathered group by group, so that matrices are multiplied.
        """
        by_group = np.argsort(shortlist.groups, kind="stable")
        groups = shortlist.groups[by_group]
        firsts = np.flatnonzero(np.diff(groups, prepend=-1))
        for group, positions in zip(groups[firsts], np.split(shortlist.positions[by_group], firsts[1:]), strict=True):
            raise_if_stopped(self._stop)
            yield self._near_in(group, positions, shortlist.queries[positions], limits[positions])

    def _near_in(self, group: int, positions: Indices, queries: Directions, limits: NDArray[np.float64]) -> Pairs:
        start = group * GROUP
        cosines = self._tiles.vectors[queries] @ self._tiles.vectors[start : start + GROUP].T  # (Q', GROUP)
        which, member = np.nonzero(cosines >= limits[:, None])
        targets = start + member
        pairs = Pairs(positions[which], targets, cosines[which, member])
        return pairs.take((targets < self._tiles.n) & (targets != queries[which]))


class _Candidates:
    """Candidates that are added in any order, and thinned when they are many.

    Parameters
    ----------
    limits
        For each query the float32 cosine that no neighbour is below, (Q,); raised as candidates are added.
    k
        How many neighbours to find.
    margin
        How far below the k-th greatest float32 cosine a neighbour may be: twice the bound on its error.
    """

    def __init__(self, limits: NDArray[np.float64], k: int, margin: float) -> None:
        self.limits = limits
        self._k = k
        self._margin = margin
        self._max_per_query = max(_MAX_CANDIDATES // (2 * len(limits)), 2 * k)
        self._parts: list[Pairs] = []
        self._n = 0
        self._max = _MAX_CANDIDATES

    def add(self, pairs: Pairs) -> None:
        """Add candidates, each once."""
        self._parts.append(pairs)
        self._n += len(pairs)
        if self._n > self._max:
            self._thin()

    def finish(self) -> tuple[Pairs, NDArray[np.bool_]]:
        """Return the candidates of the queries without too many ties, and mark those that have them, (Q,)."""
        self._thin()
        return self._parts[0], np.isposinf(self.limits)

    def _thin(self) -> None:
        ranked = Pairs.concatenated(self._parts).ranked()
        kth = ranked.take(ranks(ranked.queries) == self._k - 1)
        self.limits[kth.queries] = np.maximum(self.limits[kth.queries], kth.cosines - self._margin)
        near = ranked.take(ranked.cosines >= self.limits[ranked.queries])
        self.limits[np.bincount(near.queries, minlength=len(self.limits)) > self._max_per_query] = np.inf
        near = near.take(np.isfinite(self.limits[near.queries]))
        self._parts = [near]
        self._n = len(near)
        self._max = max(_MAX_CANDIDATES, 2 * self._n)  # else they would be thinned again at once
