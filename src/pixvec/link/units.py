"""Directions as the sieves take them: float32, of length 1, in groups, blocks and tiles of fixed sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pixvec.link.parallel import parallel_map
from pixvec.link.space import Space, chunks
from pixvec.values import Vectors

GROUP = 64
"""Directions in a group: few enough to be looked through cheaply for one neighbour, enough to keep groups few."""
BLOCK = 512
"""Queries in one call of the engine."""
_BLOCKS_IN_TILE = 2
"""With these sizes, a call's products stay in two cores' caches: measured."""


@dataclass(frozen=True, slots=True)
class Units:
    """Directions scaled to length 1.

    Parameters
    ----------
    vectors
        (U', D) float32, where U' is a multiple of `tile` and at least U: the last direction is repeated to fill the
        last tile, which adds no cosine that its group has not.
    n
        U, how many are real.
    tile
        How many directions the engine is given at a time, a multiple of `BLOCK`.
    """

    vectors: Vectors
    n: int
    tile: int

    @classmethod
    def of(cls, space: Space) -> Units:
        """Scale all directions of a space, of which there must be one."""
        n = len(space)
        n_blocks = -(-n // BLOCK)
        n_tiles = -(-n_blocks // _BLOCKS_IN_TILE)
        tile = -(-n_blocks // n_tiles) * BLOCK
        vectors = np.empty((n_tiles * tile, space.dim), np.float32)  # (U', D)

        def scale(chunk: slice) -> None:
            vectors[chunk] = space.units(np.arange(chunk.start, chunk.stop))

        parallel_map(scale, chunks(n, BLOCK))
        vectors[n:] = vectors[n - 1]
        return cls(vectors, n, tile)

    @property
    def n_groups(self) -> int:
        """How many groups hold a direction."""
        return -(-self.n // GROUP)

    @property
    def tiles(self) -> list[slice]:
        """The tiles, as slices of `vectors`."""
        return list(chunks(len(self.vectors), self.tile))

    @property
    def rounding(self) -> float:
        """A bound on the error of the float32 dot product of two of them, in whatever order it is summed.

        Each of D products and sums is rounded by at most 2**-24 of a whole that is at most 1, and so are both
        vectors; the rest is for weights that become equal when they are rounded to float32.
        """
        return float(self.vectors.shape[1] + 8) * 2.0**-24
