"""Neighbour search: the protocol that every implementation follows, and the pairs and neighbours that it returns."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.similarity.links.space import Cosines, Directions, Indices, Space

ReportProgress: TypeAlias = Callable[[int, int], None]
"""Takes how many directions are done, and how many there are."""


class NeighborSearch(Protocol):
    """Finds the nearest other directions of each direction of a space."""

    def nearest(
        self,
        space: Space,
        k: int,
        *,
        on_progress: ReportProgress | None = None,
        stop: threading.Event | None = None,
    ) -> Neighbors:
        """Find the `k` nearest other directions of each direction, or all others where they are fewer.

        The cosines are those of `Space.cosines`, so that they do not depend on how neighbours are found.

        Parameters
        ----------
        space
            The U directions to search.
        on_progress
            Called now and then.
        stop
            Set it from another thread to end the search.

        Raises
        ------
        StoppedError
            Soon after `stop` is set.
        """


@dataclass(frozen=True, slots=True)
class Neighbors:
    """The K nearest other directions of each of U directions, nearest first; equal cosines by number.

    Parameters
    ----------
    directions
        (U, K).
    cosines
        (U, K) float32.
    recall
        The share of the true neighbours that was found, measured on a sample; None where all were.
    """

    directions: Directions
    cosines: Cosines
    recall: float | None = None

    @classmethod
    def empty(cls, n_directions: int, k: int, *, recall: float | None = None) -> Neighbors:
        """Allocate the neighbours of so many directions."""
        return cls(np.empty((n_directions, k), np.int64), np.empty((n_directions, k), np.float32), recall)

    def fill(self, queries: Directions, pairs: Pairs) -> None:
        """Write the neighbours of some queries, (Q,), from ranked pairs, at least K of each query."""
        k = self.directions.shape[1]
        nearest = pairs.first(k)
        self.directions[queries] = nearest.targets.reshape(-1, k)
        self.cosines[queries] = nearest.cosines.reshape(-1, k)


@dataclass(frozen=True, slots=True)
class Pairs:
    """P scored pairs of a query and a target.

    Parameters
    ----------
    queries
        (P,): a query's position among those that are searched together, or its row number.
    targets
        (P,): the number of a direction, or of a row.
    cosines
        (P,) float32.
    """

    queries: Indices
    targets: Indices
    cosines: Cosines

    @classmethod
    def none(cls) -> Pairs:
        """Return no pairs."""
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))

    @classmethod
    def concatenated(cls, parts: list[Pairs]) -> Pairs:
        """Concatenate lists of pairs, at least one."""
        return cls(
            np.concatenate([part.queries for part in parts]),
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.cosines for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, which: NDArray[np.bool_] | Indices) -> Pairs:
        """Select pairs by a mask or by their indices."""
        return Pairs(self.queries[which], self.targets[which], self.cosines[which])

    def ranked(self) -> Pairs:
        """Sort by query, then by descending cosine, then by target."""
        return self.take(np.lexsort((self.targets, -self.cosines, self.queries)))

    def first(self, k: int) -> Pairs:
        """Keep the first k of each query; the pairs must be sorted by query."""
        return self.take(ranks(self.queries) < k)


def ranks(keys: Indices) -> Indices:
    """Count equal adjacent keys from 0: [7, 7, 9, 9, 9] -> [0, 1, 0, 1, 2]."""
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    return np.arange(len(keys)) - np.repeat(starts, np.diff(starts, append=len(keys)))
