"""Rows to finished parts: those that are finished are compared with the input, the others are made.

The input is read twice side by side: its cells ahead of the model, its rows when they are decided. Finished parts are
compared as they are passed; they come first, and so a changed input is found before any work.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import Final

import pyarrow as pa

from pixvec.columns import open_column
from pixvec.errors import PixvecError, RunError, UsageError
from pixvec.report import OnProgress
from pixvec.result_columns import result_table
from pixvec.run.digest import RowsDigest
from pixvec.run.job import Job
from pixvec.run.part_files import PartWriter
from pixvec.run.parts import Part, Plan, finished_parts
from pixvec.run.work_folder import UNFINISHED
from pixvec.table import Chunk, open_frame
from pixvec.values import Row

FILE_PART_ROWS: Final = 512
FOLDER_PART_ROWS: Final = 4_096


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive rows of one part, as they are read; `row` is the number of the first."""

    part: Part
    row: int
    table: pa.Table


def embed_parts(job: Job, work: Path, folder: Path, *, whole_rows: bool) -> list[Part]:
    """Make the parts of a table that are not finished, and list them all.

    Parameters
    ----------
    work
        Where a part is while it is unfinished.
    folder
        Where finished parts are.
    whole_rows
        Whether parts hold the columns of the source too.

    Raises
    ------
    UsageError
        When finished parts are of another run, or of another input.
    RunError
        When the file system refuses, or the input changes meanwhile.
    """
    finished = finished_parts(folder, job.facts)
    for part in finished:
        job.report.resume(part.n_rows, part.failures)
    plan = Plan(finished, job.options.part_rows or (FOLDER_PART_ROWS if whole_rows else FILE_PART_ROWS))
    chunks = job.chunks(columns=None if whole_rows else [job.column])
    parts = [part for part in finished if not part.n_rows]  # the one of a table without rows
    with job.telling_progress() as on_progress, closing(_Rows(job, plan, on_progress)) as rows:
        for part, pieces in by_part(chunks, plan):
            if part.is_finished:
                _check_unchanged(job, part, pieces)
                parts.append(part)
            else:
                parts.append(_make(job, pieces, rows, work / UNFINISHED, folder, whole_rows=whole_rows))
        rows.end()
    if finished and (not parts or parts[-1].stop < finished[-1].stop):
        raise UsageError(_changed(job, f"is shorter than when row {finished[-1].stop - 1:,} was embedded"))
    return parts


def by_part(chunks: Iterable[Chunk], plan: Plan) -> Iterator[tuple[Part, Iterator[Piece]]]:
    """Cut chunks where parts begin, and gather the pieces of each part."""
    return groupby(_pieces(chunks, plan), key=attrgetter("part"))


def input_change(part: Part, tables: Iterable[pa.Table]) -> str | None:
    """Say how the input's rows differ from those that a finished part was made of; None where they do not."""
    digest, n_rows = RowsDigest(), 0
    for table in tables:
        digest.add(table)
        n_rows += table.num_rows
    if n_rows < part.n_rows:
        return f"is shorter than when rows {part.start:,} to {part.stop - 1:,} were embedded"
    if digest.hexdigest() != part.input_sha256:
        return f"has changed since rows {part.start:,} to {part.stop - 1:,} were embedded"
    return None


def _pieces(chunks: Iterable[Chunk], plan: Plan) -> Iterator[Piece]:
    first = 0
    for chunk in chunks:
        row, end = first, first + chunk.table.num_rows
        while row < end:
            part = plan.part_of(row)
            stop = min(part.stop, end)
            yield Piece(part, row, chunk.table.slice(row - first, stop - row))
            row = stop
        first = end


def _check_unchanged(job: Job, part: Part, pieces: Iterable[Piece]) -> None:
    if change := input_change(part, (piece.table for piece in pieces)):
        raise UsageError(_changed(job, change))


def _changed(job: Job, change: str) -> str:
    return (
        f"{job.input} {change}: go on with what it was, or throw the finished parts away with --restart (restart=True)"
    )


def _make(job: Job, pieces: Iterable[Piece], rows: _Rows, unfinished: Path, folder: Path, *, whole_rows: bool) -> Part:
    """Write a part when all its rows are decided."""
    digest, failures, numbers = RowsDigest(), Counter[str](), []
    with PartWriter(unfinished, job.output) as writer:
        for piece in pieces:
            decided = rows.take(piece)
            results = result_table(decided, job.results)
            writer.write(open_frame(piece.table).with_results(results, dropped=job.dropped) if whole_rows else results)
            digest.add(piece.table)
            failures.update(row.error for row in decided if row.error)
            numbers += [piece.row, piece.row + piece.table.num_rows]
        part = Part(numbers[0], numbers[-1], digest.hexdigest(), failures)
        writer.put(folder, part, job.facts)
    return part


class _Rows:
    """The rows that are in no finished part, in order; and a watch that both readings of the input agree."""

    def __init__(self, job: Job, plan: Plan, on_progress: OnProgress | None) -> None:
        self._job = job
        self._readings: deque[int] = deque()
        self._rows = job.embed(self._cells(plan), on_progress)

    def take(self, piece: Piece) -> list[Row]:
        """Wait for the rows of a piece."""
        decided: list[Row] = []
        try:
            decided.extend(islice(self._rows, piece.table.num_rows))
        except PixvecError:
            raise
        except Exception as bug:
            bug.add_note(f"pixvec: it is row {piece.row + len(decided)} of {self._job.input}, counted from 0")
            raise
        if not self._readings or self._readings.popleft() != hash(tuple(self._read(piece))):
            self._broken()
        return decided

    def end(self) -> None:
        """Make sure that there are no more rows."""
        if next(self._rows, None) is not None:
            self._broken()

    def close(self) -> None:
        """Drop what is under way."""
        self._rows.close()

    def _cells(self, plan: Plan) -> Iterator[object]:
        for piece in _pieces(self._job.chunks(columns=[self._job.column]), plan):
            if not piece.part.is_finished:
                cells = self._read(piece)
                self._readings.append(hash(tuple(cells)))
                yield from cells

    def _read(self, piece: Piece) -> list[object]:
        return open_column(piece.table.column(self._job.column).to_pylist()).cells

    def _broken(self) -> None:
        raise RunError(f"{self._job.input} changed while it was read")
