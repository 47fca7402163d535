"""What is near in float32: candidates of many queries, thinned to those that can be among the k nearest."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from pixvec.link.ranking import Pairs, ranks

MAX_CANDIDATES: Final = 1 << 22
"""Candidates of all queries together that are held before they are thinned: about 100 MB."""


class Sieve:
    """Candidates that come in any order, thinned when they are many.

    Parameters
    ----------
    limits
        For each query the float32 cosine that no neighbour is below, (Q,); raised as candidates come.
    k
        How many neighbours are wanted.
    margin
        How far below the k-th greatest float32 cosine a neighbour may be: twice what one may be wrong by.
    """

    def __init__(self, limits: NDArray[np.float64], k: int, margin: float) -> None:
        self.limits = limits
        self._k = k
        self._margin = margin
        self._crowd = max(MAX_CANDIDATES // (2 * len(limits)), 2 * k)
        self._parts: list[Pairs] = []
        self._n = 0
        self._too_many = MAX_CANDIDATES

    def add(self, pairs: Pairs) -> None:
        """Take in candidates, each once."""
        self._parts.append(pairs)
        self._n += len(pairs)
        if self._n > self._too_many:
            self._thin()

    def finish(self) -> tuple[Pairs, NDArray[np.bool_]]:
        """Give the candidates of queries that are not in a crowd, and mark those that are, (Q,)."""
        self._thin()
        return self._parts[0], np.isposinf(self.limits)

    def _thin(self) -> None:
        ranked = Pairs.joined(self._parts).ranked()
        kth = ranked.take(ranks(ranked.places) == self._k - 1)
        self.limits[kth.places] = np.maximum(self.limits[kth.places], kth.cosines - self._margin)
        near = ranked.take(ranked.cosines >= self.limits[ranked.places])
        self.limits[np.bincount(near.places, minlength=len(self.limits)) > self._crowd] = np.inf
        near = near.take(np.isfinite(self.limits[near.places]))
        self._parts = [near]
        self._n = len(near)
        self._too_many = max(MAX_CANDIDATES, 2 * self._n)  # else it would be thinned again at once
