"""What calls share, opened once: the fetcher and what it knows of hosts, decode workers, batches, cache, event loop.

All limits hold for all calls of a session together, batches fill across them, and what several want at once is made
once.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Self

from pixvec.concurrency.event_loop import LoopThread, Tasks
from pixvec.concurrency.forks import keep_in_children
from pixvec.concurrency.single_flight import SingleFlight
from pixvec.errors import UsageError
from pixvec.fetch import Source
from pixvec.images.preprocess import min_side
from pixvec.model import ClipModel
from pixvec.pipeline.batcher import Batcher
from pixvec.pipeline.cache import RowCache
from pixvec.pipeline.image_reader import ImageReader
from pixvec.pipeline.provenance import made_with
from pixvec.pipeline.settings import Settings, resolve_decode
from pixvec.values import Row, Vector

CLOSED: Final = "the Embedder is closed: make another one"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the bytes of an image come to.

    Parameters
    ----------
    row
        The row, but for what its URL adds.
    vector
        Its vector, while that is being computed; None where the row has its vector, or will have none.
    """

    row: Row
    vector: asyncio.Future[Vector] | None = None

    async def at(self, final_url: str | None) -> Row:
        """Return the row of a URL, or of bytes."""
        image = self.row.image and replace(self.row.image, final_url=final_url)
        if self.vector is None:
            return replace(self.row, image=image)
        # Shielded: others may wait for the same vector.
        return replace(self.row, image=image, vector=await asyncio.shield(self.vector))


class Stages:
    """The stages of a session, open in its event loop.

    Attributes
    ----------
    reader, batcher, cache
        Fetch and decode; embed; remember.
    urls, images
        The sources that are being embedded, and the bytes, by their hashes, that are being decoded.
    """

    def __init__(self, model: ClipModel, settings: Settings, thumbnails: int | None) -> None:
        self.reader = image_reader(model, settings, thumbnails=thumbnails)
        self.batcher = Batcher(model, settings.batch_size)
        self.cache = RowCache(
            settings,
            made_with=partial(made_with, model, settings),
            asked_with=(settings.user_agent or "", *settings.header),
            dim=model.dim,
            thumbnails=thumbnails,
        )
        self.urls: SingleFlight[Source, Row] = SingleFlight()
        self.images: SingleFlight[bytes, Outcome] = SingleFlight()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Open the stages until the end of the block."""
        async with self.cache, self.reader.open(), asyncio.TaskGroup() as tasks:
            batches = tasks.create_task(self.batcher.run())
            yield self
            self.batcher.threads.close()
            batches.cancel()


def image_reader(model: ClipModel, settings: Settings, *, thumbnails: int | None = None) -> ImageReader:
    """Make what reads images as a model takes them."""
    processor = model.checkpoint.processor
    is_scaled = resolve_decode(settings, model.precision) == "scaled"
    return ImageReader(settings, processor, min_side=min_side(processor) if is_scaled else None, thumbnail=thumbnails)


class Session:
    """Stages in an event loop of their own, for calls from any thread; opened by the first call.

    The last call ends after `close` like any other, and the stages with it. They end too when nobody holds the session
    any more, and at the exit of the program.

    Parameters
    ----------
    model, settings
        What embeds, and how rows come about.
    thumbnails
        The longer side, in pixels, of the thumbnails that rows bring with their images; None makes none.
    """

    def __init__(self, model: ClipModel, settings: Settings, *, thumbnails: int | None = None) -> None:
        self.model = model
        self.settings = settings
        self._thumbnails = thumbnails
        self._lock = threading.Lock()
        self._loop: LoopThread[Stages] | None = None
        self._n_calls = 0
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextmanager
    def call(self) -> Iterator[tuple[Stages, Tasks]]:
        """Give a call the stages, and tasks of its own, which end with the block.

        Raises
        ------
        UsageError
            After `close`.
        """
        with self._lock:
            if self._is_closed:
                raise UsageError(CLOSED)
            self._n_calls += 1
        try:
            loop = self.open()
            with loop.tasks() as tasks:
                yield loop.resource, tasks
        finally:
            self._leave()

    def open(self) -> LoopThread[Stages]:
        """Open the stages, where no call has."""
        with self._lock:
            if self._loop is None:
                loop = LoopThread(Stages(self.model, self.settings, self._thumbnails).open())
                loop.start()
                self._loop, self._end = loop, weakref.finalize(self, loop.close)
            return self._loop

    def close(self) -> None:
        """Take no more calls; the stages end now, or with the last call that is in progress."""
        with self._lock:
            self._is_closed = True
        self._end_if_unused()

    def forget(self) -> None:
        """Drop what belongs to the parent of a forked process, without ending it."""
        if self._loop:
            self._end.detach()
            self._loop.forget()
            keep_in_children(self._loop)

    def _leave(self) -> None:
        with self._lock:
            self._n_calls -= 1
        self._end_if_unused()

    def _end_if_unused(self) -> None:
        with self._lock:
            is_unused = self._is_closed and not self._n_calls and self._loop is not None
        if is_unused:
            self._end()
