"""The second sieve: float32 cosines of queries with all directions of the groups that the first one left.

Queries are gathered group by group, so that here too the engine multiplies matrices.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import Graph, compile_graph, ops, ov
from pixvec.link.ranking import Pairs, ranks
from pixvec.link.screen import Batch
from pixvec.link.space import Numbers, chunks
from pixvec.link.units import GROUP, Units

_QUERIES = 64
"""Queries in one product with a group."""
_PRODUCTS = 32
"""Products in one call of the engine."""


class CloseUp:
    """Computes the cosines of a batch's pairs.

    Parameters
    ----------
    units
        The directions.
    """

    def __init__(self, units: Units, *, stop: threading.Event | None = None) -> None:
        self._units = units
        self._groups = units.vectors.reshape(-1, GROUP, units.vectors.shape[1])
        self._program = compile_graph(_products(units.vectors.shape[1]), "fp32")
        self._stop = stop

    def __call__(self, batch: Batch, limits: NDArray[np.float64]) -> Iterator[Pairs]:
        """Give the pairs of queries and other directions whose cosine is not below the query's limit, (Q,).

        Limits may be raised meanwhile.
        """
        places, groups = _arranged(batch)
        for some in chunks(len(groups), _PRODUCTS):
            cosines = self._cosines(batch.queries[places[some]], groups[some])  # (products, _QUERIES, GROUP)
            needed = np.where(places[some] < 0, np.inf, limits[places[some]])
            product, query, member = np.nonzero(cosines >= needed[:, :, None])
            numbers = groups[some][product] * GROUP + member
            pairs = Pairs(places[some][product, query], numbers, cosines[product, query, member])
            yield pairs.take((numbers < self._units.n) & (numbers != batch.queries[pairs.places]))

    def _cosines(self, queries: Numbers, groups: Numbers) -> NDArray[np.float32]:
        """Multiply queries, (products, _QUERIES), by groups, (products,), repeated to fill the engine's shape."""
        queries_full = self._units.vectors[np.resize(queries, (_PRODUCTS, _QUERIES))]
        groups_full = self._groups[np.resize(groups, _PRODUCTS)]
        return self._program(queries_full, groups_full, stop=self._stop)[: len(groups)]


def _arranged(batch: Batch) -> tuple[Numbers, Numbers]:
    """Give each product's places, (products, _QUERIES), where -1 is none, and its group, (products,)."""
    order = np.argsort(batch.groups, kind="stable")
    groups = batch.groups[order]
    column = ranks(groups) % _QUERIES
    product = np.cumsum(column == 0) - 1
    places = np.full((product[-1] + 1, _QUERIES), -1)
    places[product, column] = batch.places[order]
    return places, groups[column == 0]


def _products(dim: int) -> Graph:
    queries = ops.parameter([_PRODUCTS, _QUERIES, dim], ov.Type.f32)
    groups = ops.parameter([_PRODUCTS, GROUP, dim], ov.Type.f32)
    return ov.Model([ops.matmul(queries, groups, False, True).output(0)], [queries, groups], "close-up")
