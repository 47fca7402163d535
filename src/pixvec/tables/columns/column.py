"""A column of images, whatever family it came from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.tables.columns.cells import image_cell, value_cell
from pixvec.values import Vectors

Mask: TypeAlias = NDArray[np.bool_]
"""One flag for each row, (N,) bool."""


@dataclass(frozen=True, slots=True)
class Column(Collection[object]):
    """A column of images, and the way back to the family that it came from. Iterating over it gives its cells.

    Parameters
    ----------
    images
        What the column holds: one Python object for each row.
    wrap
        Turns vectors, (N, D) float32 with NaN in failed rows, and the mask of failed rows, (N,), into the family:
        lists and Series of float32 arrays with None where failed, typed arrays with null, or the array as it is.
    explode
        The line that makes rows of several URLs in one cell.
    """

    images: Collection[object]
    wrap: Callable[[Vectors, Mask], object]
    explode: str = "make one row of each, as by `[url for urls in column for url in urls]`"

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[object]:
        return (image_cell(cell, explode=self.explode) for cell in self.images)

    def __contains__(self, cell: object) -> bool:
        return any(cell == other for other in self)

    @property
    def cells(self) -> list[object]:
        """All cells: texts, paths, bytes, and None for every kind of null."""
        return list(self)

    @property
    def values(self) -> list[object]:
        """All cells as the column has them, but for None in the place of every kind of null."""
        return list(map(value_cell, self.images))


def vector_list(vectors: Vectors, failed: Mask) -> list[object]:
    """Give each row its vector, (D,), or None."""
    return [None if is_failed else vector for vector, is_failed in zip(vectors, failed, strict=True)]
