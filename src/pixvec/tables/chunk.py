"""What every kind of table has in common: it is read in chunks of rows, and written in the same chunks.

A reader can be read again from its start at any time; a writer takes each chunk of its source in order, together with
the result columns of those rows.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Final, Protocol, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import RunError, UsageError
from pixvec.tables.files import TableFile

MAX_COLUMNS: Final = 5_000
"""The cells of 512 rows of so many columns of CSV take 400 MB while they are read."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a table.

    Parameters
    ----------
    table
        The rows' columns, in the table's order.
    """

    table: pa.Table

    def head(self, n_rows: int) -> Self:
        """Keep the first rows only."""
        return replace(self, table=self.table.slice(0, n_rows))

    def filtered(self, mask: NDArray[np.bool_]) -> Self:
        """Keep the rows where the mask, (n,), is set."""
        return replace(self, table=self.table.filter(pa.array(mask)))

    def widened(self, table: pa.Table, keys: Mapping[str, str | None]) -> Self:  # noqa: ARG002 (kinds with text have)
        """Make it one of several files that are one table: `table` are its rows there, with the `keys` of the file."""
        return replace(self, table=table)


@dataclass(frozen=True, slots=True)
class Extent:
    """How far the last reading of a table came, to estimate how many rows there are.

    Parameters
    ----------
    n_rows, n_bytes
        Rows that were read, and the bytes that they take of the files as these are stored.
    n_bytes_in_all
        The size of the files.
    """

    n_rows: int
    n_bytes: int
    n_bytes_in_all: int

    @property
    def expected_rows(self) -> int | None:
        """The rows that there will be, when those to come are of the size of those read; None where none is read."""
        return round(self.n_rows * self.n_bytes_in_all / self.n_bytes) if self.n_bytes else None


class TableReader(Protocol):
    """A table that can be read in chunks, as often as one likes."""

    @property
    def schema(self) -> pa.Schema:
        """The columns and their types."""

    @property
    def n_rows(self) -> int | None:
        """How many rows there are; None where that takes reading them all."""

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of exactly `n_rows` rows (a file's last may have fewer) without ever holding the whole table.

        Chunks for a writer hold every column; with `columns`, only those are decoded.
        """


def expected_rows(table: TableReader) -> int | None:
    """Return how many rows a table has, or an estimate by the bytes that were read; None where there is neither."""
    extent = extent_of(table) if table.n_rows is None else None
    return table.n_rows if extent is None else extent.expected_rows


def extent_of(table: TableReader) -> Extent | None:
    """Return how far a table has been read; None where its reader does not tell, as it knows its rows."""
    extent: Extent | None = getattr(table, "extent", None)  # asked for at each row, for which a protocol is slow
    return extent


class TableWriter(ABC):
    """A table that is being written: the chunks of one source, each with its result columns.

    Parameters
    ----------
    file
        What is written.
    source
        The table whose chunks will be written.
    results
        The result columns.
    dropped
        Columns of the source that are left out.
    """

    keeps_metadata: ClassVar[bool]
    repeats_names: ClassVar[bool] = True
    """Whether readers of the format take columns of one name."""

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        self._path = file.path
        self._kept = kept_indices(source.schema, dropped)
        self._schema = pa.schema([*map(source.schema.field, self._kept), *results], metadata=source.schema.metadata)

    def write(self, chunk: Chunk, results: pa.Table) -> None:
        """Append a chunk of the source and the result columns of the same rows.

        Raises
        ------
        RunError
            When the file system refuses.
        """
        with reporting_write_errors(self._path):
            self._append(chunk, results)

    def close(self) -> None:
        """Write what is left and close the file.

        Raises
        ------
        RunError
            When the file system refuses.
        """
        with reporting_write_errors(self._path):
            self._finish()

    @abstractmethod
    def _append(self, chunk: Chunk, results: pa.Table) -> None: ...

    @abstractmethod
    def _finish(self) -> None: ...

    def _abandon(self) -> None:
        """Let go of a file that nobody will read."""
        with suppress(OSError):
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._abandon()


@contextmanager
def reporting_write_errors(path: Path) -> Iterator[None]:
    """Turn what the file system refuses, or Arrow to put into a format, into one line that names the file."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error  # Arrow says it in more words
        raise RunError(f"{path.name} cannot be written: {reason}") from error
    except pa.ArrowException as error:
        raise RunError(f"{path.name} cannot be written: {error}") from error


def check_n_columns(path: Path, n_columns: int) -> None:
    """Check that rows are narrow enough to be held some hundreds at a time.

    Raises
    ------
    UsageError
        If they aren't.
    """
    if n_columns > MAX_COLUMNS:
        raise UsageError(f"{path} has {n_columns:,} columns, and at most {MAX_COLUMNS:,} are read: leave some out")


def wanted_indices(schema: pa.Schema, columns: Collection[str] | None) -> list[int]:
    """Find the places of the columns that are read, all or those with a name."""
    names = None if columns is None else frozenset(columns)
    return [index for index, name in enumerate(schema.names) if names is None or name in names]


def kept_indices(schema: pa.Schema, dropped: Collection[str]) -> list[int]:
    """Find the places of the columns that stay; names may repeat, so columns go by place."""
    names = frozenset(dropped)
    return [index for index, name in enumerate(schema.names) if name not in names]


def rechunked(tables: Iterable[pa.Table], n_rows: int) -> Iterator[pa.Table]:
    """Cut tables, and put them together, so that all but the last have `n_rows` rows."""
    pending: list[pa.Table] = []
    for table in tables:
        pending.append(table)
        n_whole = sum(part.num_rows for part in pending) // n_rows * n_rows
        if n_whole:
            whole = pa.concat_tables(pending)
            yield from (whole.slice(start, n_rows) for start in range(0, n_whole, n_rows))
            pending = [whole.slice(n_whole)]
    if sum(part.num_rows for part in pending):
        yield pa.concat_tables(pending)
