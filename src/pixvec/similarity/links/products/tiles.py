"""Directions as backends multiply them: unit vectors in tiles, quantized to a lower precision.

The bound on the error of a product follows from how far each vector is from its quantized one, which is measured;
nothing about the error is assumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.concurrency.parallel import parallel_map
from pixvec.similarity.links.products.backend import BLOCK, GROUP, MAX_INT8, Precision
from pixvec.similarity.links.space import Space, chunks
from pixvec.values import Vectors

_BLOCKS_IN_TILE: Final = 2
"""With two blocks, a product stays in the caches of two cores: measured."""


@dataclass(frozen=True, slots=True)
class Tiles:
    """The U directions of a space as unit vectors, padded to whole tiles.

    Parameters
    ----------
    vectors
        (U', D) float32, where U' is a multiple of `size` and at least U: the last direction is repeated to fill the
        last tile, which adds no cosine that its group has not.
    n
        U, the number of directions without the padding.
    size
        How many directions a tile holds, a multiple of `BLOCK`.
    rounding
        A bound on the error of the float32 dot product of two of the vectors.
    """

    vectors: Vectors
    n: int
    size: int
    rounding: float

    @classmethod
    def of(cls, space: Space) -> Tiles:
        """Make the tiles of a space of at least one direction."""
        n_blocks = -(-len(space) // BLOCK)
        n_tiles = -(-n_blocks // _BLOCKS_IN_TILE)
        size = -(-n_blocks // n_tiles) * BLOCK
        return cls(space.all_unit_vectors(n_tiles * size), len(space), size, space.rounding)

    @property
    def dim(self) -> int:
        """D, how many numbers a vector has."""
        return int(self.vectors.shape[1])

    @property
    def n_groups(self) -> int:
        """How many groups hold a direction."""
        return -(-self.n // GROUP)

    @property
    def slices(self) -> list[slice]:
        """The tiles, as slices of `vectors`."""
        return list(chunks(len(self.vectors), self.size))

    def block(self, start: int) -> slice:
        """Return the slice of the whole block that starts there."""
        return slice(start, start + BLOCK)


@dataclass(frozen=True, slots=True)
class Quantized:
    """Quantized directions.

    Parameters
    ----------
    values
        What a backend multiplies, (U', D): int8, or float32 for the other precisions.
    rounded
        Returns `values` as the backend rounds them before it multiplies, as float32.
    scale
        The product of two quantized directions times its square is their cosine.
    distances
        From each direction to its quantized one, (U,).
    """

    values: NDArray[Any]
    rounded: Callable[[NDArray[Any]], Vectors]
    scale: float
    distances: NDArray[np.float64]

    def errors(self, rounding: float) -> NDArray[np.float64]:
        """Bound the error of each direction's product with any other, (U,), where sums are wrong by `rounding`.

        For unit vectors x and y, quantized to x' and y', x·y - x'·y' = (x - x')·y + x'·(y - y'), which by the
        Cauchy-Schwarz inequality is at most |x - x'| + |x'| |y - y'|. Both distances are measured; y may be any
        direction.
        """
        return np.asarray(self.distances + (1 + self.distances) * self.distances.max() + rounding)


def quantize(tiles: Tiles, precision: Precision) -> Quantized:
    """Quantize all directions."""
    return _QUANTIZE[precision](tiles)


def _to_fp32(tiles: Tiles) -> Quantized:
    return Quantized(tiles.vectors, np.asarray, 1.0, np.zeros(tiles.n))


def _to_bf16(tiles: Tiles) -> Quantized:
    """Leave the rounding to the backend, which reads float32."""
    blocks = (tiles.vectors[block] for block in chunks(tiles.n, BLOCK))
    distances = [_distances(vectors, round_to_bf16(vectors)) for vectors in blocks]
    return Quantized(tiles.vectors, round_to_bf16, 1.0, np.concatenate(distances))


def _to_int8(tiles: Tiles) -> Quantized:
    """Rotate the directions at random first, which moves no cosine and leaves no outlier dimension, as CLIP's have.

    They are rotated twice, once for the scale and once to be quantized: to keep them would take as much memory again.
    """
    rotation = _random_rotation(tiles.dim)
    blocks = list(chunks(len(tiles.vectors), BLOCK))
    largest = parallel_map(lambda block: float(np.abs(tiles.vectors[block] @ rotation).max()), blocks)
    scale = max(largest) / MAX_INT8
    values = np.empty(tiles.vectors.shape, np.int8)
    distances = np.empty(len(values))  # (U',)

    def quantize_block(block: slice) -> None:
        rotated = tiles.vectors[block] @ rotation
        values[block] = np.rint(rotated / np.float32(scale))
        distances[block] = _distances(rotated, values[block] * scale)

    parallel_map(quantize_block, blocks)
    # The rotation rounds each number by no more than a dot product of unit vectors is rounded by.
    distances += tiles.rounding * math.sqrt(len(rotation))
    return Quantized(values, np.asarray, scale, distances[: tiles.n])


_QUANTIZE: Final[dict[Precision, Callable[[Tiles], Quantized]]] = {
    "int8": _to_int8,
    "bf16": _to_bf16,
    "fp32": _to_fp32,
}


def _random_rotation(dim: int) -> Vectors:
    """Draw an orthogonal matrix, (D, D)."""
    orthogonal, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))
    return np.asarray(orthogonal, np.float32)


def _distances(exact: NDArray[Any], rounded: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.square(exact.astype(np.float64) - rounded).sum(axis=1)))


def round_to_bf16(vectors: Vectors) -> Vectors:
    """Round float32 numbers to the nearest in bf16, ties to even, as processors do; the result is float32."""
    bits = vectors.view(np.uint32)
    nearest = bits + (0x7FFF + ((bits >> 16) & 1))
    return (nearest & np.uint32(0xFFFF0000)).view(np.float32)
