"""Cells to rows, bounded: how the stages are joined.

`_Call.embed` takes one cell to its row: fetch -> decode -> crop -> model -> row. Each cell is a coroutine of the
session's event loop, so every row goes as fast as it can; what waits for a slow neighbour is a vector or a reason. Rows
are handed out as they are done, in `embed_unordered`; `embed_cells` restores their order. Stages raise; here, and only
here, a row's error becomes data. Whatever else is raised is a bug, and ends the call.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Self

from pixvec.concurrency.event_loop import Tasks
from pixvec.concurrency.single_flight import Memory
from pixvec.errors import ImageError, PixvecError, RowError
from pixvec.fetch import Backlog, Caller, Fetched, Source, redacted
from pixvec.model import ClipModel
from pixvec.pipeline.image_reader import Decoded
from pixvec.pipeline.report import OnProgress, Report
from pixvec.pipeline.session import Outcome, Session, Stages
from pixvec.pipeline.settings import Settings
from pixvec.pipeline.window import WAITING_ROWS, InProgress, Window, name_bug, stage_of
from pixvec.values import ImageFacts, Row, Vector

_EAGER_ROWS, _BREATH_ROWS, _BREATH_S = 2_048, 64, 0.01
"""With this many rows not done, reading ahead pauses every so many rows, so that the loop gets to work on them."""
_AHEAD_ROWS, _AHEAD_BATCHES = 96, 3
"""How many rows fetching runs ahead of what the caller keeps, at least; a GPU's batches are larger than that."""
_LOGGER = logging.getLogger("pixvec")


def embed_cells(
    cells: Iterable[object],
    session: Session,
    report: Report,
    on_progress: OnProgress | None = None,
    *,
    keep_going: bool = False,
) -> Generator[Row, None, None]:
    """Take every cell to its row, and hand the rows out in the order of the cells; else as `embed_unordered`."""
    with closing(embed_unordered(cells, session, report, on_progress, keep_going=keep_going)) as decided:
        yield from in_order(decided)


def embed_alone(
    cells: Iterable[object], model: ClipModel, settings: Settings, report: Report, on_progress: OnProgress | None = None
) -> Generator[Row, None, None]:
    """Take every cell to its row, as `embed_cells` does, in a session of their own."""
    with Session(model, settings) as session:
        yield from embed_cells(cells, session, report, on_progress)


def in_order(decided: Iterable[tuple[int, Row]]) -> Iterator[Row]:
    """Hand rows out by their numbers, each as soon as all before it are there."""
    early: dict[int, Row] = {}
    n_out = 0
    for number, row in decided:
        early[number] = row
        while n_out in early:
            yield early.pop(n_out)
            n_out += 1


def embed_unordered(
    cells: Iterable[object],
    session: Session,
    report: Report,
    on_progress: OnProgress | None = None,
    *,
    keep_going: bool = False,
    is_full: Callable[[], bool] = lambda: False,
    n_unkept: Callable[[], int] | None = None,
) -> Generator[tuple[int, Row], None, None]:
    """Take every cell to its row, and hand the rows out as they are decided, each with its cell's number from 0.

    Closing the generator ends what is in progress.

    Parameters
    ----------
    cells
        URL texts, bytes of images, None; read in the caller's thread, at most `WAITING_ROWS` ahead of the first row
        that is not done.
    session
        What embeds, and how rows are decided.
    report
        Counts what happens, from another thread, while rows are waited for.
    on_progress
        Called with `report`, in the caller's thread, at each row and five times a second while one is waited for.
    keep_going
        Make a bug of ours its row's reason, ``internal_error``, and go on.
    is_full
        Tells that the caller has no room for more cells until a row in progress is decided.
    n_unkept
        Counts the rows that the caller was given and has not kept yet; None where it keeps none. Fetching runs ahead
        of what is kept by so many rows that the model never waits, and by no more, since a stop loses them.

    Raises
    ------
    Exception
        A bug of ours, in its turn: after all rows before it; with a note that names the row, its cell and the stage.
    """
    with _Call.begin(session, report, keep_going=keep_going, n_unkept=n_unkept) as call:
        window = Window(partial(on_progress, report) if on_progress else None)
        begun = _begin_each(cells, window, call.submit, n_decided=lambda: report.n_new)
        try:
            for _ in begun:
                while window.has_done or (window and (window.is_full or is_full())):
                    yield from call.hand_out(window.take())
            while window:
                yield from call.hand_out(window.take())
        except KeyboardInterrupt:
            yield from call.hand_out(window.drain())
            raise
    if on_progress:
        on_progress(report)


async def aembed_cells(cells: Iterable[object], session: Session, report: Report) -> AsyncGenerator[Row, None]:
    """Take every cell to its row, in the order of the cells, for a caller that has an event loop of its own."""
    await asyncio.to_thread(session.open)
    with _Call.begin(session, report) as call:
        begun: deque[tuple[int, object, Future[Row]]] = deque()
        for number, cell in enumerate(cells):
            begun.append((number, cell, call.submit(cell)))
            if len(begun) == WAITING_ROWS:
                yield await _done(*begun.popleft())
        while begun:
            yield await _done(*begun.popleft())


async def _done(number: int, cell: object, row: Future[Row]) -> Row:
    try:
        return await asyncio.wrap_future(row)
    except Exception as bug:
        name_bug(bug, _name(number, cell))
        raise


def _begin_each(
    cells: Iterable[object],
    window: Window,
    begin: Callable[[object], Future[Row]],
    *,
    n_decided: Callable[[], int],
) -> Iterator[None]:
    """Begin each cell's row in turn."""
    for number, cell in enumerate(cells):
        n_bytes = len(cell) if isinstance(cell, bytes | str) else 0
        text = cell if isinstance(cell, str) else type(cell)  # bytes would be held for too long
        window.add(InProgress(number, partial(_name, number, text), begin(cell), n_bytes=n_bytes))
        if number % _BREATH_ROWS == 0 and number - n_decided() > _EAGER_ROWS:
            window.wait(_BREATH_S)
        yield


class _Call:
    """One column on its way through the stages of a session."""

    def __init__(
        self,
        stages: Stages,
        tasks: Tasks,
        report: Report,
        *,
        keep_going: bool,
        n_unkept: Callable[[], int] | None,
        batch_size: int,
    ) -> None:
        self._stages = stages
        self._tasks = tasks
        self._report = report
        self._keep_going = keep_going
        self._n_decided = self._n_handed_out = 0
        self._n_unkept = n_unkept or int
        ahead = max(_AHEAD_ROWS, _AHEAD_BATCHES * batch_size) if n_unkept else math.inf
        self._backlog = Backlog(ahead, lambda: self._n_decided - self._n_handed_out + self._n_unkept())
        report.sandbox_lacks = stages.reader.sandbox_lacks
        self._urls: Memory[Source, Row] = Memory(WAITING_ROWS)
        self._images: Memory[bytes, Outcome] = Memory(WAITING_ROWS)
        self._caller = Caller(self._backlog, report.private_addresses, report.refused_addresses)

    @classmethod
    @contextmanager
    def begin(
        cls,
        session: Session,
        report: Report,
        *,
        keep_going: bool = False,
        n_unkept: Callable[[], int] | None = None,
    ) -> Iterator[Self]:
        """Begin a call; what is in progress at the end of the block is cancelled, and counted in the report."""
        with session.call() as (stages, tasks):
            batch_size = session.settings.batch_size
            call = cls(stages, tasks, report, keep_going=keep_going, n_unkept=n_unkept, batch_size=batch_size)
            try:
                yield call
            finally:
                report.n_in_progress = call._backlog.n_rows - call._n_unkept()

    def submit(self, cell: object) -> Future[Row]:
        """Begin the row of a cell."""
        return self._tasks.submit(self.embed, cell)

    def hand_out(self, decided: Iterable[tuple[int, Row]]) -> Generator[tuple[int, Row], None, None]:
        """Give the caller what is decided; what it keeps makes room for requests."""
        for numbered in decided:
            n_unkept = self._n_unkept()
            self._n_handed_out += 1
            yield numbered
            if self._n_unkept() < n_unkept:
                self._tasks.call(self._backlog.admit)

    async def embed(self, cell: object) -> Row:
        """Take one cell to its row."""
        host = None
        try:
            source = await self._stages.reader.source(cell)
            if isinstance(source, bytes):
                row = await self._embed_body(source)
            else:
                host = source.host
                make = partial(self._embed_source, source)
                row = await self._stages.urls.get(source, make, memory=self._urls)
        except RowError as error:
            row = _failed(error)
        except Exception as bug:
            if not self._keep_going or isinstance(bug, MemoryError | PixvecError):
                raise
            _LOGGER.warning("a bug, met at %s", _text(cell), exc_info=bug)
            row = Row(error="internal_error", detail=f"a bug of pixvec's: {type(bug).__name__} in {stage_of(bug)}")
        self._n_decided += 1
        self._report.count(row, host)
        self._report.n_repeats = self._urls.n_repeats + self._images.n_repeats
        return row

    async def _embed_source(self, source: Source) -> Row:
        with ExitStack() as until_decided:
            try:
                with self._stages.batcher.expecting():
                    known = await self._stages.cache.known_of(source)
                    unless = known.validators if known else None
                    async with self._stages.reader.fetch(source, unless=unless, caller=self._caller) as fetched:
                        until_decided.enter_context(self._backlog.fetched())
                        if known and fetched.is_unchanged:
                            outcome = self._recalled(known.row)
                        else:
                            outcome = await self._fetched(source, fetched)
            except RowError as error:
                return _failed(error)
            return await outcome.at(fetched.final_url)

    async def _fetched(self, source: Source, fetched: Fetched) -> Outcome:
        self._report.n_bytes += len(fetched.body)
        sha256 = hashlib.sha256(fetched.body).digest()
        self._stages.cache.keep_source(source, sha256, fetched.validators)
        return await self._image(fetched, sha256)

    async def _embed_body(self, body: bytes) -> Row:
        with self._stages.batcher.expecting():
            outcome = await self._image(Fetched(body, None), hashlib.sha256(body).digest())
        return await outcome.at(None)

    async def _image(self, fetched: Fetched, sha256: bytes) -> Outcome:
        """Decode a body, unless the same bytes came before; when this returns, the body is no longer needed."""
        make = partial(self._recall_or_decode, fetched, sha256)
        return await self._stages.images.get(sha256, make, memory=self._images)

    async def _recall_or_decode(self, fetched: Fetched, sha256: bytes) -> Outcome:
        row = await self._stages.cache.row_of(sha256)
        return self._recalled(row) if row else await self._decode(fetched, sha256)

    def _recalled(self, row: Row) -> Outcome:
        self._report.n_cached += 1
        return Outcome(row)

    async def _decode(self, fetched: Fetched, sha256: bytes) -> Outcome:
        try:
            async with self._stages.reader.decode(fetched, sha256) as decoded:
                return await self._embed_image(decoded)
        except ImageError as error:
            failed = _failed(error)  # as data, since an error would keep the bytes alive
            self._stages.cache.keep_row(sha256, failed)
            return Outcome(failed)

    async def _embed_image(self, decoded: Decoded) -> Outcome:
        self._report.decode_busy += decoded.seconds / self._stages.reader.n_threads
        vector = await self._stages.batcher.put(decoded.crop, self._report.count_model_time)
        vector.add_done_callback(partial(self._keep, decoded.facts))
        return Outcome(Row(image=decoded.facts), vector)

    def _keep(self, facts: ImageFacts, vector: asyncio.Future[Vector]) -> None:
        if not vector.cancelled() and vector.exception() is None:
            self._stages.cache.keep_row(facts.sha256, Row(vector=vector.result(), image=facts))


def _name(number: int, cell: object) -> str:
    return f"row {number} (counted from 0), {_text(cell)}"


def _text(cell: object) -> str:
    if isinstance(cell, type):
        return cell.__name__
    return redacted(cell) if isinstance(cell, str) else type(cell).__name__


def _failed(error: RowError) -> Row:
    return Row(error=error.code, detail=error.detail)
