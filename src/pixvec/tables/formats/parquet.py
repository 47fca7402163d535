"""Parquet in and out: every column keeps its type, and the schema keeps its metadata."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pixvec.errors import UsageError
from pixvec.tables.chunk import Chunk, TableReader, check_n_columns, rechunked
from pixvec.tables.files import TableFile
from pixvec.tables.formats.row_groups import ROW_GROUP_ROWS, GroupWriter
from pixvec.tables.validation import check_schema, reporting_damage, validated

READ_BUFFER_BYTES: Final = 1 << 20


class ParquetReader:
    """A Parquet file, read with bounded memory however large its row groups are.

    Parameters
    ----------
    path
        The file.
    open_file
        Opens it where not its path does.
    """

    def __init__(self, path: Path, *, open_file: Callable[[], BinaryIO] | None = None) -> None:
        self.path = path
        self._open_file = open_file
        with self._open() as file:
            self.schema = file.schema_arrow
            check_n_columns(path, len(self.schema))
            check_schema(self.schema)
            self.n_rows = file.metadata.num_rows

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        with self._open() as file:
            names = None if columns is None else list(columns)
            # Batches end where a row group does if there are categories.
            batches = self._counted(file.iter_batches(n_rows, columns=names))
            yield from map(Chunk, rechunked(validated(batches), n_rows))

    def _counted(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Hold a file to the number of rows that it states, by which memory is reserved."""
        n_rows = 0
        for batch in batches:
            n_rows += batch.num_rows
            yield batch
        if n_rows != self.n_rows:
            raise pa.ArrowInvalid(f"it states {self.n_rows:,} rows and holds {n_rows:,}")

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        # pre_buffer would read whole row groups ahead; a buffered stream holds a few pages of each column.
        with reporting_damage(self.path, "Parquet"), ExitStack() as opened:
            where = opened.enter_context(self._open_file()) if self._open_file else self.path
            file = pq.ParquetFile(where, pre_buffer=False, buffer_size=READ_BUFFER_BYTES)
            yield opened.enter_context(file)


class ParquetWriter(GroupWriter):
    """A Parquet file that is being written."""

    repeats_names = False

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        super().__init__(file, source, results, dropped=dropped)
        # zstd makes vectors a tenth smaller; byte-stream-split would save as much again, but Spark 3.5 cannot read it.
        self._sink = file.create()
        self._file = pq.ParquetWriter(self._sink, self._schema, compression="zstd")

    def _write_group(self, table: pa.Table) -> None:
        self._file.write_table(table, row_group_size=ROW_GROUP_ROWS)

    def _close(self) -> None:
        self._file.close()
        self._sink.close()


def check_type(field: pa.Field) -> None:
    """Check that Parquet has room for a column.

    Raises
    ------
    UsageError
        If it has not.
    """
    try:
        pq.ParquetWriter(pa.BufferOutputStream(), pa.schema([field])).close()
    except pa.ArrowException as error:
        raise UsageError(
            f"column {field.name!r} is {field.type}, which Parquet cannot hold: write to .arrow"
        ) from error
