"""Vectors and a direction in; out, the rows that are nearest to it, or the images, each with its copies.

Cosines are computed in float64, some vectors at a time, so that a table may be larger than memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.values import Vectors

Numbers: TypeAlias = NDArray[np.int64]
Direction: TypeAlias = NDArray[np.float64]
HashOf: TypeAlias = Callable[[int], bytes | None]
"""The hash of the file of a row of a chunk, by its number in the chunk; None where it is not known."""

_ANY: Final = -np.inf


@dataclass(frozen=True, slots=True)
class Hits:
    """The rows that are nearest to a query, nearest first; of equally near ones the first.

    Parameters
    ----------
    rows
        Their numbers, (k,), from 0.
    similarities
        Their cosines, (k,).
    copies
        How many rows of the table hold the image of each, itself included, (k,); None where that was not asked.
    """

    rows: Numbers
    similarities: NDArray[np.float32]
    copies: Numbers | None = None


def nearest_rows(chunks: Iterator[Vectors], direction: Direction, k: int, *, column: str = "") -> Hits:
    """Find the `k` of all vectors, (n, D) at a time, that are nearest to a direction, (D,) of length 1.

    Raises
    ------
    UsageError
        When the vectors have another length than the direction.
    """
    best = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    n_rows = 0
    for vectors in chunks:
        found = _near(vectors, direction, column)
        rows = np.concatenate([best.rows, n_rows + found.rows])
        similarities = np.concatenate([best.similarities, found.similarities])
        order = np.lexsort((rows, -similarities))[:k]
        best = Hits(rows[order], similarities[order])
        n_rows += len(vectors)
    return best


def nearest_images(chunks: Iterator[tuple[Vectors, HashOf]], direction: Direction, k: int, *, column: str = "") -> Hits:
    """Find the `k` images that are nearest to a direction, each by the first of its rows.

    Rows hold one image when their files have one hash, or their vectors are equal, as those of one URL are.

    Raises
    ------
    UsageError
        When the vectors have another length than the direction.
    """
    best = _Best(k)
    n_rows = 0
    for vectors, hash_of in chunks:
        found = _near(vectors, direction, column)
        # An image that is nearer than the last of the best was so at its first row: none of its rows is missed.
        for place in np.flatnonzero(found.similarities >= best.lowest).tolist():
            row = int(found.rows[place])
            best.add(n_rows + row, float(found.similarities[place]), (vectors[row].tobytes(), hash_of(row)))
        best.cut()
        n_rows += len(vectors)
    return best.hits()


@dataclass(slots=True, eq=False)
class _Image:
    row: int
    similarity: float
    n_rows: int = 0
    keys: set[bytes] = field(default_factory=set)

    @property
    def order(self) -> tuple[float, int]:
        return -self.similarity, self.row


class _Best:
    """The nearest images so far."""

    def __init__(self, k: int) -> None:
        self._k = k
        self._images: list[_Image] = []
        self._by_key: dict[bytes, _Image] = {}
        self.lowest = _ANY

    def add(self, row: int, similarity: float, keys: tuple[bytes | None, ...]) -> None:
        """Add a row to the image that one of its keys names."""
        image = _Image(row, similarity, 1, {key for key in keys if key})
        for known in dict.fromkeys(self._by_key[key] for key in image.keys if key in self._by_key):
            image.row, image.similarity = min((one.order, one.row, one.similarity) for one in (image, known))[1:]
            image.n_rows += known.n_rows
            image.keys |= known.keys
        self._by_key.update(dict.fromkeys(image.keys, image))

    def cut(self) -> None:
        """Forget all but the best."""
        self._images = sorted(dict.fromkeys(self._by_key.values()), key=lambda image: image.order)[: self._k]
        self._by_key = {key: image for image in self._images for key in image.keys}
        self.lowest = self._images[-1].similarity if len(self._images) == self._k else _ANY

    def hits(self) -> Hits:
        """Give them, the nearest first."""
        return Hits(
            np.array([image.row for image in self._images], np.int64),
            np.array([image.similarity for image in self._images], np.float32),
            np.array([image.n_rows for image in self._images], np.int64),
        )


def _near(vectors: Vectors, direction: Direction, column: str) -> Hits:
    """Give the cosine of each vector that has a direction. Sums are taken row by row, so that equal rows are equal."""
    exact = vectors.astype(np.float64)  # (n, D)
    lengths = np.sqrt((exact * exact).sum(axis=1))  # (n,)
    rows = np.flatnonzero(np.isfinite(lengths) & (lengths > 0))
    if len(rows) and vectors.shape[1] != len(direction):
        raise UsageError(
            f"the vectors of {column!r} have {vectors.shape[1]:,} numbers, and the model's {len(direction):,}: "
            "name the model that they were made with, with `model`"
        )
    cosines = (exact[rows] * direction).sum(axis=1) / lengths[rows] if len(rows) else np.empty(0)
    return Hits(rows, cosines.astype(np.float32))
