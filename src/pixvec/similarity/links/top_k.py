"""The top k of each query by float32 cosines, while candidates come in any order and more than once."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixvec.similarity.links.space import Cosines, Directions, Indices, chunks

_COMPARED: Final = 1 << 20
"""Pairs of directions that are compared at a time."""


class TopK:
    """The K nearest candidates so far of each of Q queries, nearest last.

    Parameters
    ----------
    queries
        (Q,).
    k
        How many are kept.

    Attributes
    ----------
    directions
        The nearest, (Q, K); -1 where fewer have come.
    cosines
        (Q, K); minus infinity where fewer have come.
    """

    def __init__(self, queries: Directions, k: int) -> None:
        self._queries = queries
        self._k = k
        self.directions = np.full((len(queries), k), -1)
        self.cosines: Cosines = np.full((len(queries), k), -np.inf, np.float32)

    def nearest(self, rows: Indices, n: int) -> Directions:
        """Return the `n` nearest, or `K` where that is less, of the queries at `rows`: (rows, n)."""
        return self.directions[rows, max(self._k - n, 0) :]

    def update(self, rows: Indices, candidates: Directions, cosines: Cosines) -> None:
        """Add the same candidates, (m,), distinct and ascending, to all queries at `rows`, (n,).

        Their cosines, (n, m), are overwritten.
        """
        _leave_out(np.column_stack([self._queries[rows], self.directions[rows]]), candidates, cosines)
        is_better = self._is_better(rows, cosines)
        rows, cosines = rows[is_better], cosines[is_better]
        near = greatest(cosines, self._k)
        self._keep_top(rows, candidates[near], np.take_along_axis(cosines, near, axis=1))

    def merge(self, rows: Indices, candidates: Directions, cosines: Cosines) -> None:
        """Add to each query at `rows`, (n,), its own distinct candidates, (n, m), with their cosines, (n, m)."""
        for chunk in chunks(len(rows), max(1, _COMPARED // (candidates.shape[1] * (self._k + 1)))):
            some, others = rows[chunk], candidates[chunk]
            known = np.column_stack([self._queries[some], self.directions[some]])
            is_known = (others[:, :, None] == known[:, None]).any(axis=2)
            new = np.where(is_known, np.float32(-np.inf), cosines[chunk])
            is_better = self._is_better(some, new)
            self._keep_top(some[is_better], others[is_better], new[is_better])

    def _is_better(self, rows: Indices, cosines: Cosines) -> NDArray[np.bool_]:
        """Mark the rows, (n,), for which any of the cosines, (n, m), is greater than the least that is kept."""
        return np.asarray(cosines.max(axis=1) > self.cosines[rows, 0])

    def _keep_top(self, rows: Indices, candidates: Directions, cosines: Cosines) -> None:
        """Keep the top k of what is there at `rows`, (n,), and of candidates, (n, m), all of them new."""
        directions = np.hstack([self.directions[rows], candidates])
        cosines = np.hstack([self.cosines[rows], cosines])
        top = np.argsort(cosines, axis=1)[:, -self._k :]
        self.directions[rows] = np.take_along_axis(directions, top, axis=1)
        self.cosines[rows] = np.take_along_axis(cosines, top, axis=1)


def greatest(cosines: Cosines, k: int) -> Indices:
    """Find the columns of the k greatest cosines of each row, or all columns: (n, k)."""
    return np.argpartition(cosines, max(cosines.shape[1] - k, 0), axis=1)[:, -k:]


def _leave_out(known: Directions, candidates: Directions, cosines: Cosines) -> None:
    """Set the cosines, (n, m), of those of m candidates that are known, (n, K), to minus infinity."""
    columns = np.searchsorted(candidates, known)
    columns[columns == len(candidates)] = 0
    rows, which = np.nonzero(candidates[columns] == known)
    cosines[rows, columns[rows, which]] = -np.inf
