"""Cells to rows, bounded: the only file that joins the stages.

`_Road.embed` takes one cell to its row: fetch -> decode -> crop -> model -> row. Each cell's road is a coroutine of one
event loop, so every row goes as fast as it can; what waits for a slow neighbour is a vector or a reason. Rows are
handed out as they are decided, in `embed_unordered`; `embed_cells` restores their order. Stages raise; here, and only
here, a row's error becomes data. Whatever else is raised is a bug, and ends the call.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Self

from pixvec.batcher import Batcher
from pixvec.cache import RowCache
from pixvec.cores import n_cores
from pixvec.errors import FetchError, ImageError, PixvecError, RowError
from pixvec.fair_budget import Claim, FairBudget
from pixvec.fetch import Backlog, Fetched, Fetcher, Place, is_data_url, read_data_url, redacted
from pixvec.isolation import CropMaker, KeptWorkers
from pixvec.loop_thread import LoopThread
from pixvec.model import ClipModel
from pixvec.preprocess import min_side
from pixvec.provenance import made_with
from pixvec.report import OnProgress, Report
from pixvec.settings import Settings, resolve_decode
from pixvec.single_flight import SingleFlight
from pixvec.threads import Threads
from pixvec.values import ImageFacts, Row, Vector
from pixvec.window import WAITING_ROWS, UnderWay, Window, stage_of

_EAGER_ROWS, _BREATH_ROWS, _BREATH_S = 2_048, 64, 0.01
"""With this many rows undecided, reading ahead pauses every so many rows, so that the loop gets to work on them."""
_AHEAD_ROWS, _AHEAD_BATCHES = 96, 3
"""How many rows fetching runs ahead of what the caller keeps, at least; a GPU's batches are larger than that."""
_LOGGER = logging.getLogger("pixvec")


def embed_cells(
    cells: Iterable[object],
    model: ClipModel,
    settings: Settings,
    report: Report,
    on_progress: OnProgress | None = None,
    *,
    keep_going: bool = False,
    kept: KeptWorkers | None = None,
) -> Generator[Row, None, None]:
    """Take every cell to its row, and hand the rows out in the order of the cells; else as `embed_unordered`."""
    with closing(
        embed_unordered(cells, model, settings, report, on_progress, keep_going=keep_going, kept=kept)
    ) as decided:
        yield from in_order(decided)


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
    model: ClipModel,
    settings: Settings,
    report: Report,
    on_progress: OnProgress | None = None,
    *,
    keep_going: bool = False,
    is_full: Callable[[], bool] = lambda: False,
    n_unkept: Callable[[], int] | None = None,
    kept: KeptWorkers | None = None,
    thumbnails: int | None = None,
) -> Generator[tuple[int, Row], None, None]:
    """Take every cell to its row, and hand the rows out as they are decided, each with its cell's number from 0.

    Closing the generator ends what is under way.

    Parameters
    ----------
    cells
        URL texts, bytes of pictures, None; read in the caller's thread, at most `WAITING_ROWS` ahead of the first row
        that is undecided.
    model, settings
        What embeds, and how rows are decided.
    report
        Counts what happens, from another thread, while rows are waited for.
    on_progress
        Called with `report`, in the caller's thread, at each row and five times a second while one is waited for.
    keep_going
        Make a bug of ours its row's reason, ``internal_error``, and go on.
    is_full
        Tells that the caller has no room for more cells until a row under way is decided.
    n_unkept
        Counts the rows that the caller was given and has not kept yet; None where it keeps none. Fetching runs ahead
        of what is kept by so many rows that the model never waits, and by no more, since a stop loses them.
    kept
        Decode workers that outlive the call, of the same model and settings; None ends them with it.
    thumbnails
        The longer side, in pixels, of the thumbnails that rows bring with their images; None makes none.

    Raises
    ------
    Exception
        A bug of ours, in its turn: after all rows before it; with a note that names the row, its cell and the stage.
    """
    road = _Road(model, settings, report, keep_going=keep_going, n_unkept=n_unkept, kept=kept, thumbnails=thumbnails)
    with LoopThread(road.open()) as loop, road.counting_what_is_lost():
        window = Window(partial(on_progress, report) if on_progress else None)
        begun = _begin_each(cells, window, lambda cell: loop.submit(road.embed, cell), n_decided=lambda: report.n_new)
        try:
            for _ in begun:
                while window.has_decided or (window and (window.is_full or is_full())):
                    yield from road.hand_out(window.take(), loop)
            while window:
                yield from road.hand_out(window.take(), loop)
        except KeyboardInterrupt:
            yield from road.hand_out(window.drain(), loop)
            raise
    if on_progress:
        on_progress(report)


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
        text = cell if isinstance(cell, str) else type(cell).__name__  # bytes would be held for too long
        window.add(UnderWay(number, partial(_name, number, text), begin(cell), n_bytes=n_bytes))
        if number % _BREATH_ROWS == 0 and number - n_decided() > _EAGER_ROWS:
            window.wait(_BREATH_S)
        yield


class _Road:
    """The road of one cell, and what the cells of a call share on it."""

    def __init__(
        self,
        model: ClipModel,
        settings: Settings,
        report: Report,
        *,
        keep_going: bool,
        n_unkept: Callable[[], int] | None,
        kept: KeptWorkers | None,
        thumbnails: int | None,
    ) -> None:
        processor = model.checkpoint.processor
        is_scaled = resolve_decode(settings, model.precision) == "scaled"
        self._report = report
        self._keep_going = keep_going
        self._n_decided = self._n_handed_out = 0
        self._n_unkept = n_unkept or int
        ahead = max(_AHEAD_ROWS, _AHEAD_BATCHES * settings.batch_size) if n_unkept else math.inf
        self._backlog = Backlog(ahead, lambda: self._n_decided - self._n_handed_out + self._n_unkept())
        self._fetcher = Fetcher(settings, backlog=self._backlog)
        report.private_addresses = self._fetcher.private_addresses
        report.refused_addresses = self._fetcher.refused_addresses
        self._crops = CropMaker(
            settings,
            processor,
            min_side=min_side(processor) if is_scaled else None,
            thumbnail=thumbnails,
            kept=kept,
        )
        report.sandbox_lacks = self._crops.lacks
        self._batcher = Batcher(model, settings.batch_size)
        self._threads = Threads(n_cores(), "decode")
        # One body more than threads, so that no thread waits for work; this also bounds the crops that wait.
        self._decode_slots = FairBudget(self._threads.n + 1)
        self._read_data_url = partial(read_data_url, max_bytes=settings.max_bytes) if settings.data_urls else None
        self._cache = RowCache(
            settings,
            made_with=partial(made_with, model, settings),
            asked_with=(settings.user_agent or "", *settings.header),
            dim=model.dim,
            thumbnails=thumbnails,
        )
        self._urls: SingleFlight[Place, Row] = SingleFlight(WAITING_ROWS)
        self._pictures: SingleFlight[bytes, _Picture | _Decided] = SingleFlight(WAITING_ROWS)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Keep the road open; what it holds ends with the block."""
        async with self._fetcher, self._cache, self._decoding(), asyncio.TaskGroup() as tasks:
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

    def hand_out(
        self, decided: Iterable[tuple[int, Row]], loop: LoopThread[Self]
    ) -> Generator[tuple[int, Row], None, None]:
        """Give the caller what is decided; what it keeps makes room for requests."""
        for numbered in decided:
            n_unkept = self._n_unkept()
            self._n_handed_out += 1
            yield numbered
            if self._n_unkept() < n_unkept:
                loop.call(self._backlog.admit)

    @contextmanager
    def counting_what_is_lost(self) -> Iterator[None]:
        """Count, at the end, what was asked for in vain."""
        try:
            yield
        finally:
            self._report.n_under_way = self._backlog.n_rows - self._n_unkept()

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
                case RowError():  # met where the cell was read
                    row = _failed(cell)
                case _:
                    row = _failed(_no_url(cell))
        except RowError as error:
            row = _failed(error)
        except Exception as bug:
            if not self._keep_going or isinstance(bug, MemoryError | PixvecError):
                raise
            _LOGGER.warning("a bug, met at %s", _redacted(cell), exc_info=bug)
            row = Row(error="internal_error", detail=f"a bug of pixvec's: {type(bug).__name__} in {stage_of(bug)}")
        self._n_decided += 1
        self._report.count(row, host)
        self._report.n_repeats = self._urls.n_repeats + self._pictures.n_repeats
        self._report.decode_busy, self._report.model_busy = self._threads.busy_s, self._batcher.threads.busy_s
        return row

    async def _embed_source(self, source: Place) -> Row:
        with ExitStack() as until_decided:
            try:
                with self._batcher.expecting():
                    known = await self._cache.known_of(source)
                    async with self._fetcher.fetch(source, unless=known.validators if known else None) as fetched:
                        until_decided.enter_context(self._backlog.fetched())
                        if known and fetched.is_unchanged:
                            outcome: _Picture | _Decided = self._recalled(known.row)
                        else:
                            outcome = await self._fetched(source, fetched)
            except RowError as error:
                return _failed(error)
            return await outcome.row(fetched.final_url)

    async def _fetched(self, source: Place, fetched: Fetched) -> _Picture | _Decided:
        self._report.n_bytes += len(fetched.body)
        sha256 = hashlib.sha256(fetched.body).digest()
        self._cache.keep_source(source, sha256, fetched.validators)
        return await self._picture(fetched.body, sha256, fetched.claim)

    async def _embed_body(self, body: bytes) -> Row:
        with self._batcher.expecting():
            outcome = await self._picture(body, hashlib.sha256(body).digest(), Claim())
        return await outcome.row()

    async def _picture(self, body: bytes, sha256: bytes, claim: Claim) -> _Picture | _Decided:
        """Decode a body, unless the same bytes came before; when this returns, the body is no longer needed."""
        return await self._pictures.get(sha256, partial(self._recall_or_decode, body, sha256, claim))

    async def _recall_or_decode(self, body: bytes, sha256: bytes, claim: Claim) -> _Picture | _Decided:
        row = await self._cache.row_of(sha256)
        return self._recalled(row) if row else await self._decode(body, sha256, claim)

    def _recalled(self, row: Row) -> _Decided:
        self._report.n_cached += 1
        return _Decided(row)

    async def _decode(self, body: bytes, sha256: bytes, claim: Claim) -> _Picture | _Decided:
        # A claim of its own: one that is dropped is a request, and that is over.
        claim = Claim(claim.where, claim.host)
        async with self._decode_slots.hold(claim):
            try:
                crop = partial(self._crops.crop, sha256=sha256, where=claim.where)
                pixels, facts = await self._threads.run(crop, body)
            except ImageError as error:
                failed = _failed(error)
                self._cache.keep_row(sha256, failed)
                return _Decided(failed)
            vector = await self._batcher.put(pixels)
        vector.add_done_callback(partial(self._keep, facts))
        return _Picture(facts, vector)

    def _keep(self, facts: ImageFacts, vector: asyncio.Future[Vector]) -> None:
        if not vector.cancelled() and vector.exception() is None:
            self._cache.keep_row(facts.sha256, Row(vector=vector.result(), image=facts))


@dataclass(frozen=True, slots=True)
class _Picture:
    """A decoded picture, and the vector that will come of its crop."""

    facts: ImageFacts
    vector: asyncio.Future[Vector]

    async def row(self, final_url: str | None = None) -> Row:
        return Row(vector=await self.vector, image=replace(self.facts, final_url=final_url))


@dataclass(frozen=True, slots=True)
class _Decided:
    """Bytes that are no picture, and why, or of which the cache knows what they are.

    Kept as data, since an error would keep the bytes alive.
    """

    decided: Row

    async def row(self, final_url: str | None = None) -> Row:
        image = self.decided.image
        return replace(self.decided, image=image and replace(image, final_url=final_url))


def _name(number: int, text: str) -> str:
    return f"row {number} (counted from 0), {redacted(text)}"


def _redacted(cell: object) -> str:
    return redacted(cell) if isinstance(cell, str) else type(cell).__name__


def _no_url(cell: object) -> FetchError:
    if cell is None or isinstance(cell, str):
        return FetchError("null_input", "the cell is empty")
    return FetchError("invalid_url", f"a cell of type {type(cell).__name__} holds no URL")


def _failed(error: RowError) -> Row:
    return Row(error=error.code, detail=error.detail)
