"""Columns in Python: a list, an array or a Series of images or texts in, the same family of vectors out.

Cells are passed on as they are, but for those that hold an image in another way than as its bytes; what a cell must
hold is not this module's business.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, TypeGuard

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.tables.columns.cells import image_cell, is_image_array, value_cell
from pixvec.tables.columns.column import Column, Mask, vector_list
from pixvec.tables.columns.families import is_a, open_arrow, open_dataset_column, open_pandas, open_polars
from pixvec.values import Vectors

__all__ = ["Column", "Mask", "image_cell", "is_lazy", "open_column", "value_cell"]

_ONE_FILE = (bytes, bytearray, memoryview, io.RawIOBase, io.BufferedIOBase)
"""What holds the bytes of one image; a binary file would give its lines, where a file of text gives one URL in each."""


def is_lazy(images: object) -> TypeGuard[Iterator[object]]:
    """Tell whether a column gives its cells one after another: an iterator, and not one open image."""
    return isinstance(images, Iterator) and not isinstance(images, _ONE_FILE)


def open_column(images: object, *, what: str = "images") -> Column:
    """Open a list, a tuple, a NumPy array, a pandas or polars Series, a pyarrow array, or a column of `datasets`.

    What its cells are called in errors is for the caller to say.

    Raises
    ------
    UsageError
        If `images` is anything else, or an array that is neither one-dimensional and of objects or text, nor a stack of
        images, (N, H, W, C) uint8.
    """
    if isinstance(images, list | tuple):
        return Column(images, vector_list)
    if isinstance(images, np.ndarray):
        return _open_array(images, what)
    if isinstance(images, pa.Array | pa.ChunkedArray):
        return open_arrow(images)
    if is_a(images, "pandas", "Series"):
        return open_pandas(images)
    if is_a(images, "polars", "Series"):
        return open_polars(images)
    if is_a(images, "datasets.arrow_dataset", "Column"):
        return open_dataset_column(images)
    raise UsageError(_hint(images, what))


def _open_array(images: NDArray[Any], what: str) -> Column:
    if is_image_array(images):
        if images.ndim < 4:
            raise UsageError(f"{what} must be a column, not one array of {images.shape}: put it in a list")
        return Column(list(images), _vectors)
    if images.ndim != 1 or (images.size and images.dtype.kind not in "OUT"):  # without cells, NumPy knows no type
        raise UsageError(
            f"an array of {what} must be 1-D and hold text or objects; this one is {images.ndim}-D and {images.dtype}"
        )
    return Column(images.tolist(), _vectors)


def _vectors(vectors: Vectors, _failed: Mask) -> Vectors:
    return vectors


def _hint(images: object, what: str) -> str:
    kind = type(images)
    name = kind.__name__
    if hasattr(kind, "columns") or hasattr(kind, "column_names"):  # a lazy frame would have to be asked for its own
        return f"{what} must be one column, not a whole {name}: choose a column, or call embed_table"
    if isinstance(images, (str, *_ONE_FILE)) or hasattr(images, "__fspath__") or is_a(images, "PIL.Image", "Image"):
        return f"{what} must be a column, not one {name}: put it in a list"
    if isinstance(images, Iterator):
        return f"{what} must have a length here, not be read as they come ({name}): make a list of it"
    return f"{what} must be a list, a tuple, an iterator, an array or a Series, not {name}"
