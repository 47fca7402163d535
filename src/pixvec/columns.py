"""Columns in Python: a list, an array or a Series of images in, the same family of vectors out.

Cells are passed on as they are, with one null for all; what a cell must hold is not this module's business.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.values import Vectors

Mask: TypeAlias = NDArray[np.bool_]
"""One flag for each row, (N,) bool."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of images, and the way back to the family that it came from.

    Parameters
    ----------
    cells
        One Python object for each row; None for every kind of null.
    wrap
        Turns vectors, (N, D) float32 with NaN in failed rows, and the mask of failed rows, (N,), into the family:
        a list or Series of float32 arrays with None where failed, or the array as it is.
    """

    cells: list[object]
    wrap: Callable[[Vectors, Mask], object]


def open_column(images: object) -> Column:
    """Open a list, a one-dimensional NumPy array of objects or text, or a pandas Series.

    Raises
    ------
    UsageError
        If `images` is anything else.
    """
    if isinstance(images, list):
        return Column(_cells(images), _vector_list)
    if isinstance(images, np.ndarray):
        return _open_array(images)
    pandas = sys.modules.get("pandas")  # whoever has a Series has imported pandas
    if pandas is not None and isinstance(images, pandas.Series):
        return _open_series(images)
    raise UsageError(_hint(images))


def _open_array(images: NDArray[Any]) -> Column:
    if images.ndim != 1 or images.dtype.kind not in "OUT":
        raise UsageError(
            f"an array of images must be 1-D and hold text or objects; this one is {images.ndim}-D and {images.dtype}"
        )
    return Column(_cells(images.tolist()), lambda vectors, _failed: vectors)


def _open_series(images: Any) -> Column:
    def wrap(vectors: Vectors, failed: Mask) -> object:
        return type(images)(_vector_list(vectors, failed), index=images.index, name=images.name, dtype=object)

    return Column(_cells(images.tolist()), wrap)


def _cells(cells: list[Any]) -> list[object]:
    return [None if _is_null(cell) else cell for cell in cells]


def _is_null(cell: object) -> bool:
    # pandas' NA and NaT are known by name, so that pandas need not be imported to know them.
    is_nan = isinstance(cell, float | np.floating) and bool(np.isnan(cell))
    return cell is None or is_nan or type(cell).__name__ in {"NAType", "NaTType"}


def _vector_list(vectors: Vectors, failed: Mask) -> list[object]:
    return [None if is_failed else vector for vector, is_failed in zip(vectors, failed, strict=True)]


def _hint(images: object) -> str:
    name = type(images).__name__
    if hasattr(images, "columns"):
        return f"images must be one column, not a whole {name}: choose a column, or call embed_table"
    if isinstance(images, str | bytes) or hasattr(images, "__fspath__"):
        return f"images must be a column, not one {name}: put it in a list"
    return f"images must be a list, a NumPy array or a pandas Series, not {name}"
