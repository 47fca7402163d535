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
import os
from collections import deque
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Self

from pixvec.batcher import Batcher
from pixvec.decode import Decoder
from pixvec.errors import FetchError, ImageError, RowError
from pixvec.fetch import URL, Fetcher, parse
from pixvec.loop_thread import LoopThread
from pixvec.model import ClipModel
from pixvec.preprocess import crop, min_side
from pixvec.report import OnProgress, Report
from pixvec.settings import Settings, resolve_decode
from pixvec.single_flight import SingleFlight
from pixvec.threads import Threads
from pixvec.values import Crop, ImageFacts, Row, Vector

WAITING_ROWS = 16_384
"""Rows under way at once: room enough that the model never waits for a slow neighbour. A decided row takes 2 KB."""
WAITING_CELL_BYTES = 64 << 20
"""Bytes of pictures that came as cells and are under way: they are at hand, so there is no reason to read far ahead."""
_EAGER_ROWS, _BREATH_ROWS, _BREATH_S = 2_048, 64, 0.01
"""With this many rows undecided, reading ahead pauses every so many rows, so that the loop gets to work on them."""
_TICK_S = 0.2
"""How often progress is told while a row is waited for."""


def embed_cells(
    cells: Iterable[object], model: ClipModel, settings: Settings, report: Report, on_progress: OnProgress | None = None
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

    Raises
    ------
    Exception
        A bug of ours, with a note that names the row and its cell.
    """
    with LoopThread(_Road(model, settings, report).open()) as loop:
        under_way: deque[_UnderWay] = deque()
        n_bytes = 0
        for number, cell in enumerate(cells):
            under_way.append(_UnderWay(number, cell, loop.submit(loop.resource.embed(cell))))
            n_bytes += under_way[-1].n_bytes
            if number % _BREATH_ROWS == 0 and number - report.n_rows > _EAGER_ROWS:
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
        self.n_bytes = len(cell) if isinstance(cell, bytes) else 0
        self.row = row

    def wait(self, report: Report, on_progress: OnProgress | None) -> Row:
        if on_progress:
            on_progress(report)
            while not concurrent.futures.wait([self.row], timeout=_TICK_S).done:
                on_progress(report)
        try:
            return self.row.result()
        except Exception as bug:
            bug.add_note(f"pixvec: this is a bug, met at {self.name}")
            raise


class _Road:
    """The road of one cell, and what the cells of a call share on it."""

    def __init__(self, model: ClipModel, settings: Settings, report: Report) -> None:
        self._processor = model.checkpoint.processor
        is_scaled = resolve_decode(settings, model.precision) == "scaled"
        self._min_side = min_side(self._processor) if is_scaled else None
        self._report = report
        self._fetcher = Fetcher(settings)
        self._decoder = Decoder(settings)
        self._batcher = Batcher(model, settings.batch_size)
        self._threads = Threads(_n_cores(), "decode")
        # One body more than threads, so that no thread waits for work; this also bounds the crops that wait.
        self._decode_slots = asyncio.Semaphore(self._threads.n + 1)
        self._urls: SingleFlight[URL, Row] = SingleFlight(WAITING_ROWS)
        self._pictures: SingleFlight[bytes, _Picture | _NoPicture] = SingleFlight(WAITING_ROWS)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Keep the road open; what it holds ends with the block."""
        async with self._fetcher, asyncio.TaskGroup() as tasks:
            batches = tasks.create_task(self._batcher.run())
            yield self
            self._threads.close()
            self._batcher.threads.close()
            batches.cancel()

    async def embed(self, cell: object) -> Row:
        """Take one cell to its row."""
        host = None
        try:
            match cell:
                case str() if cell.strip():
                    url = parse(cell)
                    host = url.host
                    row = await self._urls.get(url, partial(self._embed_url, url))
                case bytes():
                    row = await self._embed_body(cell)
                case None | str():
                    raise FetchError("null_input", "the cell is empty")
                case _:
                    raise FetchError("invalid_url", f"a cell of type {type(cell).__name__} holds no URL")
        except RowError as error:
            row = _failed(error)
        self._report.count(row, host)
        self._report.n_repeats = self._urls.n_repeats + self._pictures.n_repeats
        self._report.decode_busy, self._report.model_busy = self._threads.busy_s, self._batcher.threads.busy_s
        return row

    async def _embed_url(self, url: URL) -> Row:
        try:
            with self._batcher.expecting():
                async with self._fetcher.fetch(url) as fetched:
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
                pixels, facts = await self._threads.run(self._read, body, sha256)
            except ImageError as error:
                return _NoPicture(_failed(error))
            return _Picture(facts, await self._batcher.put(pixels))

    def _read(self, body: bytes, sha256: bytes) -> tuple[Crop, ImageFacts]:
        """Bytes -> pixels -> crop, in a decode thread."""
        with self._decoder.decode(body, sha256=sha256, min_side=self._min_side) as decoded:
            return crop(decoded.image, self._processor, size=decoded.size, box=decoded.box), decoded.facts


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
    """Name a cell without what may be secret in it: query and user."""
    return str(cell).partition("?")[0].rpartition("@")[2][:200] if isinstance(cell, str) else type(cell).__name__


def _failed(error: RowError) -> Row:
    return Row(error=error.code, detail=error.detail)
