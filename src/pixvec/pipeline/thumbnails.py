"""Cells of a column in, thumbnails out: fetched and decoded under the same guard as the images that are embedded.

A cell of which no image comes gives the reason instead.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from typing import Final

from pixvec.concurrency.event_loop import LoopThread
from pixvec.errors import ImageError, RowError
from pixvec.model.checkpoint import ProcessorConfig
from pixvec.pipeline.image_reader import ImageReader
from pixvec.pipeline.settings import ImageOptions

_LEAST_CROP: Final = ProcessorConfig(resize=16, center_crop=(16, 16))
_SIDE: Final = 256
"""Large enough to be looked at alone, which a click on it does."""
_N_WAITING: Final = 32
"""Images whose bytes are held or fetched at once."""


def fetch_thumbnails(cells: Sequence[object], options: ImageOptions) -> list[str | RowError]:
    """Make a thumbnail for each cell, a ``data:`` URL of the whole image, or say why there is none.

    Cells are URLs, paths, or the bytes of an image, a thumbnail's among them: whatever a table, or a file beside it,
    brings is decoded apart and written anew.
    """
    reader = ImageReader(options, _LEAST_CROP, min_side=_SIDE, thumbnail=_SIDE)
    waiting = asyncio.Semaphore(_N_WAITING)

    async def make(cell: object) -> str | RowError:
        try:
            async with waiting:
                return await _thumbnail(cell, reader)
        except RowError as error:
            return error

    with LoopThread(reader.open()) as loop, loop.tasks() as tasks:
        in_progress = [tasks.submit(make, cell) for cell in cells]
        return [thumbnail.result() for thumbnail in in_progress]


async def _thumbnail(cell: object, reader: ImageReader) -> str:
    async with reader.fetch(await reader.source(cell)) as fetched, reader.decode(fetched) as decoded:
        if decoded.facts.thumbnail is None:
            raise ImageError("decoder_crash", "there is not enough memory for a thumbnail")
        return data_url(decoded.facts.thumbnail)


def data_url(webp: bytes) -> str:
    """Write a WebP as a URL that holds it."""
    return "data:image/webp;base64," + base64.b64encode(webp).decode()
