"""Products on NumPy, in fp32: for machines without OpenVINO."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.concurrency.parallel import parallel_map
from pixvec.similarity.links.products.backend import BLOCK, GROUP, Backend, GroupMaxima, Maxima, Precision
from pixvec.similarity.links.space import chunks

_ROWS: Final = 4 * GROUP
"""Queries that a thread multiplies at a time."""


@dataclass(frozen=True, slots=True)
class NumPyBackend(Backend):
    """Multiplies in float32, some queries of a block in each thread."""

    def precisions(self, n_directions: int) -> list[Precision]:  # noqa: ARG002  # for any number the same
        """Return fp32: NumPy has no fast product in a lower precision."""
        return ["fp32"]

    def group_maxima(self, precision: Precision, *, tile_size: int, dim: int) -> GroupMaxima:  # noqa: ARG002
        """Return the one function for all sizes: there is nothing to compile."""
        if precision != "fp32":
            raise ValueError(f"NumPy's products are in fp32, not in {precision}")
        return _group_maxima


def _group_maxima(
    block: NDArray[Any], tile: NDArray[Any], *, stop: threading.Event | None = None
) -> tuple[Maxima, Maxima]:
    def maxima_of_some(rows: slice) -> tuple[Maxima, Maxima]:
        products = block[rows] @ tile.T  # (n, T)
        of_rows = products.reshape(len(products), -1, GROUP).max(axis=2)  # (n, T / GROUP)
        return of_rows, products.reshape(-1, GROUP, len(tile)).max(axis=1)  # (n / GROUP, T)

    of_block, of_tile = zip(*parallel_map(maxima_of_some, chunks(BLOCK, _ROWS), stop), strict=True)
    return np.concatenate(of_block), np.concatenate(of_tile)
