"""What is searched: the distinct directions of a table's vectors, and the exact cosine of any two of them.

A row whose vector is missing or zero has no direction. Rows with the very same vector share one, so that an image
that a table holds ten thousand times is searched once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.concurrency.parallel import parallel_map
from pixvec.values import Vectors

Rows: TypeAlias = NDArray[np.int64]
"""Row numbers of the table."""
Directions: TypeAlias = NDArray[np.int64]
"""Numbers of directions, 0 to U - 1."""
Indices: TypeAlias = NDArray[np.int64]
"""Positions in another array, which the docstring names."""
Cosines: TypeAlias = NDArray[np.float32]

_CHUNK_ROWS = 512
_PRODUCTS_AT_ONCE = 1 << 18
"""2 MB, which a core's cache holds."""
_WIDTH = 64
"""Products that are added to each other's sums at a time."""


@dataclass(frozen=True, slots=True)
class Space:
    """The U distinct directions of N vectors, numbered in the order of the first row that has each.

    Parameters
    ----------
    vectors
        As given, (N, D) float32.
    has_vector
        (N,): False where a vector holds NaN or infinity.
    rows
        The first row of each direction, (U,).
    direction
        The direction of each row, (N,); -1 where it has none.
    lengths
        Of the vectors at `rows`, (U,) float64.
    """

    vectors: Vectors
    has_vector: NDArray[np.bool_]
    rows: Rows
    direction: Directions
    lengths: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: Vectors) -> Self:
        """Find the directions of vectors, (N, D) float32."""
        has_vector = np.empty(len(vectors), bool)  # (N,)
        has_direction = np.empty(len(vectors), bool)  # (N,)

        def check_some(chunk: slice) -> None:
            has_vector[chunk] = np.isfinite(vectors[chunk]).all(axis=1)
            has_direction[chunk] = has_vector[chunk] & vectors[chunk].any(axis=1)

        parallel_map(check_some, chunks(len(vectors), _CHUNK_ROWS))
        rows, direction = _distinct(vectors, np.flatnonzero(has_direction))
        return cls(vectors, has_vector, rows, direction, _lengths(vectors, rows))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    @property
    def rounding(self) -> float:
        """A bound on the error of the float32 dot product of two unit vectors, in whatever order it is summed.

        Each of D products and sums is rounded by at most 2**-24 of a whole that is at most 1, and so are both
        vectors; the rest is for cosines that become equal when they are rounded to float32.
        """
        return float(self.dim + 8) * 2.0**-24

    def unit_vectors(self, directions: Directions) -> NDArray[np.float64]:
        """Scale directions to length 1: (n, D) float64."""
        return self.vectors[self.rows[directions]].astype(np.float64) / self.lengths[directions, None]

    def all_unit_vectors(self, n: int) -> Vectors:
        """Scale all directions to length 1, and repeat the last one until there are `n`: (n, D) float32."""
        units = np.empty((n, self.dim), np.float32)

        def scale_some(chunk: slice) -> None:
            units[chunk] = self.unit_vectors(np.arange(chunk.start, chunk.stop))

        parallel_map(scale_some, chunks(len(self), _CHUNK_ROWS))
        units[len(self) :] = units[len(self) - 1]
        return units

    def cosines(self, left: Directions, right: Directions) -> Cosines:
        """Compute the cosines of directions, (n,), and others, (n,) or (n, K): the shape of `right`.

        The bits of a cosine depend on its pair alone, not on the other pairs or their order.
        """
        cosines = np.empty(right.shape, np.float32)
        n_products = self.dim * math.prod(right.shape[1:])  # for each on the left
        left = np.expand_dims(left, tuple(range(1, right.ndim)))
        for chunk in chunks(len(left), max(1, _PRODUCTS_AT_ONCE // max(1, n_products))):
            i, j = left[chunk], right[chunk]
            dots = _dots(self.vectors[self.rows[i]], self.vectors[self.rows[j]])
            cosines[chunk] = dots / (self.lengths[i] * self.lengths[j])
        return cosines


def chunks(n: int, size: int) -> Iterator[slice]:
    """Cut n items into slices of `size` and a remainder."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _distinct(vectors: Vectors, rows: Rows) -> tuple[Rows, Directions]:
    """Find the first row of each distinct vector, (U,), and the direction of every row, (N,)."""
    first_like = np.arange(len(vectors))  # (N,)
    first_with: dict[bytes, int] = {}
    for row in _sharing_a_sum(vectors, rows).tolist():
        digest = blake2b(vectors[row].tobytes(), digest_size=16).digest()
        first_like[row] = first_with.setdefault(digest, row)
    direction = np.full(len(vectors), -1)  # (N,)
    first_rows, direction[rows] = np.unique(first_like[rows], return_inverse=True)
    return first_rows, direction


def _sharing_a_sum(vectors: Vectors, rows: Rows) -> Rows:
    """Find the rows that may be duplicates: the checksums of most distinct vectors differ."""
    word = np.dtype(np.uint32 if vectors.shape[1] % 2 else np.uint64)
    n_words = vectors.shape[1] * vectors.itemsize // word.itemsize
    factors = np.random.default_rng(0).integers(1 << 63, size=n_words, dtype=np.uint64)

    def sums_of_some(chunk: slice) -> NDArray[np.uint64]:
        return np.asarray(vectors[rows[chunk]].view(word) @ factors)

    sums = parallel_map(sums_of_some, chunks(len(rows), _CHUNK_ROWS))
    _, which, counts = np.unique(
        np.concatenate([np.empty(0, np.uint64), *sums]), return_inverse=True, return_counts=True
    )
    return np.asarray(rows[counts[which] > 1])


def _lengths(vectors: Vectors, rows: Rows) -> NDArray[np.float64]:
    def lengths_of_some(chunk: slice) -> NDArray[np.float64]:
        some = vectors[rows[chunk]]
        return np.sqrt(_dots(some, some))

    return np.concatenate([np.empty(0), *parallel_map(lengths_of_some, chunks(len(rows), _CHUNK_ROWS))])


def _dots(left: Vectors, right: Vectors) -> NDArray[np.float64]:
    """Compute the dot products of vectors, (..., D), in float64: (...).

    Products of float32 numbers are exact in float64. They are summed `_WIDTH` by `_WIDTH`, and these sums by folding
    the second half onto the first: an order that depends on D alone. The order of a BLAS or of ``sum`` depends on
    shapes, threads and processors.
    """
    products = right.astype(np.float64)
    products *= left.astype(np.float64)
    shape, dim = products.shape[:-1], products.shape[-1]
    products = products.reshape(-1, dim)
    n_parts, n_rest = divmod(dim, _WIDTH)
    whole, rest = np.split(products, [n_parts * _WIDTH], axis=1)
    sums = whole.reshape(len(whole), n_parts, _WIDTH).sum(axis=1)  # (n, WIDTH)
    sums[:, :n_rest] += rest
    terms = sums.T.copy()  # (WIDTH, n): the sums of one pair are a column
    while len(terms) > 1:
        half = len(terms) // 2
        terms[:half] += terms[half:]
        terms = terms[:half]
    return np.asarray(terms.reshape(shape))
