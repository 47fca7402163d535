"""Arrow files in and out, which Feather's second version is too. Written without compression: they can be mapped."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.tables.chunk import Chunk, Extent, TableReader, check_n_columns, rechunked, wanted_indices
from pixvec.tables.files import TableFile
from pixvec.tables.formats.row_groups import ROW_GROUP_ROWS, GroupWriter
from pixvec.tables.validation import check_schema, reporting_damage, validated

_FILE_MAGIC: Final = b"ARROW1"
_FEATHER_1_MAGIC: Final = b"FEA1"

Batches: TypeAlias = pa.RecordBatchFileReader | pa.RecordBatchStreamReader


class ArrowReader:
    """An Arrow file or a stored Arrow stream; a record batch is in memory at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.extent = Extent(0, 0, path.stat().st_size)
        with self._open() as (batches, _):
            self.schema = batches.schema
            check_n_columns(path, len(self.schema))
            check_schema(self.schema)
            self.n_rows = batches.count_rows() if isinstance(batches, pa.RecordBatchFileReader) else None

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        wanted = pa.ipc.IpcReadOptions(included_fields=wanted_indices(self.schema, columns))
        with self._open(wanted) as (batches, file):
            for table in rechunked(self._measured(validated(_each(batches)), file), n_rows):
                yield Chunk(table)

    def _measured(self, tables: Iterator[pa.Table], file: pa.NativeFile) -> Iterator[pa.Table]:
        n_read = 0
        for table in tables:
            n_read += table.num_rows
            self.extent = replace(self.extent, n_rows=n_read, n_bytes=file.tell())
            yield table

    @contextmanager
    def _open(self, options: pa.ipc.IpcReadOptions | None = None) -> Iterator[tuple[Batches, pa.NativeFile]]:
        with reporting_damage(self.path, "Arrow"), pa.OSFile(str(self.path)) as file:
            magic = file.read(len(_FILE_MAGIC))
            if magic.startswith(_FEATHER_1_MAGIC):
                raise UsageError(f"{self.path} is in the first version of Feather: write it again with the second")
            file.seek(0)
            open_ = pa.ipc.open_file if magic == _FILE_MAGIC else pa.ipc.open_stream
            with open_(file, options=options) as batches:
                yield batches, file


class ArrowWriter(GroupWriter):
    """An Arrow file that is being written."""

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        super().__init__(file, source, results, dropped=dropped)
        self._sink = pa.PythonFile(file.create(), "w")
        # A file has one dictionary for each column of categories, which may only grow.
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self._file = pa.ipc.new_file(self._sink, self._schema, options=options)
        self._before: tuple[pa.Table, ...] = ()

    def _write_group(self, table: pa.Table) -> None:
        grown = pa.concat_tables([*self._before, table]).unify_dictionaries().combine_chunks()
        self._file.write_table(grown, max_chunksize=ROW_GROUP_ROWS)
        self._before = (grown.slice(0, 0),)

    def _close(self) -> None:
        self._file.close()
        self._sink.close()


def _each(batches: Batches) -> Iterator[pa.RecordBatch]:
    if isinstance(batches, pa.RecordBatchFileReader):
        return map(batches.get_batch, range(batches.num_record_batches))
    return iter(batches)
