"""The nearest of some queries so far, by float32 cosines, while others come in any order and more than once."""

from __future__ import annotations

import numpy as np

from pixvec.link.space import Cosines, Numbers


class Best:
    """For each of Q queries the K nearest others that have come, in no order.

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

    def improve(self, rows: Numbers, others: Numbers, cosines: Cosines) -> None:
        """Let others, (m,), come to the queries at `rows`, (n,); their cosines, (n, m), are changed."""
        cosines[self._queries[rows][:, None] == others] = -np.inf  # nobody is a neighbour of their own
        near = _greatest(cosines, self._k)
        numbers = np.hstack([self.numbers[rows], others[near]])
        cosines = np.hstack([self.cosines[rows], np.take_along_axis(cosines, near, axis=1)])
        numbers, cosines = _once_each(numbers, cosines)
        best = _greatest(cosines, self._k)
        self.numbers[rows] = np.take_along_axis(numbers, best, axis=1)
        self.cosines[rows] = np.take_along_axis(cosines, best, axis=1)


def _greatest(cosines: Cosines, k: int) -> Numbers:
    """Find the columns of the k greatest of each row, or of all: (n, k)."""
    return np.argpartition(cosines, max(cosines.shape[1] - k, 0), axis=1)[:, -k:]


def _once_each(numbers: Numbers, cosines: Cosines) -> tuple[Numbers, Cosines]:
    """Sort each row by number, and forget the second of two that are the same."""
    order = np.argsort(numbers, axis=1)
    numbers, cosines = np.take_along_axis(numbers, order, axis=1), np.take_along_axis(cosines, order, axis=1)
    is_repeated = numbers[:, 1:] == numbers[:, :-1]
    numbers[:, 1:][is_repeated] = -1
    cosines[:, 1:][is_repeated] = -np.inf
    return numbers, cosines
