"""Parts as files: rows in, and the result columns of all parts out, one after the other."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import pyarrow as pa
import pyarrow.parquet as pq

from pixvec.errors import RunError
from pixvec.files.own import OwnFolder
from pixvec.run.parts import METADATA_KEY, Part, is_refusal
from pixvec.tables import reporting_write_errors

_ROW_GROUP_BYTES: Final = 64 << 20


class PartWriter:
    """A part in progress; in row groups of bounded size, so that it need not fit into memory.

    Parameters
    ----------
    work, name
        Where it is written.
    output
        What the file system's refusals are said of.
    """

    def __init__(self, work: OwnFolder, name: str, output: Path) -> None:
        self._work = work
        self._name = name
        self._output = output
        self._sink: BinaryIO | None = None
        self._file: pq.ParquetWriter | None = None
        self._pending: list[pa.Table] = []

    @property
    def n_pending_bytes(self) -> int:
        """How much is not written yet."""
        return sum(table.nbytes for table in self._pending)

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        self._pending.append(table)
        if self.n_pending_bytes >= _ROW_GROUP_BYTES:
            with reporting_write_errors(self._output):
                self._flush()

    def put(self, folder: OwnFolder, part: Part, facts: Mapping[str, Any]) -> None:
        """Let the part appear in a folder, with what it was made with."""
        written = {"facts": dict(facts), "input_sha256": part.input_sha256, "failures": part.failures}
        with reporting_write_errors(self._output), closing(self):
            file = self._flush()
            file.add_key_value_metadata({METADATA_KEY: json.dumps(written, sort_keys=True).encode()})
            file.close()
            assert self._sink is not None, "the table was written there"  # noqa: S101
            self._sink.close()
            self._work.put(self._name, folder, part.name)

    def _flush(self) -> pq.ParquetWriter:
        table = pa.concat_tables(self._pending).combine_chunks()
        self._pending = [table.slice(0, 0)]
        if self._file is None:
            # A source may be a part of another table.
            schema = table.schema.with_metadata(_without(METADATA_KEY, table.schema.metadata))
            self._sink = self._work.create_anew(self._name)
            self._file = pq.ParquetWriter(self._sink, schema, compression="zstd", write_page_checksum=True)
        self._file.write_table(table, row_group_size=max(table.num_rows, 1))
        return self._file

    def close(self) -> None:
        """Give up what was not put."""
        for file in filter(None, (self._file, self._sink)):
            with suppress(OSError, pa.ArrowException):
                file.close()


def _without(key: bytes, metadata: Mapping[bytes, bytes] | None) -> dict[bytes, bytes]:
    return {name: value for name, value in (metadata or {}).items() if name != key}


class Results:
    """The result columns of consecutive parts, taken as many rows at a time as one likes."""

    def __init__(self, folder: OwnFolder, parts: Sequence[Part], schema: pa.Schema) -> None:
        self._tables = _read_tables(folder, parts, schema)
        self._read = schema.empty_table()

    def take(self, n_rows: int) -> pa.Table:
        """Take the next rows.

        Raises
        ------
        RunError
            When there are not as many.
        """
        pieces = [self._read]
        while sum(piece.num_rows for piece in pieces) < n_rows:
            if (table := next(self._tables, None)) is None:
                raise RunError("there are more rows than were embedded: the table changed while it was read")
            pieces.append(table)
        read = pa.concat_tables(pieces)
        self._read = read.slice(n_rows)
        return read.slice(0, n_rows).combine_chunks()  # so that what is written does not depend on where parts begin


def _read_tables(folder: OwnFolder, parts: Sequence[Part], schema: pa.Schema) -> Iterator[pa.Table]:
    """Read finished parts one after the other, in the columns of `schema`.

    Raises
    ------
    RunError
        When one is damaged; it is removed, so that the next run makes it again.
    """
    for part in parts:
        path = folder.path / part.name
        try:
            with folder.read(part.name) as opened:
                file = pq.ParquetFile(opened, page_checksum_verification=True)
                for number in range(file.num_row_groups):
                    table = file.read_row_group(number)
                    yield pa.Table.from_arrays(table.columns, schema=schema)
        except (pa.ArrowException, OSError) as error:
            if is_refusal(error):
                raise RunError(f"{path} cannot be read: {error}") from error
            folder.remove(part.name)
            raise RunError(f"{path} was damaged, and is removed: the same command makes it again") from error
