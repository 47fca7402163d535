"""Columns of packages that need not be installed, read some rows at a time: a column of images is large."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pixvec.tables.columns.column import Column, Mask, vector_list
from pixvec.tables.result_columns import vector_array
from pixvec.values import Vectors

_SLICE_ROWS: Final = 64


@dataclass(frozen=True, slots=True)
class _Sliced(Collection[object]):
    """The objects of a column that is cut into slices to be read."""

    column: Any
    read: Callable[[Any], Iterable[object]]

    def __len__(self) -> int:
        return len(self.column)

    def __iter__(self) -> Iterator[object]:
        for start in range(0, len(self), _SLICE_ROWS):
            yield from self.read(self.column[start : start + _SLICE_ROWS])

    def __contains__(self, item: object) -> bool:
        return any(item == other for other in self)


def is_a(value: object, module: str, name: str) -> bool:
    """Tell whether a value is of a class, without importing its module: whoever has one has done that."""
    return isinstance(value, getattr(sys.modules.get(module), name, ()))


def open_arrow(images: pa.Array | pa.ChunkedArray) -> Column:
    """Open a pyarrow array; it becomes ``FixedSizeList<float32>[D]``."""

    def wrap(vectors: Vectors, failed: Mask) -> object:
        array = vector_array(vectors, failed)
        return pa.chunked_array([array]) if isinstance(images, pa.ChunkedArray) else array

    explode = "make one row of each, as by `SELECT * REPLACE (unnest(NAME) AS NAME) FROM table` in DuckDB"
    return Column(_Sliced(images, lambda part: part.to_pylist()), wrap, explode)


def open_pandas(images: Any) -> Column:
    """Open a pandas Series; it becomes one of objects with the same index."""

    def wrap(vectors: Vectors, failed: Mask) -> object:
        return type(images)(vector_list(vectors, failed), index=images.index, name=images.name, dtype=object)

    return Column(images.tolist(), wrap, _explode(images.name))


def open_polars(images: Any) -> Column:
    """Open a polars Series; it becomes ``Array(Float32, D)``."""

    def wrap(vectors: Vectors, failed: Mask) -> object:
        return type(images)(images.name, vector_array(vectors, failed))

    return Column(_Sliced(images, lambda part: part.to_list()), wrap, _explode(images.name))


def _explode(name: object) -> str:
    return f"make one row of each, as by `df.explode({name!r})`"


def open_dataset_column(images: Any) -> Column:
    """Open a column of `datasets`; it becomes a list.

    Images are taken as the files that they are, and not decoded in this process; a path that `datasets` would open
    is opened.
    """
    if not hasattr(images.source, "with_format"):  # a column in a column
        return Column(images, vector_list)
    rows = images.source.with_format("arrow")
    is_image = type(images.features).__name__ == "Image"

    def read(part: pa.Table) -> Iterable[object]:
        cells = part.column(images.column_name).to_pylist()
        return map(_opened, cells) if is_image else cells

    return Column(_Sliced(rows, read), vector_list)


def _opened(cell: dict[str, Any] | None) -> object:
    """Let the file of an image that lies beside its table in."""
    if cell is None or cell["bytes"] is not None or cell["path"] is None or "://" in cell["path"]:
        return cell
    return Path(cell["path"])
