"""What formats with types have in common when they are written: small chunks gather into groups of a useful size."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection
from typing import ClassVar, Final

import pyarrow as pa

from pixvec.tables.chunk import Chunk, TableReader, TableWriter
from pixvec.tables.files import TableFile

ROW_GROUP_ROWS: Final = 16_384
ROW_GROUP_BYTES: Final = 64 << 20


class GroupWriter(TableWriter):
    """A table that is being written, whose columns keep their types and whose schema keeps its metadata."""

    keeps_metadata: ClassVar = True

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        super().__init__(file, source, results, dropped=dropped)
        self._pending: list[pa.Table] = []

    @abstractmethod
    def _write_group(self, table: pa.Table) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...

    def _append(self, chunk: Chunk, results: pa.Table) -> None:
        columns = [chunk.table.column(index) for index in self._kept]
        self._pending.append(pa.Table.from_arrays([*columns, *results.columns], schema=self._schema))
        n_rows = sum(table.num_rows for table in self._pending)
        n_bytes = sum(table.nbytes for table in self._pending)
        if n_rows >= ROW_GROUP_ROWS or n_bytes >= ROW_GROUP_BYTES:
            self._flush()

    def _finish(self) -> None:
        self._flush()
        self._close()

    def _abandon(self) -> None:
        self._pending.clear()
        super()._abandon()

    def _flush(self) -> None:
        if self._pending:
            self._write_group(pa.concat_tables(self._pending))
            self._pending.clear()
