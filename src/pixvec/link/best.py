"""The nearest of some queries so far, by float32 cosines, while others come in any order and more than once."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixvec.link.space import Cosines, Numbers, chunks

_COMPARED: Final = 1 << 20
"""Pairs of numbers that are compared at a time."""


class Best:
    """For each of Q queries the K nearest others that have come, the nearest last.

    Parameters
    ----------
    queries
        Numbers of directions, (Q,).
    k
        How many are kept.

    Attributes
    ----------
    numbers
        Of the nearest, (Q, K); -1 where fewer have come.
    cosines
        (Q, K); minus infinity where fewer have come.
    """

    def __init__(self, queries: Numbers, k: int) -> None:
        self._queries = queries
        self._k = k
        self.numbers = np.full((len(queries), k), -1)
        self.cosines: Cosines = np.full((len(queries), k), -np.inf, np.float32)

    def nearest(self, rows: Numbers, n: int) -> Numbers:
        """Tell which `n` others, or `K` where that is less, are the nearest of the queries at `rows`: (rows, n)."""
        return self.numbers[rows, max(self._k - n, 0) :]

    def improve(self, rows: Numbers, others: Numbers, cosines: Cosines) -> None:
        """Let others, (m,), each once and in the order of their numbers, come to the queries at `rows`, (n,).

        Their cosines, (n, m), are changed.
        """
        _leave_out(np.column_stack([self._queries[rows], self.numbers[rows]]), others, cosines)
        is_better = self._is_better(rows, cosines)
        rows, cosines = rows[is_better], cosines[is_better]
        near = greatest(cosines, self._k)
        self._keep_best(rows, others[near], np.take_along_axis(cosines, near, axis=1))

    def merge(self, rows: Numbers, numbers: Numbers, cosines: Cosines) -> None:
        """Let others come to the queries at `rows`, (n,), to each its own: their numbers and cosines, (n, m).

        Each comes once.
        """
        for chunk in chunks(len(rows), max(1, _COMPARED // (numbers.shape[1] * (self._k + 1)))):
            some, others = rows[chunk], numbers[chunk]
            known = np.column_stack([self._queries[some], self.numbers[some]])
            is_known = (others[:, :, None] == known[:, None]).any(axis=2)
            new = np.where(is_known, np.float32(-np.inf), cosines[chunk])
            is_better = self._is_better(some, new)
            self._keep_best(some[is_better], others[is_better], new[is_better])

    def _is_better(self, rows: Numbers, cosines: Cosines) -> NDArray[np.bool_]:
        """Tell for which rows, (n,), any of the cosines, (n, m), is greater than the least that is kept."""
        return np.asarray(cosines.max(axis=1) > self.cosines[rows, 0])

    def _keep_best(self, rows: Numbers, numbers: Numbers, cosines: Cosines) -> None:
        """Keep the best of what there is at rows, (n,), and of others, (n, m), all of them new."""
        numbers = np.hstack([self.numbers[rows], numbers])
        cosines = np.hstack([self.cosines[rows], cosines])
        best = np.argsort(cosines, axis=1)[:, -self._k :]
        self.numbers[rows] = np.take_along_axis(numbers, best, axis=1)
        self.cosines[rows] = np.take_along_axis(cosines, best, axis=1)


def greatest(cosines: Cosines, k: int) -> Numbers:
    """Find the columns of the k greatest of each row, or all of them: (n, k)."""
    return np.argpartition(cosines, max(cosines.shape[1] - k, 0), axis=1)[:, -k:]


def _leave_out(known: Numbers, others: Numbers, cosines: Cosines) -> None:
    """Make the cosines, (n, m), of those of m others that are known, (n, K), the least there are."""
    places = np.searchsorted(others, known)
    places[places == len(others)] = 0
    rows, which = np.nonzero(others[places] == known)
    cosines[rows, places[rows, which]] = -np.inf
