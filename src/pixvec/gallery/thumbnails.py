"""Cells of a column in, thumbnails out: fetched and decoded under the same guard as the pictures that are embedded.

A cell of which no picture comes gives the reason instead. It must not know what is shown.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import Final, Self

from pixvec.checkpoint import ProcessorConfig
from pixvec.decode import DecodeOptions
from pixvec.errors import FetchError, ImageError, RowError
from pixvec.fetch import Fetcher, FetchOptions
from pixvec.gallery import THUMBNAIL_SIDE, data_url
from pixvec.isolation import CropMaker
from pixvec.loop_thread import LoopThread
from pixvec.threads import Threads

_N_THREADS: Final = 2
_LEAST_CROP: Final = ProcessorConfig(resize=16, center_crop=(16, 16))
_N_WAITING: Final = 32
"""Pictures whose bytes are held or fetched at once."""


@dataclass(frozen=True, kw_only=True)
class PictureOptions(FetchOptions, DecodeOptions):
    """How pictures are fetched and decoded.

    Raises
    ------
    UsageError
        For a value that an option cannot take.
    """


def fetch_thumbnails(cells: Sequence[object], options: PictureOptions) -> list[str | RowError]:
    """Make a thumbnail for each cell, a ``data:`` URL of the whole image, or say why there is none.

    Cells are URLs, paths, or the bytes of an image, a thumbnail's among them: whatever a table, or a file beside it,
    brings is decoded apart and written anew.
    """
    with LoopThread(_Road(options).open()) as loop:
        under_way = [loop.submit(loop.resource.thumbnail, cell) for cell in cells]
        return [thumbnail.result() for thumbnail in under_way]


class _Road:
    """The road of one cell to its thumbnail, and what the cells of a call share on it."""

    def __init__(self, options: PictureOptions) -> None:
        self._fetcher = Fetcher(options)
        self._crops = CropMaker(options, _LEAST_CROP, min_side=THUMBNAIL_SIDE, thumbnail=THUMBNAIL_SIDE)
        self._threads = Threads(_N_THREADS, "thumbnails")
        self._slots = asyncio.Semaphore(_N_WAITING)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Keep the road open; what it holds ends with the block."""
        async with self._fetcher:
            try:
                await self._threads.run(self._crops.start)
                yield self
            finally:
                self._crops.close()
                self._threads.close()

    async def thumbnail(self, cell: object) -> str | RowError:
        """Take one cell to its thumbnail."""
        try:
            async with self._slots:
                match cell:
                    case str() | PurePath() if str(cell).strip():
                        async with self._fetcher.fetch(self._fetcher.locate(cell)) as fetched:
                            return await self._threads.run(self._make, fetched.body)
                    case bytes():
                        return await self._threads.run(self._make, cell)
                    case RowError():  # met where the cell was read
                        return cell
                    case _:
                        return FetchError("null_input", "the cell is empty")
        except RowError as error:
            return error

    def _make(self, body: bytes) -> str:
        _, image = self._crops.crop(body, sha256=hashlib.sha256(body).digest())
        if image.thumbnail is None:
            raise ImageError("decoder_crash", "there is not enough memory for a thumbnail")
        return data_url(image.thumbnail)
