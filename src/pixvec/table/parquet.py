"""Parquet in and out: every column keeps its type, and the schema keeps its metadata."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from pixvec.errors import UsageError
from pixvec.table.chunk import Chunk, TableReader, TableWriter, kept_indices

READ_BUFFER_BYTES: Final = 1 << 20
ROW_GROUP_ROWS: Final = 16_384
ROW_GROUP_BYTES: Final = 64 << 20


class ParquetReader:
    """A Parquet file, read with bounded memory however large its row groups are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._open() as file:
            self.schema = file.schema_arrow
            self.n_rows = file.metadata.num_rows

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        with self._open() as file:
            names = None if columns is None else list(columns)
            for batch in file.iter_batches(n_rows, columns=names):
                yield Chunk(pa.Table.from_batches([batch]))

    @contextmanager
    def _open(self) -> Iterator[pq.ParquetFile]:
        # pre_buffer would read whole row groups ahead; a buffered stream holds a few pages of each column.
        try:
            with pq.ParquetFile(self.path, pre_buffer=False, buffer_size=READ_BUFFER_BYTES) as file:
                yield file
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{self.path} cannot be read as Parquet: {error}") from error


class ParquetWriter(TableWriter):
    """A Parquet file in the making; small chunks are gathered into row groups of a useful size."""

    keeps_metadata = True

    def __init__(self, path: Path, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()) -> None:
        super().__init__(path)
        self._kept = kept_indices(source.schema, dropped)
        kept = [source.schema.field(index) for index in self._kept]
        self._schema = pa.schema([*kept, *results], metadata=source.schema.metadata)
        self._pending: list[pa.Table] = []
        # zstd makes vectors a tenth smaller; byte-stream-split would save as much again, but Spark 3.5 cannot read it.
        self._file = pq.ParquetWriter(path, self._schema, compression="zstd")

    def _append(self, chunk: Chunk, results: pa.Table) -> None:
        columns = [chunk.table.column(index) for index in self._kept]
        self._pending.append(pa.Table.from_arrays([*columns, *results.columns], schema=self._schema))
        n_rows = sum(table.num_rows for table in self._pending)
        n_bytes = sum(table.nbytes for table in self._pending)
        if n_rows >= ROW_GROUP_ROWS or n_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _finish(self) -> None:
        self._flush()
        self._file.close()

    def _abandon(self) -> None:
        self._pending.clear()
        super()._abandon()

    def _flush(self) -> None:
        if self._pending:
            self._file.write_table(pa.concat_tables(self._pending), row_group_size=ROW_GROUP_ROWS)
            self._pending.clear()
