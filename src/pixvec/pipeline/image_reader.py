"""Cells of images -> their bytes -> their crops: one fetcher and one set of decode workers for all who read."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from typing import Self

from pixvec.concurrency.cpu import n_cores
from pixvec.concurrency.fair_budget import Claim, FairBudget
from pixvec.concurrency.threads import Threads
from pixvec.errors import FetchError, RowError
from pixvec.fetch import Caller, Fetched, Fetcher, Source, Validators, is_data_url, read_data_url
from pixvec.images.workers import CropMaker
from pixvec.model.checkpoint import ProcessorConfig
from pixvec.pipeline.settings import ImageOptions
from pixvec.values import Crop, ImageFacts


@dataclass(frozen=True, slots=True)
class Decoded:
    """An image that was decoded: its crop, (S, S, 3), the facts about it, and how long a thread worked for them."""

    crop: Crop
    facts: ImageFacts
    seconds: float


class ImageReader:
    """Reads images, within the limits that all its callers share; for one event loop, while `open`.

    Parameters
    ----------
    options
        What may be reached and decoded, and the limits.
    processor
        What a crop is.
    min_side
        As of `decode.OpenedImage`.
    thumbnail
        The longer side of the thumbnails that are made with crops; None makes none.
    """

    def __init__(
        self,
        options: ImageOptions,
        processor: ProcessorConfig,
        *,
        min_side: int | None = None,
        thumbnail: int | None = None,
    ) -> None:
        self._fetcher = Fetcher(options)
        self._crops = CropMaker(options, processor, min_side=min_side, thumbnail=thumbnail)
        self._threads = Threads(n_cores(), "decode")
        # One body more than threads, so that no thread waits for work; this also bounds the crops that wait.
        self._decode_slots = FairBudget(self._threads.n + 1)
        self._read_data_url = partial(read_data_url, max_bytes=options.max_bytes) if options.data_urls else None

    @property
    def n_threads(self) -> int:
        """How many images are decoded at once."""
        return self._threads.n

    @property
    def sandbox_lacks(self) -> set[str]:
        """The layers of the decode workers' sandbox that this system lacks; grows."""
        return self._crops.lacks

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Open connections and start a worker; at the end of the block, what is being decoded is given up."""
        async with self._fetcher:
            try:
                await self._threads.run(self._crops.start)
                yield self
            finally:
                self._crops.close()
                self._threads.close()

    async def source(self, cell: object) -> Source | bytes:
        """Find the source of a cell's image, which may be the bytes themselves.

        Raises
        ------
        RowError
            The cell holds no image, and no URL or path of one that may be read.
        """
        match cell:
            case str() if self._read_data_url and is_data_url(cell):
                return await self._threads.run(self._read_data_url, cell)
            case str() | PurePath() if str(cell).strip():
                return self._fetcher.locate(cell)
            case bytes():
                return cell
            case RowError():  # met where the cell was read
                raise cell
            case None | str():
                raise FetchError("null_input", "the cell is empty")
        raise FetchError("invalid_url", f"a cell of type {type(cell).__name__} holds no URL")

    @asynccontextmanager
    async def fetch(
        self, source: Source | bytes, *, unless: Validators | None = None, caller: Caller | None = None
    ) -> AsyncIterator[Fetched]:
        """Fetch the bytes of a source, as `Fetcher.fetch` does."""
        if isinstance(source, bytes):
            yield Fetched(source, None)
            return
        async with self._fetcher.fetch(source, unless=unless, caller=caller) as fetched:
            yield fetched

    @asynccontextmanager
    async def decode(self, fetched: Fetched, sha256: bytes | None = None) -> AsyncIterator[Decoded]:
        """Decode an image and crop it; no other takes its place among those that are decoded until the block ends.

        Parameters
        ----------
        fetched
            Its bytes.
        sha256
            The hash of the body, where it is known.

        Raises
        ------
        ImageError
            The bytes hold no image that can be decoded within the limits.
        """
        body, where, host = fetched.body, fetched.claim.where, fetched.claim.host
        # A claim of its own: one that is dropped is a request, and that is over.
        async with self._decode_slots.hold(Claim(where, host)):
            crop = partial(self._crops.crop, sha256=sha256 or hashlib.sha256(body).digest(), where=where)
            (pixels, facts), seconds = await self._threads.timed(crop, body)
            yield Decoded(pixels, facts, seconds)

    def per_second(self, cell: str) -> float:
        """Return how many requests the host of a URL has been found to bear in a second; infinite where unknown."""
        return self._fetcher.per_second(self._fetcher.locate(cell))
