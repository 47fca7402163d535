"""The hash of rows, whatever their types: of the pages that they fill in a Parquet file.

Pages hold the cells that are not null and nothing else: no padding, no buffer that is shared with other rows, no name
of the library that wrote them. So equal rows have equal pages, wherever they come from.
"""

from __future__ import annotations

import hashlib
import io
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

_PLAIN: Final = {"compression": "none", "use_dictionary": False, "write_statistics": False, "store_schema": False}


class RowsDigest:
    """A hash that tables of consecutive rows are added to; where they are cut makes a difference."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, table: pa.Table) -> None:
        """Add the next rows."""
        self._hash.update(repr([(field.name, str(field.type)) for field in table.schema]).encode())
        sink = _Hashing(self._hash)
        with pq.ParquetWriter(pa.PythonFile(sink, "w"), table.schema, **_PLAIN) as writer:
            writer.write_table(table.combine_chunks(), row_group_size=max(table.num_rows, 1))
            sink.is_done = True  # what follows the pages says where they are and who wrote them

    def hexdigest(self) -> str:
        """Tell the hash of what was added so far."""
        return self._hash.hexdigest()


class _Hashing(io.RawIOBase):
    """A file that keeps nothing of what is written but its hash."""

    def __init__(self, hash_: Any) -> None:
        super().__init__()
        self._hash = hash_
        self.is_done = False

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        if not self.is_done:
            self._hash.update(data)
        return len(data)
