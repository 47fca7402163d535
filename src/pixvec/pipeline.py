"""Cells to rows, in order, bounded: the only file that joins the stages.

`_Road.embed` takes one cell to its row: fetch -> decode -> crop -> model -> row. Each cell's road is a coroutine of one
event loop, so every row goes as fast as it can; what waits for a slow neighbour is a vector or a reason. Order is
restored where rows are handed out, in `embed_cells`. Stages raise; here, and only here, a row's error becomes data.
Whatever else is raised is a bug, and ends the call.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import logging
import os
import traceback
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Self

from pixvec.batcher import Batcher
from pixvec.errors import FetchError, ImageError, RowError
from pixvec.fetch import URL, Fetcher, LocalFile, is_data_url, read_data_url, redacted
from pixvec.isolation import CropMaker
from pixvec.loop_thread import LoopThread
from pixvec.model import ClipModel
from pixvec.preprocess import min_side
from pixvec.report import OnProgress, Report
from pixvec.settings import Settings, resolve_decode
from pixvec.single_flight import SingleFlight
from pixvec.threads import Threads
from pixvec.values import ImageFacts, Row, Vector

WAITING_ROWS = 16_384
"""Rows under way at once: room enough that the model never waits for a slow neighbour. A decided row takes 2 KB."""
WAITING_CELL_BYTES = 64 << 20
"""Bytes of pictures that came as cells and are under way: they are at hand, so there is no reason to read far ahead."""
_EAGER_ROWS, _BREATH_ROWS, _BREATH_S = 2_048, 64, 0.01
"""With this many rows undecided, reading ahead pauses every so many rows, so that the loop gets to work on them."""
_TICK_S = 0.2
"""How often progress is told while a row is waited for."""
_LOGGER = logging.getLogger("pixvec")


def embed_cells(
    cells: Iterable[object],
    model: ClipModel,
    settings: Settings,
    report: Report,
    on_progress: OnProgress | None = None,
    *,
    keep_going: bool = False,
) -> Generator[Row, None, None]:
    """Take every cell to its row, and hand the rows out in the order of the cells.

    Closing the generator ends what is under way.

    Parameters
    ----------
    cells
        URL texts, bytes of pictures, None; read in the caller's thread, at most `WAITING_ROWS` ahead of the rows.
    model, settings
        What embeds, and how rows are decided.
    report
        Counts what happens, from another thread, while rows are waited for.
    on_progress
        Called with `report`, in the caller's thread, at each row and five times a second while one is waited for.
    keep_going
        Make a bug of ours its row's reason, ``internal_error``, and go on.

    Raises
    ------
    Exception
        A bug of ours, with a note that names the row, its cell and the stage.
    """
    with LoopThread(_Road(model, settings, report, keep_going=keep_going).open()) as loop:
        under_way: deque[_UnderWay] = deque()
        n_bytes = 0
        for number, cell in enumerate(cells):
            under_way.append(_UnderWay(number, cell, loop.submit(loop.resource.embed(cell))))
            n_bytes += under_way[-1].n_bytes
            if number % _BREATH_ROWS == 0 and number - report.n_new > _EAGER_ROWS:
                concurrent.futures.wait([under_way[0].row], timeout=_BREATH_S)
            while under_way and (
                under_way[0].row.done() or len(under_way) == WAITING_ROWS or n_bytes > WAITING_CELL_BYTES
            ):
                first = under_way.popleft()
                n_bytes -= first.n_bytes
                yield first.wait(report, on_progress)
        while under_way:
            yield under_way.popleft().wait(report, on_progress)
    if on_progress:
        on_progress(report)


class _UnderWay:
    """A cell on its road."""

    __slots__ = ("n_bytes", "name", "row")

    def __init__(self, number: int, cell: object, row: concurrent.futures.Future[Row]) -> None:
        self.name = f"row {number}, {_redacted(cell)}"
        self.n_bytes = len(cell) if isinstance(cell, bytes | str) else 0
        self.row = row

    def wait(self, report: Report, on_progress: OnProgress | None) -> Row:
        if on_progress:
            on_progress(report)
            while not concurrent.futures.wait([self.row], timeout=_TICK_S).done:
                on_progress(report)
        try:
            return self.row.result()
        except Exception as bug:
            bug.add_note(f"pixvec: this is a bug, met at {self.name}, in {_stage(bug)}")
            raise


class _Road:
    """The road of one cell, and what the cells of a call share on it."""

    def __init__(self, model: ClipModel, settings: Settings, report: Report, *, keep_going: bool) -> None:
        processor = model.checkpoint.processor
        is_scaled = resolve_decode(settings, model.precision) == "scaled"
        self._report = report
        self._keep_going = keep_going
        self._fetcher = Fetcher(settings)
        self._crops = CropMaker(settings, processor, min_side=min_side(processor) if is_scaled else None)
        self._batcher = Batcher(model, settings.batch_size)
        self._threads = Threads(_n_cores(), "decode")
        # One body more than threads, so that no thread waits for work; this also bounds the crops that wait.
        self._decode_slots = asyncio.Semaphore(self._threads.n + 1)
        self._read_data_url = partial(read_data_url, max_bytes=settings.max_bytes) if settings.data_urls else None
        self._urls: SingleFlight[URL | LocalFile, Row] = SingleFlight(WAITING_ROWS)
        self._pictures: SingleFlight[bytes, _Picture | _NoPicture] = SingleFlight(WAITING_ROWS)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Keep the road open; what it holds ends with the block."""
        async with self._fetcher, self._decoding(), asyncio.TaskGroup() as tasks:
            batches = tasks.create_task(self._batcher.run())
            yield self
            self._batcher.threads.close()
            batches.cancel()

    @asynccontextmanager
    async def _decoding(self) -> AsyncIterator[None]:
        """Hold what decodes; pictures under way are given up at the end."""
        try:
            await self._threads.run(self._crops.start)
            yield
        finally:
            self._crops.close()
            self._threads.close()

    async def embed(self, cell: object) -> Row:
        """Take one cell to its row."""
        host = None
        try:
            match cell:
                case str() if self._read_data_url and is_data_url(cell):
                    row = await self._embed_body(await self._threads.run(self._read_data_url, cell))
                case str() | PurePath() if str(cell).strip():
                    source = self._fetcher.locate(cell)
                    host = source.host
                    row = await self._urls.get(source, partial(self._embed_source, source))
                case bytes():
                    row = await self._embed_body(cell)
                case _:
                    row = _failed(_no_url(cell))
        except RowError as error:
            row = _failed(error)
        except Exception as bug:
            if not self._keep_going:
                raise
            _LOGGER.warning("a bug, met at %s", _redacted(cell), exc_info=bug)
            row = Row(error="internal_error", detail=f"a bug of pixvec's: {type(bug).__name__} in {_stage(bug)}")
        self._report.count(row, host)
        self._report.n_repeats = self._urls.n_repeats + self._pictures.n_repeats
        self._report.decode_busy, self._report.model_busy = self._threads.busy_s, self._batcher.threads.busy_s
        return row

    async def _embed_source(self, source: URL | LocalFile) -> Row:
        try:
            with self._batcher.expecting():
                async with self._fetcher.fetch(source) as fetched:
                    self._report.n_bytes += len(fetched.body)
                    outcome = await self._picture(fetched.body)
        except RowError as error:
            return _failed(error)
        return await outcome.row(fetched.final_url)

    async def _embed_body(self, body: bytes) -> Row:
        with self._batcher.expecting():
            outcome = await self._picture(body)
        return await outcome.row()

    async def _picture(self, body: bytes) -> _Picture | _NoPicture:
        """Decode a body, unless the same bytes came before; when this returns, the body is no longer needed."""
        sha256 = hashlib.sha256(body).digest()
        return await self._pictures.get(sha256, partial(self._decode, body, sha256))

    async def _decode(self, body: bytes, sha256: bytes) -> _Picture | _NoPicture:
        async with self._decode_slots:
            try:
                pixels, facts = await self._threads.run(partial(self._crops.crop, sha256=sha256), body)
            except ImageError as error:
                return _NoPicture(_failed(error))
            return _Picture(facts, await self._batcher.put(pixels))


@dataclass(frozen=True, slots=True)
class _Picture:
    """A decoded picture, and the vector that will come of its crop."""

    facts: ImageFacts
    vector: asyncio.Future[Vector]

    async def row(self, final_url: str | None = None) -> Row:
        return Row(vector=await self.vector, image=replace(self.facts, final_url=final_url))


@dataclass(frozen=True, slots=True)
class _NoPicture:
    """Bytes that are no picture, and why; kept as data, since an error would keep the bytes alive."""

    failed: Row

    async def row(self, final_url: str | None = None) -> Row:  # noqa: ARG002 (as a picture's)
        return self.failed


def _n_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _redacted(cell: object) -> str:
    return redacted(cell) if isinstance(cell, str) else type(cell).__name__


def _stage(bug: BaseException) -> str:
    """Name the module of ours that a bug was met in."""
    modules = (frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(bug.__traceback__))
    return next((name for name in reversed(list(modules)) if name.partition(".")[0] == "pixvec"), "pixvec")


def _no_url(cell: object) -> FetchError:
    if cell is None or isinstance(cell, str):
        return FetchError("null_input", "the cell is empty")
    return FetchError("invalid_url", f"a cell of type {type(cell).__name__} holds no URL")


def _failed(error: RowError) -> Row:
    return Row(error=error.code, detail=error.detail)
