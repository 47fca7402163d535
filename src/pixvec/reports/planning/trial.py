"""A sample of cells -> what each came to, and how long each stage took on this machine.

The stages are those of a run, with its guard, limits and retries; they work one after the other, so that each is
measured alone. No more is asked of a host at once than a run asks of one that it does not know yet.
"""

from __future__ import annotations

import asyncio
import io
import math
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from PIL import Image

from pixvec.concurrency.event_loop import LoopThread
from pixvec.errors import RowError
from pixvec.fetch import Fetched
from pixvec.model import ClipModel
from pixvec.pipeline.image_reader import Decoded, ImageReader
from pixvec.pipeline.session import image_reader
from pixvec.pipeline.settings import Settings
from pixvec.reports.planning.survey import Sampled
from pixvec.values import ImageFacts

_MODEL_S: Final = 0.5
"""The model is run for at least so long."""
_MAX_CONNECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Try:
    """What a cell of the sample came to.

    Parameters
    ----------
    code
        Why there would be no vector; None where there would be one.
    fetch_s
        Seconds until the body was there, or it was clear that it would not be; retries included.
    n_bytes
        Of the body; 0 where there is none.
    decode_s, image
        Of an image that was decoded; None otherwise.
    """

    sampled: Sampled
    code: str | None
    fetch_s: float
    n_bytes: int = 0
    decode_s: float | None = None
    image: ImageFacts | None = None


@dataclass(frozen=True, slots=True)
class ModelPace:
    """How fast the model embeds, and how long it takes to be ready."""

    images_per_second: float
    start_s: float


@dataclass(frozen=True, slots=True)
class Trial:
    """What the whole sample came to.

    Parameters
    ----------
    url_cpu_s
        What this process, which works on one core at a time, spends on each URL; decoding and the model are not in it.
    per_second
        How many requests in a second those hosts bear that refused some because there were too many.
    """

    tries: tuple[Try, ...]
    fetching_s: float
    url_cpu_s: float
    n_decode_threads: int
    per_second: Mapping[str | None, float] = field(default_factory=dict)


def try_sample(sample: Iterable[Sampled], model: ClipModel, settings: Settings) -> Trial:
    """Fetch and decode a sample."""
    reader = image_reader(model, settings)
    trying = _Trying(reader, settings)
    with LoopThread(reader.open()) as loop, loop.tasks() as tasks:
        tasks.submit(trying.start_workers).result()
        started, cpu_started = time.monotonic(), time.process_time()
        in_progress = [tasks.submit(trying.take, sampled) for sampled in sample]
        tries = tuple(result.result() for result in in_progress)
        cpu_s = time.process_time() - cpu_started
        if settings.isolate == "never":
            cpu_s = max(0.0, cpu_s - sum(one.decode_s or 0 for one in tries))
        fetching_s = time.monotonic() - started
        return Trial(tries, fetching_s, cpu_s / max(len(tries), 1), reader.n_threads, trying.per_second(tries))


def measure_model(settings: Settings) -> tuple[ClipModel, ModelPace]:
    """Load the model and run it on full batches; what an image shows makes no difference to its time."""
    started = time.monotonic()
    model = ClipModel.load(settings)
    crops = np.zeros((settings.batch_size, model.image_size, model.image_size, 3), np.uint8)
    model.embed_crops(crops)  # compiles it
    start_s, n_images, started = time.monotonic() - started, 0, time.monotonic()
    while (seconds := time.monotonic() - started) < _MODEL_S:
        model.embed_crops(crops)
        n_images += len(crops)
    return model, ModelPace(n_images / seconds, start_s)


class _Trying:
    """Takes cells of a sample to their crops."""

    def __init__(self, reader: ImageReader, settings: Settings) -> None:
        self._reader = reader
        self._requests = asyncio.Semaphore(min(_MAX_CONNECTIONS, settings.connections))
        at_a_host = settings.first_connections_per_host
        self._requests_to: defaultdict[str | None, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(at_a_host)
        )

    async def start_workers(self) -> None:
        """Let every worker decode a first image: what that costs more, a run pays once."""
        file = io.BytesIO()
        Image.new("RGB", (64, 64)).save(file, "PNG")
        await asyncio.gather(*(self._decode(Fetched(file.getvalue(), None)) for _ in range(self._reader.n_threads)))

    async def take(self, sampled: Sampled) -> Try:
        """Take one cell to its crop."""
        async with self._requests_to[sampled.host], self._requests:
            started, fetch_s, n_bytes = time.monotonic(), None, 0
            try:
                async with self._reader.fetch(await self._reader.source(sampled.cell)) as fetched:
                    fetch_s, n_bytes = time.monotonic() - started, len(fetched.body)
                    decoded = await self._decode(fetched)
            except RowError as error:
                return Try(sampled, error.code, time.monotonic() - started if fetch_s is None else fetch_s, n_bytes)
            return Try(sampled, None, fetch_s, n_bytes, decoded.seconds, decoded.facts)

    def per_second(self, tries: Iterable[Try]) -> dict[str | None, float]:
        """Return what the hosts of these tries bear, where they have shown it."""
        found = {one.sampled.host: self._reader.per_second(one.sampled.cell) for one in tries}
        return {host: per_second for host, per_second in found.items() if per_second < math.inf}

    async def _decode(self, fetched: Fetched) -> Decoded:
        async with self._reader.decode(fetched) as decoded:
            return decoded
