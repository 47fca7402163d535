"""Pieces as files: frames of bytes, each with its length and checksum, so that what a stop has torn is dropped.

The first frame is the schema, which says what the rows were made with; the others are batches of rows.
"""

from __future__ import annotations

import json
import os
import re
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.files.own import OwnFolder
from pixvec.files.untrusted import parse_json
from pixvec.tables.result_columns import checked_facts, result_rows
from pixvec.values import Row

CELL_HASH_BYTES: Final = 16

_METADATA_KEY: Final = b"pixvec.piece"
_NAME: Final = re.compile(r"(piece|retried)-(\d{6})\.rows")
_FRAME: Final = struct.Struct("<II")


def piece_name(number: int, *, is_retry: bool) -> str:
    """Name a piece; those of a retry are apart, since a plain run may come in between."""
    return f"{'retried' if is_retry else 'piece'}-{number:06}.rows"


def list_pieces(folder: OwnFolder, *, is_retry: bool | None = None) -> list[str]:
    """List the names of the pieces in a folder, all or of one kind, in the order of their numbers."""
    kinds = {"piece", "retried"} if is_retry is None else {"retried" if is_retry else "piece"}
    return [name for name in folder.names() if (match := _NAME.fullmatch(name)) and match[1] in kinds]


def next_number(folder: OwnFolder) -> int:
    """Return the number of the next piece in a folder."""
    return 1 + max((int(match[2]) for name in folder.names() if (match := _NAME.fullmatch(name))), default=0)


class PieceFile:
    """A piece that rows are added to, each batch as soon as it is given: an end of the process loses none of them."""

    def __init__(self, folder: OwnFolder, name: str, schema: pa.Schema, facts: Mapping[str, Any]) -> None:
        named = [("row", pa.int64()), ("cell", pa.binary(CELL_HASH_BYTES)), ("thumbnail", pa.binary())]
        columns = [*(pa.field(name, type_) for name, type_ in named), *schema]
        written = json.dumps({"facts": facts}, sort_keys=True)
        self._schema = pa.schema(columns, {_METADATA_KEY: written})
        self._folder = folder
        self._file = folder.create(name, buffering=0)
        self.name = name
        self.n_rows = 0
        self.is_unsynced = False
        self._add(self._schema)

    def add(
        self, rows: Sequence[int], cell_hashes: Sequence[bytes], thumbnails: Sequence[bytes | None], results: pa.Table
    ) -> None:
        """Add rows, each with its number, the hash of its cell, the thumbnail of its image and its results."""
        named = [
            pa.array(rows, pa.int64()),
            pa.array(cell_hashes, pa.binary(CELL_HASH_BYTES)),
            pa.array(thumbnails, pa.binary()),
        ]
        columns = [*named, *(column.combine_chunks() for column in results.columns)]
        self._add(pa.RecordBatch.from_arrays(columns, schema=self._schema))
        self.n_rows += len(rows)
        self.is_unsynced = True

    def _add(self, what: pa.Schema | pa.RecordBatch) -> None:
        content = what.serialize().to_pybytes()
        frame = memoryview(_FRAME.pack(len(content), zlib.crc32(content)) + content)
        try:
            while frame:
                frame = frame[self._file.write(frame) :]
        except BaseException:  # what follows half a frame would not be found
            self.close()
            if not self.n_rows:
                self._folder.remove(self.name)
            raise

    @property
    def is_closed(self) -> bool:
        """Whether it takes no more rows."""
        return self._file.closed

    def sync(self) -> None:
        """Make what was added survive a power cut."""
        os.fsync(self._file.fileno())
        self.is_unsynced = False

    def close(self) -> None:
        """End the file."""
        self.is_unsynced = False
        self._file.close()


class ReadPiece:
    """A piece as far as it is sound.

    Raises
    ------
    ValueError
        When nothing of it is.
    """

    def __init__(self, folder: OwnFolder, name: str) -> None:
        frames = _frames(folder.read_bytes(name))
        try:
            schema = pa.ipc.read_schema(next(frames))
            facts = checked_facts(parse_json(schema.metadata[_METADATA_KEY])["facts"])
        except (StopIteration, KeyError, TypeError, pa.ArrowException) as error:
            raise ValueError(f"{name} holds no rows") from error
        if facts is None:
            raise ValueError(f"{name} does not say what its rows were made with")
        self.facts: dict[str, Any] = facts
        batches = [pa.ipc.read_record_batch(frame, schema) for frame in frames]
        for batch in batches:  # a checksum says that nothing was torn, and not who wrote it
            batch.validate(full=True)
        self._table = pa.Table.from_batches(batches, schema).combine_chunks()

    @classmethod
    def of(cls, folder: OwnFolder, name: str) -> Self | None:
        """Read a piece; None where nothing of it is sound."""
        try:
            return cls(folder, name)
        except ValueError:
            return None

    @property
    def rows(self) -> NDArray[np.int64]:
        """Their numbers, (N,)."""
        numbers: NDArray[np.int64] = self._table.column(0).to_numpy()
        return numbers

    @property
    def cell_hashes(self) -> NDArray[np.uint8]:
        """The hashes of their cells, (N, 16)."""
        content = b"".join(self._table.column(1).to_pylist())
        return np.frombuffer(content, np.uint8).reshape(-1, CELL_HASH_BYTES)

    @property
    def codes(self) -> NDArray[np.object_]:
        """Why they have no vector, (N,); None where they have one."""
        codes: NDArray[np.object_] = self._table.column(4).to_numpy()
        return codes

    @property
    def thumbnails(self) -> list[bytes | None]:
        """The thumbnails of their images, N; None where there is none."""
        thumbnails: list[bytes | None] = self._table.column(2).to_pylist()
        return thumbnails

    @property
    def results(self) -> pa.Table:
        """The result columns."""
        return self._table.select(range(3, self._table.num_columns))


def read_rows(folder: OwnFolder, name: str) -> list[Row]:
    """Read a piece's rows."""
    piece = ReadPiece(folder, name)
    pairs = zip(result_rows(piece.results), piece.thumbnails, strict=True)
    return [replace(row, image=row.image and replace(row.image, thumbnail=thumbnail)) for row, thumbnail in pairs]


def _frames(content: bytes) -> Iterator[pa.Buffer]:
    view, start = memoryview(content), 0
    while len(view) - start >= _FRAME.size:
        n_bytes, checksum = _FRAME.unpack_from(view, start)
        start += _FRAME.size
        frame = view[start : start + n_bytes]
        if not n_bytes or len(frame) < n_bytes or zlib.crc32(frame) != checksum:
            return
        yield pa.py_buffer(frame)
        start += n_bytes
