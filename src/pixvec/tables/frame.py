"""Tables in memory: a DataFrame, an Arrow table or a Dataset in, the same kind with the result columns out.

A frame has the verbs of a reader, so that its column of URLs is found and its names are checked as a file's are.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final, Protocol, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.tables.chunk import Chunk, TableReader, kept_indices, wanted_indices
from pixvec.tables.result_columns import PROVENANCE_KEY, provenance_metadata, read_provenance, read_vectors

_IMAGE_STRUCT: Final = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
"""How `datasets` has images."""
_ATTRIBUTE: Final = PROVENANCE_KEY.decode()
"""The key of a DataFrame's attributes under which columns of vectors say what they were made with."""


class Frame(TableReader, Protocol):
    """A table in memory."""

    def column(self, name: str) -> object:
        """Give a column, as a family that `columns.open_column` takes."""

    def take(self, rows: NDArray[np.int64]) -> object:
        """Give some rows by their numbers, (n,), as the caller's kind of table."""

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Give the caller's kind of table back, with the result columns at its end."""


def open_frame(frame: object) -> Frame:
    """Open a DataFrame of pandas or polars, a pyarrow Table or RecordBatch, a Dataset, or a stream of Arrow's.

    Raises
    ------
    UsageError
        If it is something else.
    """
    for module, name, kind in (
        ("pandas", "DataFrame", PandasFrame),
        ("polars", "DataFrame", PolarsFrame),
        ("datasets", "Dataset", DatasetFrame),
    ):
        if isinstance(frame, getattr(sys.modules.get(module), name, ())):  # whoever has one has imported its module
            return cast("Frame", kind(frame))
    if isinstance(frame, pa.RecordBatch):
        return BatchFrame(pa.Table.from_batches([frame]))
    if hasattr(frame, "__arrow_c_stream__"):
        with suppress(TypeError, pa.ArrowInvalid):  # it is a stream of something else than rows
            return ArrowFrame(pa.table(frame))
    kinds = "a pandas or polars DataFrame, a pyarrow Table or a Dataset"
    raise UsageError(f"a table must be {kinds}, not {type(frame).__name__}{_hint(frame)}")


class ArrowFrame:
    """A pyarrow Table, or what has become one."""

    def __init__(self, frame: pa.Table) -> None:
        self._frame = frame
        self.schema = frame.schema
        self.n_rows = frame.num_rows

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Slice the table."""
        table = self._frame.select(wanted_indices(self.schema, columns))
        for start in range(0, table.num_rows, n_rows):
            yield Chunk(table.slice(start, n_rows))

    def column(self, name: str) -> object:
        """Give a column as it is."""
        return self._frame.column(name)

    def take(self, rows: NDArray[np.int64]) -> pa.Table:
        """Pick rows."""
        return self._frame.take(rows)

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> pa.Table:
        """Append the result columns."""
        table = self._frame.select(kept_indices(self.schema, dropped))
        schema = pa.schema([*table.schema, *results.schema], metadata=self.schema.metadata)
        return pa.Table.from_arrays([*table.columns, *results.columns], schema=schema)


class BatchFrame(ArrowFrame):
    """A pyarrow RecordBatch."""

    def take(self, rows: NDArray[np.int64]) -> pa.RecordBatch:
        """Pick rows."""
        return _batch(super().take(rows))

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> pa.RecordBatch:
        """Append the result columns."""
        return _batch(super().with_results(results, dropped=dropped))


def _batch(table: pa.Table) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=table.schema)


class PandasFrame:
    """A pandas DataFrame. Only its text is ever read as Arrow: its other columns may hold anything."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.n_rows = len(frame)
        self._facts = _facts_in(frame.attrs)
        self.schema = pa.schema(
            [
                pa.field(str(label), _pandas_kind(series), metadata=provenance_metadata(self._facts.get(str(label))))
                for label, series in frame.items()
            ]
        )

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read the text in slices of the frame; cells that hold no text are null."""
        wanted = wanted_indices(self.schema, columns)
        for start in range(0, len(self._frame), n_rows):
            rows = self._frame.iloc[start : start + n_rows, wanted]
            yield _text_chunk([rows.iloc[:, place] for place in range(len(wanted))], _fields(self.schema, wanted))

    def column(self, name: str) -> object:
        """Give a column as a Series."""
        return self._frame.iloc[:, self.schema.names.index(name)]

    def take(self, rows: NDArray[np.int64]) -> object:
        """Pick rows."""
        return cast("object", self._frame.iloc[rows])

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Append the result columns: numbers as such where none is missing, else objects and None.

        What vectors were made with goes into the frame's attributes, which pandas keeps through filters, slices and
        copies; as a text, since pandas compares attributes.
        """
        frame = self._frame.iloc[:, kept_indices(self.schema, dropped)]
        series = partial(sys.modules["pandas"].Series, index=frame.index)
        added = {name: series(**_pandas_cells(results.column(name))) for name in results.column_names}
        changed = frame.assign(**added)
        made = {name: facts for name in results.column_names if (facts := read_provenance(results.schema, name))}
        known = {name: facts for name, facts in self._facts.items() if name not in dropped}
        if made or known != self._facts:
            changed.attrs = {**changed.attrs, _ATTRIBUTE: json.dumps({**known, **made}, sort_keys=True)}
        return cast("object", changed)


class PolarsFrame:
    """A polars DataFrame. Only its text is ever read as Arrow."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.n_rows = frame.height
        self.schema = pa.schema([(name, _polars_kind(dtype)) for name, dtype in frame.schema.items()])

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read the text in slices of the frame; cells that hold no text are null."""
        wanted = wanted_indices(self.schema, columns)
        for start in range(0, self.n_rows, n_rows):
            rows = self._frame[start : start + n_rows].get_columns()
            yield _text_chunk([rows[index] for index in wanted], _fields(self.schema, wanted))

    def column(self, name: str) -> object:
        """Give a column as a Series."""
        return self._frame.get_column(name)

    def take(self, rows: NDArray[np.int64]) -> object:
        """Pick rows."""
        return cast("object", self._frame[rows])

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Append the result columns: the vector as ``Array(Float32, D)``."""
        added = sys.modules["polars"].from_arrow(results)
        return cast("object", self._frame.drop(dropped).hstack(added.get_columns()))


class DatasetFrame:
    """A Dataset of `datasets`; its images are not decoded here."""

    def __init__(self, frame: Any) -> None:
        self._frame = frame
        self.n_rows = len(frame)
        self.schema = frame.features.arrow_schema

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read slices of the table behind the dataset."""
        names = [name for name in self.schema.names if columns is None or name in columns]
        rows = self._frame.with_format("arrow")
        for start in range(0, self.n_rows, n_rows):
            yield Chunk(rows[start : start + n_rows].select(names))

    def column(self, name: str) -> object:
        """Give a column, whose cells come from the table when they are read."""
        return self._frame[name]

    def take(self, rows: NDArray[np.int64]) -> object:
        """Pick rows."""
        return cast("object", self._frame.select(rows))

    def with_results(self, results: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Append the result columns."""
        datasets = sys.modules["datasets"]
        added = datasets.Dataset(datasets.table.InMemoryTable(results))
        kept = self._frame.remove_columns([name for name in self.schema.names if name in dropped])
        if not self.n_rows:  # `datasets` leaves what has no rows out, columns and all
            features = datasets.Features({**kept.features, **added.features})
            return cast("object", datasets.Dataset.from_dict({name: [] for name in features}, features=features))
        return cast("object", datasets.concatenate_datasets([kept, added], axis=1))


def _facts_in(attributes: Mapping[Any, Any]) -> dict[str, Any]:
    """Read what a DataFrame's attributes say of its columns of vectors; nothing where they are not ours."""
    try:
        facts = json.loads(attributes.get(_ATTRIBUTE, "{}"))
    except (TypeError, ValueError, RecursionError):
        return {}
    return {name: said for name, said in facts.items() if isinstance(said, dict)} if isinstance(facts, dict) else {}


def _hint(frame: object) -> str:
    if isinstance(frame, str | os.PathLike):
        return "; files are for embed_file"
    if hasattr(frame, "collect"):
        return "; collect it first"
    return "; choose one of its splits" if type(frame).__name__ == "DatasetDict" else ""


def _fields(schema: pa.Schema, indices: list[int]) -> pa.Schema:
    return pa.schema([schema.field(index) for index in indices])


def _pandas_kind(series: Any) -> pa.DataType:
    """Tell text from what holds none: of objects, the first says it. pandas makes numbers with NaN of empty cells."""
    kind = series.dtype.kind
    if kind == "O":
        first = series.first_valid_index() if series.index.is_unique else None
        return pa.string() if first is None else _object_kind(series.at[first])
    return pa.string() if kind in "UT" else pa.null() if kind == "f" else pa.bool_()


def _object_kind(cell: Any) -> pa.DataType:
    """Tell images, and lists of texts, from what may be text."""
    match cell:
        case bytes() | bytearray() | memoryview() | os.PathLike():
            return pa.binary()
        case {"bytes": _, "path": _}:
            return _IMAGE_STRUCT
        case list() | tuple() | np.ndarray() if len(cell) and isinstance(cell[0], str):
            return pa.list_(pa.string())
    return pa.binary() if hasattr(cell, "getexif") else pa.string()  # an image of Pillow's


def _polars_kind(dtype: Any) -> pa.DataType:
    """Tell text, and what may hold images, from what holds neither."""
    name = dtype.base_type().__name__
    if name == "Struct":
        return _IMAGE_STRUCT if {field.name for field in dtype.fields} == {"bytes", "path"} else pa.string()
    if name in {"List", "Array"} and dtype.inner.base_type().__name__ == "String":
        return pa.list_(pa.string())
    if name in {"String", "Categorical", "Enum", "Object"}:
        return pa.string()
    return {"Null": pa.null(), "Binary": pa.binary()}.get(name, pa.bool_())


def _text_chunk(columns: list[Any], schema: pa.Schema) -> Chunk:
    arrays = [_text_array(column, type_) for column, type_ in zip(columns, schema.types, strict=True)]
    return Chunk(pa.Table.from_arrays(arrays, schema=schema))


def _text_array(column: Any, type_: pa.DataType) -> pa.Array:
    if type_ != pa.string():
        return pa.nulls(len(column), type_)
    return pa.array([_arrow_text(cell) if isinstance(cell, str) else None for cell in column], type_)


def _arrow_text(cell: str) -> str:
    return cell.encode(errors="replace").decode()  # a Python string may hold lone surrogates, an Arrow one may not


def _pandas_cells(column: pa.ChunkedArray) -> dict[str, Any]:
    if pa.types.is_primitive(column.type) and not column.null_count:
        return {"data": column.to_numpy()}
    return {"data": _objects(column), "dtype": object}


def _objects(column: pa.ChunkedArray) -> list[object]:
    if not pa.types.is_fixed_size_list(column.type):
        return cast("list[object]", column.to_pylist())
    present = column.is_valid().to_pylist()
    return [vector if is_present else None for vector, is_present in zip(read_vectors(column), present, strict=True)]
