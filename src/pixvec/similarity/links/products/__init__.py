"""Products of all pairs of directions: the greatest cosine in each group, with a bound on its error.

A backend multiplies; this package quantizes what it multiplies, bounds the error, and checks on the first products that
the backend multiplies as exactly as the bound presumes.
"""

from __future__ import annotations

import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.similarity.links.products.backend import BLOCK, GROUP, Backend, Maxima, Precision
from pixvec.similarity.links.products.tiles import Tiles, quantize
from pixvec.similarity.links.space import Directions

try:
    from pixvec.similarity.links.products.openvino import OpenVINOBackend as DefaultBackend
except ImportError:  # OpenVINO is missing
    from pixvec.similarity.links.products.numpy import NumPyBackend as DefaultBackend  # type: ignore[assignment]

__all__ = ["DefaultBackend", "Products"]

_CHECKED_QUERIES: Final = 32


class Products:
    """Multiplies blocks of directions by tiles of them, in one precision.

    Attributes
    ----------
    errors
        For each direction a bound on the error of its maxima, (U,).
    """

    def __init__(
        self, tiles: Tiles, precision: Precision, *, backend: Backend, stop: threading.Event | None = None
    ) -> None:
        self._tiles = tiles
        self._stop = stop
        self._quantized = quantize(tiles, precision)
        self._group_maxima = backend.group_maxima(precision, tile_size=tiles.size, dim=tiles.dim)
        self.errors = self._quantized.errors(2 * tiles.rounding)

    def maxima(self, queries: slice | Directions, tile: slice) -> tuple[Maxima, Maxima]:
        """Return the greatest cosines of a block of queries, and of a tile, with the groups of the other.

        (BLOCK, T / GROUP) and (BLOCK / GROUP, T) float32.
        """
        return self._scaled_maxima(self._quantized.values[queries], self._quantized.values[tile])

    def are_exact(self) -> bool:
        """Compare some of the first maxima, and of the largest possible ones, with exact sums of the same products."""
        first = self._quantized.values[self._tiles.slices[0]]
        largest = np.full_like(first, self._quantized.values.max())
        return self._is_exact(first) and self._is_exact(largest)

    def _is_exact(self, values: NDArray[Any]) -> bool:
        exact = self._quantized.rounded(values).astype(np.float64) * self._quantized.scale  # (T, D)
        expected = (exact[:_CHECKED_QUERIES] @ exact.T).reshape(_CHECKED_QUERIES, -1, GROUP).max(axis=2)
        found, _ = self._scaled_maxima(values[:BLOCK], values)
        magnitude = max(1.0, float(np.abs(expected).max()))
        return bool(np.all(np.abs(found[:_CHECKED_QUERIES] - expected) <= self._tiles.rounding * magnitude))

    def _scaled_maxima(self, block: NDArray[Any], tile: NDArray[Any]) -> tuple[Maxima, Maxima]:
        of_block, of_tile = self._group_maxima(block, tile, stop=self._stop)
        scale = np.float32(self._quantized.scale**2)
        return of_block * scale, of_tile * scale
