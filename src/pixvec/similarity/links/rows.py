"""From neighbouring directions back to rows: all rows of a direction are neighbours, a row's duplicates the first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pixvec.similarity.links.neighbors import Neighbors, Pairs
from pixvec.similarity.links.space import Directions, Rows, Space, chunks

_CHUNK = 4096


def neighboring_rows(space: Space, neighbors: Neighbors, k: int) -> Iterator[Pairs]:
    """Yield every row that has a direction with its k nearest rows, nearest first; equal cosines by row number.

    Parameters
    ----------
    space
        U directions.
    neighbors
        The nearest of each direction, (U, K).
    k
        How many rows to find; K is as many, or all others.

    Yields
    ------
    Pairs
        Of a row, as the query, and a row; in no order of the queries.
    """
    members = _Members(space.direction, len(space))
    is_single = members.counts == 1  # (U,)
    for chunk in chunks(len(space), _CHUNK):
        directions = np.arange(chunk.start, chunk.stop)
        has_duplicates = ~is_single[neighbors.directions[directions]].all(axis=1) | ~is_single[directions]
        yield _single_rows(space, directions[~has_duplicates], neighbors)
        if has_duplicates.any():
            near = _near_rows(members, _with_itself(space, directions[has_duplicates], neighbors), k + 1)
            yield _pairs_of_rows(members, near).first(k)


def _single_rows(space: Space, directions: Directions, neighbors: Neighbors) -> Pairs:
    """Turn directions into rows where each has one row: both are in the same order, so that pairs stay ranked."""
    near = space.rows[neighbors.directions[directions]]  # (n, K)
    rows = np.repeat(space.rows[directions], near.shape[1])
    return Pairs(rows, near.ravel(), neighbors.cosines[directions].ravel())


class _Members:
    """The rows of each of n directions, in ascending order."""

    def __init__(self, direction: Directions, n: int) -> None:
        self._rows = np.argsort(direction, kind="stable")[np.count_nonzero(direction < 0) :]
        self.counts = np.bincount(direction[self._rows], minlength=n)  # (n,)
        self._starts = np.cumsum(self.counts) - self.counts

    def of(self, directions: Directions, counts: NDArray[np.int64]) -> Rows:
        """Concatenate the first rows of each direction, as many as `counts` has for it."""
        ends = np.cumsum(counts)
        steps = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        return np.asarray(self._rows[np.repeat(self._starts[directions], counts) + steps])


def _with_itself(space: Space, directions: Directions, neighbors: Neighbors) -> Pairs:
    """Pair directions with themselves and their neighbours."""
    targets = np.column_stack([directions, neighbors.directions[directions]])  # (n, 1 + K)
    cosines = np.column_stack([space.cosines(directions, directions), neighbors.cosines[directions]])
    return Pairs(np.repeat(directions, targets.shape[1]), targets.ravel(), cosines.ravel())


def _near_rows(members: _Members, pairs: Pairs, k: int) -> Pairs:
    """Turn pairs of directions into pairs of a direction and its k nearest rows, its own among them."""
    counts = np.minimum(members.counts[pairs.targets], k)
    rows = members.of(pairs.targets, counts)
    return Pairs(np.repeat(pairs.queries, counts), rows, np.repeat(pairs.cosines, counts)).ranked().first(k)


def _pairs_of_rows(members: _Members, near: Pairs) -> Pairs:
    """Pair every row of a direction with the rows near to the direction, except itself."""
    directions, counts = np.unique(near.queries, return_counts=True)
    n_rows = members.counts[directions]
    rows = members.of(directions, n_rows)
    starts = np.repeat(np.cumsum(counts) - counts, n_rows)  # for each row, where its direction's pairs start
    lengths = np.repeat(counts, n_rows)
    ends = np.cumsum(lengths)
    which = np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1])
    pairs = Pairs(np.repeat(rows, lengths), near.targets[which], near.cosines[which])
    return pairs.take(pairs.queries != pairs.targets)
