"""The second sieve: float32 cosines of queries with all directions of the groups that the first one left.

Queries are gathered group by group, so that here too matrices are multiplied.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pixvec.link.parallel import raise_if_stopped
from pixvec.link.ranking import Pairs
from pixvec.link.screen import Batch
from pixvec.link.space import Numbers
from pixvec.link.units import GROUP, Units


class CloseUp:
    """Computes the cosines of a batch's pairs.

    Parameters
    ----------
    units
        The directions.
    """

    def __init__(self, units: Units, *, stop: threading.Event | None = None) -> None:
        self._units = units
        self._stop = stop

    def __call__(self, batch: Batch, limits: NDArray[np.float64]) -> Iterator[Pairs]:
        """Give the pairs of queries and other directions whose cosine is not below the query's limit, (Q,).

        Limits may be raised meanwhile.
        """
        by_group = np.argsort(batch.groups, kind="stable")
        groups = batch.groups[by_group]
        firsts = np.flatnonzero(np.diff(groups, prepend=-1))
        for group, places in zip(groups[firsts], np.split(batch.places[by_group], firsts[1:]), strict=True):
            raise_if_stopped(self._stop)
            yield self._near_in(group, places, batch.queries[places], limits[places])

    def _near_in(self, group: int, places: Numbers, queries: Numbers, limits: NDArray[np.float64]) -> Pairs:
        start = group * GROUP
        cosines = self._units.vectors[queries] @ self._units.vectors[start : start + GROUP].T  # (Q', GROUP)
        which, member = np.nonzero(cosines >= limits[:, None])
        numbers = start + member
        pairs = Pairs(places[which], numbers, cosines[which, member])
        return pairs.take((numbers < self._units.n) & (numbers != queries[which]))
