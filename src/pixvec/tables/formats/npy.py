"""The vectors alone, as NumPy's file of an (N, D) float32 array: row by row, NaN where a row has no vector."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.tables.chunk import Chunk, TableReader, TableWriter
from pixvec.tables.files import TableFile
from pixvec.tables.result_columns import read_vectors

COLUMN: Final = "embedding"


class NpyReader:
    """An array of vectors, as a table with one column."""

    def __init__(self, path: Path) -> None:
        try:
            self._vectors = np.load(path, mmap_mode="r", allow_pickle=False)
        except OSError:
            raise
        except Exception as error:  # for a broken header, NumPy raises what Python's own parser does
            raise UsageError(f"{path} cannot be read as an array: {error}") from error
        if self._vectors.ndim != 2 or self._vectors.dtype.kind != "f" or not self._vectors.shape[1]:
            raise UsageError(f"{path} holds no vectors, (N, D) floating-point numbers")
        self.n_rows, dim = self._vectors.shape
        self.schema = pa.schema([(COLUMN, pa.list_(pa.float32(), dim))])

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows; those that are NaN are null."""
        for start in range(0, self.n_rows, n_rows):
            vectors = np.asarray(self._vectors[start : start + n_rows], np.float32)  # (n, D)
            missing = pa.array(np.isnan(vectors).any(axis=1))
            flat = pa.array(vectors.reshape(-1))
            column = pa.FixedSizeListArray.from_arrays(flat, type=self.schema.types[0], mask=missing)
            table = pa.Table.from_arrays([column], schema=self.schema)
            yield Chunk(table if columns is None or COLUMN in columns else table.select([]))


class NpyWriter(TableWriter):
    """An array of vectors that is being written; the other columns of the table are left out."""

    keeps_metadata = False

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        super().__init__(file, source, results, dropped=dropped)
        if not pa.types.is_fixed_size_list(results.types[0]):
            raise UsageError(f"{file.path.name} can hold nothing but vectors: write to a table")
        self._dim = results.types[0].list_size
        self._n_rows = 0
        self._file = file.create()
        self._write_header()

    def _append(self, chunk: Chunk, results: pa.Table) -> None:  # noqa: ARG002 (nothing else fits in)
        self._file.write(read_vectors(results.column(0)).tobytes())
        self._n_rows += results.num_rows

    def _finish(self) -> None:
        self._file.seek(0)
        self._write_header()  # as long as the first one: NumPy leaves room for any number of rows
        self._file.close()

    def _write_header(self) -> None:
        facts = {"descr": "<f4", "fortran_order": False, "shape": (self._n_rows, self._dim)}
        np.lib.format.write_array_header_1_0(self._file, facts)
