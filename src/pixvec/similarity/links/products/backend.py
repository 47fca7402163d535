"""What computes products for exact search: the interface of backends, and the sizes that they multiply."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Precision: TypeAlias = Literal["int8", "bf16", "fp32"]
Maxima: TypeAlias = NDArray[np.floating[Any]]

GROUP: Final = 64
"""Directions in a group: few enough to be rescored cheaply for one neighbour, enough to keep groups few."""
BLOCK: Final = 512
"""Queries in one product."""
MAX_INT8: Final = 127
"""The greatest int8 number that is multiplied; the least is its negative."""


class GroupMaxima(Protocol):
    """Multiplies a block by a tile and keeps the greatest products."""

    def __call__(
        self, block: NDArray[Any], tile: NDArray[Any], *, stop: threading.Event | None = None
    ) -> tuple[Maxima, Maxima]:
        """Return each one's greatest products with the groups of the other.

        Parameters
        ----------
        block
            (BLOCK, D).
        tile
            (T, D), where T is a multiple of BLOCK.
        stop
            Set it from another thread to end the computation.

        Returns
        -------
        tuple
            (BLOCK, T / GROUP) and (BLOCK / GROUP, T) float32.

        Raises
        ------
        StoppedError
            Soon after `stop` is set.
        """


class Backend(Protocol):
    """Computes products in some precisions."""

    def precisions(self, n_directions: int) -> Sequence[Precision]:
        """Return the precisions to try for so many directions, the fastest first; the last one is always used."""

    def group_maxima(self, precision: Precision, *, tile_size: int, dim: int) -> GroupMaxima:
        """Compile a product of BLOCK and `tile_size` directions of `dim` numbers: int8, or float32 otherwise."""
