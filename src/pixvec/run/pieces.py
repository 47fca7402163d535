"""Rows that are decided and whose part waits for others: kept on disk as they come, and found again by the next start.

A part is finished when its slowest row is, and a stop must not lose the others. So they are written, some at a time and
at least twice a second, to pieces in the work folder; a piece is removed when all its rows are in finished parts.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.files.own import OwnFolder
from pixvec.pipeline.report import OnProgress, Report
from pixvec.run.job import Job
from pixvec.run.kept_rows import KeptRows
from pixvec.run.parts import Part
from pixvec.run.piece_files import PieceFile, list_pieces, next_number, piece_name, read_rows
from pixvec.tables import reporting_write_errors
from pixvec.tables.result_columns import result_table
from pixvec.values import Row

_PENDING_ROWS: Final = 24
"""Rows that are written at once."""
_PENDING_S: Final = 0.5
"""How long a row waits for others to be written with."""
_SYNC_EVERY_S: Final = 2.0
"""How long what is written may be lost to a power cut."""
_PIECE_ROWS: Final = 1_024
"""Rows of a piece; it stays as long as one of them is needed."""
_READ_PIECES: Final = 16
"""Pieces of earlier starts that are held while their rows go into parts, of 2 MB each."""


class Pieces:
    """The rows of a run that are decided and in no finished part.

    Parameters
    ----------
    folder
        Where the pieces are.
    facts
        What their rows are made with.
    finished
        The parts that are finished: pieces are no longer needed for their rows.

    Raises
    ------
    UsageError
        When there are pieces of a run with other facts.
    """

    def __init__(self, folder: OwnFolder, job: Job, facts: Mapping[str, Any], finished: Iterable[Part]) -> None:
        self._folder = folder
        self._job = job
        self._facts = dict(facts)
        self._rows_in: dict[str, NDArray[np.int64]] = {}
        """The rows of each piece that are in no finished part."""
        self._cells: dict[int, bytes] = {}
        """The hashes of cells whose rows are not decided."""
        self._pending: list[tuple[int, bytes, Row]] = []
        self._oldest = self._synced = time.monotonic()
        self._file: PieceFile | None = None
        self._rows_of = lru_cache(_READ_PIECES)(partial(read_rows, folder))
        names = list_pieces(folder, is_retry=job.is_retry)
        self._kept = KeptRows(folder, names, finished, facts=self._facts, lifted=job.lifted_codes)
        self._rows_in.update(self._kept.rows_in)
        self._next_number = next_number(folder)
        job.report.resume(len(self._kept), self._kept.failures)

    @property
    def last_row(self) -> int:
        """The last row that earlier starts have kept; -1 where there is none."""
        return self._kept.last_row

    def count_pending(self) -> int:
        """Count the rows that an end of the process would lose."""
        return len(self._pending)

    def holds(self, row: int, cell: object) -> bool:
        """Tell whether an earlier start has kept a row; `keep` it later where not.

        Raises
        ------
        UsageError
            When its cell was another one then.
        """
        cell_hash = _cell_hash(cell)
        kept = self._kept.find(row)
        if kept is None:
            self._cells[row] = cell_hash
            return False
        if self._kept.cell_hash(kept) != cell_hash:
            raise self._job.changed(f"has changed since row {row:,} (counted from 0) was embedded")
        return True

    def row(self, row: int) -> Row:
        """Read a row that `holds` has found."""
        place = self._kept.find(row)
        assert place is not None, "it was found before"  # noqa: S101
        name, index = self._kept.origin(place)
        return self._rows_of(name)[index]

    def keep(self, row: int, decided: Row) -> None:
        """Keep a row that `holds` was asked for, soon."""
        if not self._pending:
            self._oldest = time.monotonic()
        self._pending.append((row, self._cells.pop(row), decided))
        if len(self._pending) >= _PENDING_ROWS:
            self.write()

    def forget(self, part: Part) -> None:
        """Remove what is kept of the rows of a part, since that is finished."""
        self._pending = [kept for kept in self._pending if not part.start <= kept[0] < part.stop]
        for name, rows in list(self._rows_in.items()):
            self._rows_in[name] = left = rows[(rows < part.start) | (rows >= part.stop)]
            if not len(left):
                self._remove(name)

    def telling(self, on_progress: OnProgress) -> OnProgress:
        """Write and sync what has waited for long enough, whenever progress is told."""

        def tell(report: Report) -> None:
            now = time.monotonic()
            if self._pending and now - self._oldest > _PENDING_S:
                self.write()
            if self._file and self._file.is_unsynced and now - self._synced > _SYNC_EVERY_S:
                with reporting_write_errors(self._job.output):
                    self._sync(self._file)
            on_progress(report)

        return tell

    def write(self) -> None:
        """Write the rows that are pending.

        Raises
        ------
        RunError
            When the file system refuses.
        """
        if not self._pending:
            return
        rows, cells, decided = zip(*self._pending, strict=True)
        results = result_table(decided, self._job.results)
        with reporting_write_errors(self._job.output):
            file = self._open_file()
            file.add(rows, cells, [row.image and row.image.thumbnail for row in decided], results)
            self._rows_in[file.name] = np.append(self._rows_in[file.name], np.array(rows, np.int64))
            self._pending.clear()
            if file.n_rows >= _PIECE_ROWS:
                self._end(file)

    def close(self) -> None:
        """Keep what is decided."""
        self.write()
        if self._file and not self._file.is_closed:
            with reporting_write_errors(self._job.output):
                self._end(self._file)

    def _open_file(self) -> PieceFile:
        if self._file is None or self._file.is_closed:
            name = piece_name(self._next_number, is_retry=self._job.is_retry)
            self._next_number += 1
            self._rows_in[name] = np.empty(0, np.int64)
            self._file = PieceFile(self._folder, name, self._job.results, self._facts)
        return self._file

    def _sync(self, file: PieceFile) -> None:
        file.sync()
        self._synced = time.monotonic()

    def _end(self, file: PieceFile) -> None:
        self._sync(file)
        file.close()

    def _remove(self, name: str) -> None:
        if self._file and self._file.name == name:
            self._file.close()
        del self._rows_in[name]
        self._folder.remove(name)


def _cell_hash(cell: object) -> bytes:
    kind, content = ("t", cell.encode(errors="surrogatepass")) if isinstance(cell, str) else ("b", cell)
    if not isinstance(content, bytes):
        kind, content = "o", repr(cell).encode(errors="surrogatepass")
    return hashlib.sha256(kind.encode() + content).digest()[:16]
