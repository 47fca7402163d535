"""Rows to finished parts: those that are finished are compared with the input, the others are made.

The input is read once, ahead of the model. A part is written as soon as all its rows are decided, whatever the parts
before it wait for, and until then its rows are kept in pieces; so what an end costs is what is in progress.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, groupby, islice
from operator import attrgetter
from typing import Final, TypeAlias

import pyarrow as pa

from pixvec.errors import PixvecError
from pixvec.files.own import OwnFolder
from pixvec.run.digest import RowsDigest
from pixvec.run.job import Job
from pixvec.run.part_files import PartWriter
from pixvec.run.parts import Part, Plan, finished_parts
from pixvec.run.pieces import Pieces
from pixvec.run.thumbnails import keep_thumbnails, thumbnails_of
from pixvec.run.work_folder import REPLACEMENT, UNFINISHED, WorkFolder
from pixvec.tables import Chunk, open_frame
from pixvec.tables.columns import open_column
from pixvec.tables.result_columns import result_table
from pixvec.values import Row

FILE_PART_ROWS: Final = 512
FOLDER_PART_ROWS: Final = 4_096
WAITING_TABLE_BYTES: Final = 128 << 20
"""Bytes of the input's rows that are read and in no part yet; more than a part's writer keeps back."""


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive rows of one part, as they are read.

    Parameters
    ----------
    row
        The number of the first one.
    rows
        What they came to, by their places in the span, as far as they are decided; None where an earlier start has
        kept it.
    """

    part: Part
    row: int
    table: pa.Table
    rows: dict[int, Row | None] = field(default_factory=dict)

    @property
    def is_done(self) -> bool:
        """Whether all its rows are."""
        return len(self.rows) == len(self.table)


def embed_parts(job: Job, work: WorkFolder, folder: OwnFolder, *, whole_rows: bool) -> list[Part]:
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
        job.report.resume(part.n_rows, part.failures, lifted=job.lifted_codes(part.facts))
    plan = Plan(finished, job.options.part_rows or (FOLDER_PART_ROWS if whole_rows else FILE_PART_ROWS))
    is_replacing = folder.path == work.path / REPLACEMENT
    pieces = Pieces(folder if is_replacing else work, job, job.facts, finished)
    parts = _Parts(job, plan, pieces, work, folder, whole_rows=whole_rows)
    with (
        job.telling_progress() as on_progress,
        closing(parts),
        closing(
            job.embed(parts.cells(), pieces.telling(on_progress), n_unkept=pieces.count_pending, is_full=parts.is_full)
        ) as rows,
    ):
        for number, row in parts.naming_bugs(rows):
            parts.decide(number, row)
    return sorted(parts.done, key=attrgetter("start", "stop"))


def by_part(chunks: Iterable[Chunk], plan: Plan) -> Iterator[tuple[Part, Iterator[Span]]]:
    """Cut chunks where parts begin, and gather the spans of each part."""
    return groupby(_spans(chunks, plan), key=attrgetter("part"))


def input_change(part: Part, tables: Iterable[pa.Table]) -> str | None:
    """Say how the input's rows differ from those that a finished part was made of; None where they do not."""
    digest, n_rows = RowsDigest(), 0
    for table in tables:
        digest.add(table)
        n_rows += table.num_rows
    if n_rows < part.n_rows:
        return f"is shorter than when rows {_rows_of(part)} were embedded"
    if digest.hexdigest() != part.input_sha256:
        return f"has changed since rows {_rows_of(part)} were embedded"
    return None


def _rows_of(part: Part) -> str:
    return f"{part.start:,} to {part.stop - 1:,} (counted from 0)"


def _spans(chunks: Iterable[Chunk], plan: Plan) -> Iterator[Span]:
    first = 0
    for chunk in chunks:
        row, end = first, first + chunk.table.num_rows
        while row < end:
            part = plan.part_of(row)
            stop = min(part.stop, end)
            yield Span(part, row, chunk.table.slice(row - first, stop - row))
            row = stop
        first = end


def _check_unchanged(job: Job, part: Part, spans: Iterable[Span]) -> None:
    if change := input_change(part, (span.table for span in spans)):
        raise job.changed(change)


class _Parts:
    """The parts of a table that are done, and those that are not."""

    def __init__(
        self, job: Job, plan: Plan, pieces: Pieces, work: WorkFolder, folder: OwnFolder, *, whole_rows: bool
    ) -> None:
        self.done = [part for part in plan.finished if not part.n_rows]  # the one of a table without rows
        self._job = job
        self._plan = plan
        self._pieces = pieces
        self._work = work
        self._folder = folder
        self._whole_rows = whole_rows
        self._unfinished: list[_Unfinished] = []
        self._places: dict[int, _Place] = {}
        self._n_bytes = 0

    def cells(self) -> Iterator[object]:
        """Read the cells of unfinished parts, and compare finished ones."""
        numbers, n_rows = count(), 0
        for part, spans in by_part(
            self._job.chunks(columns=None if self._whole_rows else [self._job.column]), self._plan
        ):
            if part.is_finished:
                _check_unchanged(self._job, part, spans)
                self.done.append(part)
                n_rows = part.stop
            else:
                unfinished = self._begin(part)
                yield from self._cells_of(unfinished, spans, numbers)
                n_rows = unfinished.stop
        self._check_length(n_rows)

    def decide(self, number: int, row: Row) -> None:
        """Take the row of the `number`-th cell."""
        unfinished, span, index = self._places.pop(number)
        span.rows[index] = row
        self._pieces.keep(span.row + index, row)
        if span.is_done:
            self._advance(unfinished)

    def is_full(self) -> bool:
        """Tell whether no more of the input should be kept."""
        return self._n_bytes > WAITING_TABLE_BYTES

    def naming_bugs(self, rows: Iterator[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
        """Add to a bug which row it was met at: the first one that is not done."""
        try:
            yield from rows
        except (MemoryError, PixvecError):
            raise
        except Exception as bug:
            for _, span, index in islice(self._places.values(), 1):
                bug.add_note(f"pixvec: it is row {span.row + index} (counted from 0) of {self._job.input}")
            raise

    def close(self) -> None:
        """Give up the parts that are not done; their rows are kept."""
        for unfinished in self._unfinished:
            unfinished.writer.close()
        self._pieces.close()

    def _begin(self, part: Part) -> _Unfinished:
        writer = PartWriter(self._work, f"{UNFINISHED}-{part.start}", self._job.output)
        self._unfinished.append(_Unfinished(self._job, self._pieces, writer, part.start, whole_rows=self._whole_rows))
        return self._unfinished[-1]

    def _cells_of(self, unfinished: _Unfinished, spans: Iterable[Span], numbers: Iterator[int]) -> Iterator[object]:
        for span in spans:
            unfinished.add(span)
            cells = open_column(span.table.column(self._job.column)).cells
            for index, cell in enumerate(cells):
                if self._pieces.holds(span.row + index, cell):
                    span.rows[index] = None
                else:
                    self._places[next(numbers)] = (unfinished, span, index)
                    yield cell
            self._advance(unfinished)
        unfinished.is_read = True
        self._advance(unfinished)

    def _check_length(self, n_rows: int) -> None:
        last = max([self._pieces.last_row, *(part.stop - 1 for part in self._plan.finished)], default=-1)
        if n_rows <= last:
            raise self._job.changed(f"is shorter than when row {last:,} (counted from 0) was embedded")

    def _advance(self, unfinished: _Unfinished) -> None:
        """Write what can be written."""
        unfinished.write_decided()
        if unfinished.is_whole:
            self._unfinished.remove(unfinished)
            part = unfinished.put(self._folder, self._work)
            self._pieces.forget(part)
            self.done.append(part)
        self._n_bytes = sum(unfinished.n_bytes for unfinished in self._unfinished)


class _Unfinished:
    """A part that is not done: its spans are written in order, as far as their rows are decided."""

    def __init__(self, job: Job, pieces: Pieces, writer: PartWriter, start: int, *, whole_rows: bool) -> None:
        self.writer = writer
        self.is_read = False
        self.stop = start
        self._start = start
        self._spans: deque[Span] = deque()
        self._job = job
        self._pieces = pieces
        self._whole_rows = whole_rows
        self._digest = RowsDigest()
        self._failures = Counter[str]()
        self._thumbnails: dict[bytes, bytes] = {}

    @property
    def is_whole(self) -> bool:
        return self.is_read and not self._spans

    @property
    def n_bytes(self) -> int:
        n_bytes: int = sum(span.table.nbytes for span in self._spans)
        return n_bytes + self.writer.n_pending_bytes

    def add(self, span: Span) -> None:
        self._spans.append(span)
        self.stop = span.row + span.table.num_rows

    def write_decided(self) -> None:
        while self._spans and self._spans[0].is_done:
            self._write(self._spans.popleft())

    def put(self, folder: OwnFolder, work: WorkFolder) -> Part:
        """Let the part appear."""
        part = Part(self._start, self.stop, self._digest.hexdigest(), self._failures)
        keep_thumbnails(self._job, work, part, self._thumbnails)
        self.writer.put(folder, part, self._job.facts)
        return part

    def _write(self, span: Span) -> None:
        places = range(span.table.num_rows)
        rows = [span.rows[index] or self._pieces.row(span.row + index) for index in places]
        results = result_table(rows, self._job.results)
        source = open_frame(span.table)
        self.writer.write(source.with_results(results, dropped=self._job.dropped) if self._whole_rows else results)
        self._digest.add(span.table)
        self._failures.update(row.error for row in rows if row.error)
        self._thumbnails.update(thumbnails_of(rows))


_Place: TypeAlias = tuple[_Unfinished, Span, int]
"""The part, the span and the row in it that a cell belongs to."""
