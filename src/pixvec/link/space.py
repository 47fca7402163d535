"""What is searched: the distinct directions among a table's vectors, and the exact cosine of any two of them.

A row whose vector is missing or zero has no direction. Rows with the very same vector share one, so that a picture
that a table holds ten thousand times is searched for once. This module must not know how neighbours are found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from itertools import chain
from typing import Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.link.side_by_side import side_by_side
from pixvec.values import Vectors

Numbers: TypeAlias = NDArray[np.int64]
"""Numbers of rows or directions."""
Cosines: TypeAlias = NDArray[np.float32]

_CHUNK_ROWS = 4096
_PRODUCTS_AT_ONCE = 1 << 17
"""So many, 1 MB, stay in a core's cache."""
_NARROW = 16


@dataclass(frozen=True, slots=True)
class Space:
    """The U distinct directions of N vectors; a direction's number grows with the first row that has it.

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
    rows: Numbers
    direction: Numbers
    lengths: NDArray[np.float64]

    @classmethod
    def of(cls, vectors: Vectors) -> Self:
        """Find the directions of vectors, (N, D) float32."""
        has_vector = np.empty(len(vectors), bool)  # (N,)
        has_direction = np.empty(len(vectors), bool)  # (N,)
        for chunk in chunks(len(vectors), _CHUNK_ROWS):
            has_vector[chunk] = np.isfinite(vectors[chunk]).all(axis=1)
            has_direction[chunk] = has_vector[chunk] & vectors[chunk].any(axis=1)
        rows, direction = _distinct(vectors, np.flatnonzero(has_direction))
        return cls(vectors, has_vector, rows, direction, _lengths(vectors, rows))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return int(self.vectors.shape[1])

    def units(self, numbers: Numbers) -> NDArray[np.float64]:
        """Scale directions to length 1: (n, D) float64."""
        return self.vectors[self.rows[numbers]].astype(np.float64) / self.lengths[numbers, None]

    def cosines(self, left: Numbers, right: Numbers) -> Cosines:
        """Compute the cosines of pairs of directions, (n,), each with the same bits in any company and order."""
        cosines = np.empty(len(left), np.float32)
        for chunk in chunks(len(left), self._pairs_at_once):
            i, j = left[chunk], right[chunk]
            dots = _dots(self.vectors[self.rows[i]], self.vectors[self.rows[j]])
            cosines[chunk] = dots / (self.lengths[i] * self.lengths[j])
        return cosines

    @property
    def _pairs_at_once(self) -> int:
        return max(1, _PRODUCTS_AT_ONCE // max(1, self.dim))


def chunks(n: int, size: int) -> Iterator[slice]:
    """Cut n things into slices of `size` and a remainder."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def _distinct(vectors: Vectors, rows: Numbers) -> tuple[Numbers, Numbers]:
    """Give distinct vectors numbers as they come: the first row of each, (U,), and the number of every row, (N,)."""
    some = (rows[chunk] for chunk in chunks(len(rows), _CHUNK_ROWS))
    digests = chain.from_iterable(side_by_side(partial(_digests, vectors), some))
    numbers: dict[bytes, int] = {}
    direction = np.full(len(vectors), -1)  # (N,)
    first_rows: list[int] = []
    for row, digest in zip(rows.tolist(), digests, strict=True):
        number = numbers.setdefault(digest, len(numbers))
        if number == len(first_rows):
            first_rows.append(row)
        direction[row] = number
    return np.array(first_rows, np.int64), direction


def _digests(vectors: Vectors, rows: Numbers) -> list[bytes]:
    return [blake2b(vectors[row].tobytes(), digest_size=16).digest() for row in rows.tolist()]


def _lengths(vectors: Vectors, rows: Numbers) -> NDArray[np.float64]:
    lengths = np.empty(len(rows))  # (U,)
    for chunk in chunks(len(rows), _CHUNK_ROWS):
        some = vectors[rows[chunk]]
        lengths[chunk] = np.sqrt(_dots(some, some))
    return lengths


def _dots(left: Vectors, right: Vectors) -> NDArray[np.float64]:
    """Compute the dot products of pairs, (n, D) each, in float64: (n,).

    Products of float32 numbers are exact in float64. They are summed by folding the second half onto the first, an
    order that depends on D alone; that of a BLAS or of ``sum`` depends on shapes, threads and processors.
    """
    products = np.multiply(left, right, dtype=np.float64)  # (n, D)
    narrow: NDArray[np.float64] = _fold(products.T, to=_NARROW).copy()  # (16 or fewer, n): pairs now lie side by side
    return np.asarray(_fold(narrow, to=1)[0])


def _fold(terms: NDArray[np.float64], *, to: int) -> NDArray[np.float64]:
    """Add up terms, (D, n), in place, until at most `to` are left."""
    while len(terms) > to:
        half = len(terms) // 2
        terms[:half] += terms[-half:]
        terms = terms[: len(terms) - half]
    return terms
