"""Tables in memory: a pandas DataFrame or a pyarrow Table in, the same kind with the result columns out.

A frame has the verbs of a reader, so that its column of URLs is found and its names are checked as a file's are.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from functools import partial
from typing import Any, Protocol, cast

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.result_columns import read_vectors
from pixvec.table.chunk import Chunk, TableReader, kept_indices


class Frame(TableReader, Protocol):
    """A table in memory."""

    def column(self, name: str) -> object:
        """Give a column, as a family that `columns.open_column` takes."""

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Give the caller's kind of table back, with the result columns at its end."""


def open_frame(frame: object) -> Frame:
    """Open a pandas DataFrame or a pyarrow Table.

    Raises
    ------
    UsageError
        If it is something else.
    """
    if isinstance(frame, pa.Table):
        return ArrowFrame(frame)
    pandas = sys.modules.get("pandas")  # whoever has a DataFrame has imported pandas
    if pandas is not None and isinstance(frame, pandas.DataFrame):
        return PandasFrame(frame)
    raise UsageError(f"a table must be a pandas DataFrame or a pyarrow Table, not {type(frame).__name__}")


class ArrowFrame:
    """A pyarrow Table."""

    def __init__(self, frame: pa.Table) -> None:
        self._frame = frame
        self.schema = frame.schema
        self.n_rows = frame.num_rows

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Slice the table."""
        unwanted = () if columns is None else set(self.schema.names) - set(columns)
        table = self._frame.select(kept_indices(self.schema, unwanted))
        for start in range(0, table.num_rows, n_rows):
            yield Chunk(table.slice(start, n_rows))

    def column(self, name: str) -> object:
        """Give a column as a list."""
        return self._frame.column(name).to_pylist()

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> pa.Table:
        """Append the result columns."""
        table = self._frame.select(kept_indices(self.schema, dropped))
        schema = pa.schema([*table.schema, *results.schema], metadata=self.schema.metadata)
        return pa.Table.from_arrays([*table.columns, *results.columns], schema=schema)


class PandasFrame:
    """A pandas DataFrame. Only its text is ever read as Arrow: its other columns may hold anything."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.n_rows = len(frame)
        self.schema = pa.schema([(str(label), _kind(dtype)) for label, dtype in frame.dtypes.items()])

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read the text in slices of the frame; cells that hold no text are null."""
        unwanted = () if columns is None else set(self.schema.names) - set(columns)
        wanted = kept_indices(self.schema, unwanted)
        schema = pa.schema([self.schema.field(index) for index in wanted])
        for start in range(0, len(self._frame), n_rows):
            rows = self._frame.iloc[start : start + n_rows, wanted]
            arrays = [_text_array(rows.iloc[:, place], type_) for place, type_ in enumerate(schema.types)]
            yield Chunk(pa.Table.from_arrays(arrays, schema=schema))

    def column(self, name: str) -> object:
        """Give a column as a Series."""
        return self._frame.iloc[:, self.schema.names.index(name)]

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Append the result columns as objects: float32 arrays, text, dicts, and None."""
        frame = self._frame.iloc[:, kept_indices(self.schema, dropped)]
        series = partial(sys.modules["pandas"].Series, index=frame.index, dtype=object)
        added = {name: series(_objects(results.column(name))) for name in results.column_names}
        return cast("object", frame.assign(**added))


def _kind(dtype: Any) -> pa.DataType:
    """Tell text from what holds none. Objects may be text; numbers with NaN are what pandas makes of empty cells."""
    if dtype.kind in "OUT":
        return pa.string()
    return pa.null() if dtype.kind == "f" else pa.bool_()


def _text_array(column: Any, type_: pa.DataType) -> pa.Array:
    if type_ != pa.string():
        return pa.nulls(len(column), type_)
    return pa.array([_arrow_text(cell) if isinstance(cell, str) else None for cell in column], type_)


def _arrow_text(cell: str) -> str:
    return cell.encode(errors="replace").decode()  # a Python string may hold lone surrogates, an Arrow one may not


def _objects(column: pa.ChunkedArray) -> list[object]:
    if not pa.types.is_fixed_size_list(column.type):
        return cast("list[object]", column.to_pylist())
    present = column.is_valid().to_pylist()
    return [vector if is_present else None for vector, is_present in zip(read_vectors(column), present, strict=True)]
