"""The dataset ``ds`` of a recipe that runs: the caller's table, and the columns that steps have added to it.

The table stays where it is, in memory or in its file, and is read column by column, as often as steps ask for one.
What steps add is held in memory.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final, Protocol

import pyarrow as pa

from pixvec.errors import RunError, UsageError
from pixvec.tables import Frame, ReadOptions, TableReader, expected_rows, open_frame, open_table
from pixvec.tables.columns import image_cell, open_column

CHUNK_ROWS: Final = 512
_N_SAMPLED_CELLS: Final = 1_000


class InputColumn(Protocol):
    """A column that a step reads."""

    @property
    def name(self) -> str:
        """What it is called."""

    def expected_rows(self) -> int | None:
        """Return how many cells there are, or an estimate while they are read; None where there is neither."""

    @property
    def type(self) -> pa.DataType | None:
        """Its type in Arrow; None where that is not known."""

    def cells(self) -> Iterator[object]:
        """Read it as Python objects, None for null."""

    def table(self) -> TableReader:
        """Give a table that holds it as Arrow.

        Raises
        ------
        UsageError
            When Arrow has no type for its cells.
        """


@dataclass(frozen=True, slots=True)
class _ArrowColumn:
    """A column of a table that gives it as Arrow."""

    name: str
    reader: TableReader

    def expected_rows(self) -> int | None:
        return expected_rows(self.reader)

    @property
    def type(self) -> pa.DataType:
        return self.reader.schema.field(self.name).type

    def cells(self) -> Iterator[object]:
        for chunk in self.reader.chunks(CHUNK_ROWS, columns=[self.name]):
            yield from chunk.table.column(self.name).to_pylist()

    def table(self) -> TableReader:
        return self.reader


@dataclass(frozen=True, slots=True)
class _ObjectColumn:
    """A column of Python objects, such as pandas has; nothing says what they are."""

    name: str
    objects: list[object]

    def expected_rows(self) -> int:
        return len(self.objects)

    @property
    def type(self) -> pa.DataType | None:
        present = (cell for cell in self.objects if cell is not None)
        try:
            return pa.array(list(islice(present, _N_SAMPLED_CELLS))).type
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return None

    def cells(self) -> Iterator[object]:
        return map(image_cell, self.objects)

    def table(self) -> TableReader:
        try:
            return open_frame(pa.table({self.name: pa.array(self.objects)}))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise UsageError(f"column {self.name!r} holds cells of several types: {error}") from error


class Dataset:
    """A table, and the columns that steps have added.

    Parameters
    ----------
    source
        The caller's table.
    path
        The file that it is read from; None for a table in memory.
    """

    def __init__(self, source: TableReader, path: Path | None = None) -> None:
        self.source = source
        self.path = path
        self._stamp = _stamp(path)
        self._counts = Counter(source.schema.names)
        self._added: pa.Table | None = None

    @property
    def names(self) -> list[str]:
        """The names of the caller's columns, which may repeat."""
        return list(self.source.schema.names)

    def column(self, name: str) -> InputColumn:
        """Give a column to read: the caller's, or one that was added.

        Raises
        ------
        UsageError
            When several are called so.
        """
        if self._added is not None and name in self._added.column_names:
            return _ArrowColumn(name, open_frame(self._added.select([name])))
        if (n_found := self._counts[name]) > 1:
            raise UsageError(f"{n_found} columns are called {name!r}: rename all but one")
        return self._own_column(name)

    def cells(self, names: Collection[str], *, n_rows: int | None) -> Iterator[tuple[str, list[object]]]:
        """Read the caller's columns all at once, some rows at a time: each with its name; all rows, or the first."""
        n_left = n_rows
        chunks = self.source.chunks(CHUNK_ROWS, columns=names) if names else iter(())
        while n_left != 0 and (chunk := next(chunks, None)):
            table = chunk.table.slice(0, n_left)
            yield from ((name, table.column(name).to_pylist()) for name in names)
            n_left = n_left and n_left - table.num_rows

    def add(self, columns: pa.Table) -> None:
        """Add columns, with a row for each of the table's.

        Raises
        ------
        RunError
            When it has other rows than when the steps before read it.
        """
        if self._added is None:
            self._added = columns
            return
        self._check_n_rows(columns.num_rows)
        schema = pa.schema([*self._added.schema, *columns.schema])
        self._added = pa.Table.from_arrays([*self._added.columns, *columns.columns], schema=schema)

    def added(self, *, dropped: Collection[str] = ()) -> pa.Table:
        """Give the columns that were added, but for some."""
        added = pa.table({}) if self._added is None else self._added
        return added.drop_columns([name for name in added.column_names if name in dropped])

    def frame(self, added: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Give a table in memory, with the added columns at its end.

        Raises
        ------
        RunError
            When the table's file changed since it was read.
        """
        self.check_unchanged()
        chunks = [chunk.table for chunk in self.source.chunks(CHUNK_ROWS)]
        table = pa.concat_tables([self.source.schema.empty_table(), *chunks])
        return open_frame(table).with_results(added, dropped=dropped)

    def check_unchanged(self) -> None:
        """Check that the table is the one that the steps read.

        Raises
        ------
        RunError
            When its file is another now.
        """
        if _stamp(self.path) != self._stamp:
            raise RunError(f"{self.path} changed after the steps had read it")

    def _own_column(self, name: str) -> InputColumn:
        return _ArrowColumn(name, self.source)

    def _check_n_rows(self, n_rows: int) -> None:
        if self._added is not None and n_rows != self._added.num_rows:
            raise RunError(f"the table had {self._added.num_rows:,} rows, and now has {n_rows:,}")


def _stamp(path: Path | None) -> tuple[int, ...]:
    """Tell a file's state from its next; of what is no single file, nothing is told."""
    if path is None or not path.is_file():
        return ()
    facts = path.stat()
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


class FrameDataset(Dataset):
    """A table in memory that is given back in its own kind."""

    source: Frame

    def frame(self, added: pa.Table, *, dropped: Collection[str] = ()) -> object:
        """Give the caller's kind of table, with the added columns at its end."""
        return self.source.with_results(added, dropped=dropped)


class _ObjectDataset(FrameDataset):
    """A frame that gives its columns as Python objects only, as pandas' does."""

    def cells(self, names: Collection[str], *, n_rows: int | None) -> Iterator[tuple[str, list[object]]]:
        """Read the caller's columns one after the other."""
        return ((name, list(islice(self.column(name).cells(), n_rows))) for name in names)

    def _own_column(self, name: str) -> InputColumn:
        return _ObjectColumn(name, open_column(self.source.column(name)).values)


def open_file(path: str | os.PathLike[str], options: ReadOptions | None = None) -> Dataset:
    """Open a table file.

    Raises
    ------
    UsageError
        When it cannot be read.
    """
    return Dataset(open_table(path, options), Path(path))


def open_in_memory(table: object) -> FrameDataset:
    """Open a table in memory.

    Raises
    ------
    UsageError
        When it is no table.
    """
    return (FrameDataset if isinstance(table, pa.Table) else _ObjectDataset)(open_frame(table))
