"""Scored pairs of a query and a direction or row, and the greatest of each query among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixvec.link.space import Cosines, Numbers


@dataclass(frozen=True, slots=True)
class Pairs:
    """P pairs.

    Parameters
    ----------
    places
        Which query, by its place among those that are worked on, (P,).
    numbers
        Which direction or row, (P,).
    cosines
        (P,) float32.
    """

    places: Numbers
    numbers: Numbers
    cosines: Cosines

    @classmethod
    def none(cls) -> Pairs:
        """Give an empty list."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    @classmethod
    def joined(cls, parts: list[Pairs]) -> Pairs:
        """Put lists of pairs, of which there is at least one, one after the other."""
        return cls(
            np.concatenate([part.places for part in parts]),
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.cosines for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.places)

    def take(self, which: NDArray[np.bool_] | Numbers) -> Pairs:
        """Take some of the pairs, by a mask or by their indices."""
        return Pairs(self.places[which], self.numbers[which], self.cosines[which])

    def ranked(self) -> Pairs:
        """Sort by query, then the greatest cosine first, then the smallest number."""
        return self.take(np.lexsort((self.numbers, -self.cosines, self.places)))

    def first(self, k: int) -> Pairs:
        """Keep the first k of each query, of pairs that lie query by query."""
        return self.take(ranks(self.places) < k)


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The K nearest other directions of each of Q queries, nearest first; equal cosines by number.

    Parameters
    ----------
    numbers
        (Q, K).
    cosines
        (Q, K) float32.
    """

    numbers: Numbers
    cosines: Cosines

    @classmethod
    def empty(cls, n_queries: int, k: int) -> Neighbors:
        """Make room for the neighbours of so many queries."""
        return cls(np.empty((n_queries, k), np.int64), np.empty((n_queries, k), np.float32))

    def put(self, places: Numbers, pairs: Pairs) -> None:
        """Fill in the rows at `places` from ranked pairs, at least K of each of these queries."""
        k = self.numbers.shape[1]
        nearest = pairs.first(k)
        self.numbers[places] = nearest.numbers.reshape(-1, k)
        self.cosines[places] = nearest.cosines.reshape(-1, k)


def ranks(keys: Numbers) -> Numbers:
    """Count equal keys that stand together from 0: [7, 7, 9, 9, 9] -> [0, 1, 0, 1, 2]."""
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    return np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
