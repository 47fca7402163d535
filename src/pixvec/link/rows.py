"""From neighbouring directions back to rows: every row of a direction is a neighbour, and its own twins come first."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pixvec.link.ranking import Neighbors, Pairs
from pixvec.link.space import Numbers, Space, chunks

_CHUNK = 4096


def neighboring_rows(space: Space, neighbors: Neighbors, k: int) -> Iterator[Pairs]:
    """Pair every row that has a direction with its k nearest rows, nearest first; equal cosines by row number.

    Parameters
    ----------
    space
        U directions.
    neighbors
        The nearest of each direction, (U, K).
    k
        How many rows are wanted; K is as many, or all others.

    Yields
    ------
    Pairs
        Of a row, as the place, and a row; in no order of the first.
    """
    members = _Members(space.direction, len(space))
    is_single = members.counts == 1  # (U,)
    for chunk in chunks(len(space), _CHUNK):
        directions = np.arange(chunk.start, chunk.stop)
        has_twins = ~is_single[neighbors.numbers[directions]].all(axis=1) | ~is_single[directions]
        yield _single_rows(space, directions[~has_twins], neighbors)
        if has_twins.any():
            near = _near_rows(members, _with_itself(space, directions[has_twins], neighbors), k + 1)
            yield _pairs_of_rows(members, near).first(k)


def _single_rows(space: Space, directions: Numbers, neighbors: Neighbors) -> Pairs:
    """Turn directions into rows where each has but one; as both have the same order, what is ranked stays so."""
    near = space.rows[neighbors.numbers[directions]]  # (n, K)
    rows = np.repeat(space.rows[directions], near.shape[1])
    return Pairs(rows, near.ravel(), neighbors.cosines[directions].ravel())


class _Members:
    """The rows of each direction, the first first."""

    def __init__(self, direction: Numbers, n: int) -> None:
        self._rows = np.argsort(direction, kind="stable")[np.count_nonzero(direction < 0) :]
        self.counts = np.bincount(direction[self._rows], minlength=n)  # (n,)
        self._starts = np.cumsum(self.counts) - self.counts

    def of(self, directions: Numbers, counts: Numbers) -> Numbers:
        """List so many of the first rows of each direction, one direction after the other."""
        ends = np.cumsum(counts)
        steps = np.arange(ends[-1]) - np.repeat(ends - counts, counts)
        return np.asarray(self._rows[np.repeat(self._starts[directions], counts) + steps])


def _with_itself(space: Space, directions: Numbers, neighbors: Neighbors) -> Pairs:
    """Pair directions with themselves and their neighbours."""
    numbers = np.column_stack([directions, neighbors.numbers[directions]])  # (n, 1 + K)
    cosines = np.column_stack([space.cosines(directions, directions), neighbors.cosines[directions]])
    return Pairs(np.repeat(directions, numbers.shape[1]), numbers.ravel(), cosines.ravel())


def _near_rows(members: _Members, pairs: Pairs, k: int) -> Pairs:
    """Turn pairs of directions into pairs of a direction and its k nearest rows, its own among them."""
    counts = np.minimum(members.counts[pairs.numbers], k)
    rows = members.of(pairs.numbers, counts)
    return Pairs(np.repeat(pairs.places, counts), rows, np.repeat(pairs.cosines, counts)).ranked().first(k)


def _pairs_of_rows(members: _Members, near: Pairs) -> Pairs:
    """Give every row of a direction the rows near to the direction, itself left out."""
    directions, counts = np.unique(near.places, return_counts=True)
    n_rows = members.counts[directions]
    rows = members.of(directions, n_rows)
    copied = np.repeat(np.cumsum(counts) - counts, n_rows)  # for each row, where its direction's pairs start
    lengths = np.repeat(counts, n_rows)
    ends = np.cumsum(lengths)
    which = np.repeat(copied - (ends - lengths), lengths) + np.arange(ends[-1])
    pairs = Pairs(np.repeat(rows, lengths), near.numbers[which], near.cosines[which])
    return pairs.take(pairs.places != pairs.numbers)
