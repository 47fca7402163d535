"""A sample of cells -> what each came to, and how long each stage took on this machine.

The stages are those of a run, with its guard, limits and retries; they work one after the other, so that each is
measured alone. No more is asked of a host at once than a run asks of one that it does not know yet.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
from PIL import Image

from pixvec.cores import n_cores
from pixvec.errors import RowError
from pixvec.fetch import Fetcher
from pixvec.isolation import CropMaker
from pixvec.loop_thread import LoopThread
from pixvec.model import ClipModel
from pixvec.planning.survey import Sampled
from pixvec.preprocess import min_side
from pixvec.settings import Settings, resolve_decode
from pixvec.threads import Threads
from pixvec.values import Crop, ImageFacts

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
        Of a picture that was decoded; None otherwise.
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

    pictures_per_second: float
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
    with LoopThread(_Road(model, settings).open()) as loop:
        started, cpu_started = time.monotonic(), time.process_time()
        under_way = [loop.submit(loop.resource.take, sampled) for sampled in sample]
        tries = tuple(result.result() for result in under_way)
        cpu_s = time.process_time() - cpu_started
        if settings.isolate == "never":
            cpu_s = max(0.0, cpu_s - sum(one.decode_s or 0 for one in tries))
        fetching_s, road = time.monotonic() - started, loop.resource
        return Trial(tries, fetching_s, cpu_s / max(len(tries), 1), road.n_threads, road.per_second(tries))


def measure_model(settings: Settings) -> tuple[ClipModel, ModelPace]:
    """Load the model and run it on full batches; what a picture shows makes no difference to its time."""
    started = time.monotonic()
    model = ClipModel.load(settings)
    crops = np.zeros((settings.batch_size, model.image_size, model.image_size, 3), np.uint8)
    model.embed_crops(crops)  # compiles it
    start_s, n_pictures, started = time.monotonic() - started, 0, time.monotonic()
    while (seconds := time.monotonic() - started) < _MODEL_S:
        model.embed_crops(crops)
        n_pictures += len(crops)
    return model, ModelPace(n_pictures / seconds, start_s)


class _Road:
    """The road of one cell to its crop."""

    def __init__(self, model: ClipModel, settings: Settings) -> None:
        processor = model.checkpoint.processor
        is_scaled = resolve_decode(settings, model.precision) == "scaled"
        self.n_threads = n_cores()
        self._fetcher = Fetcher(settings)
        self._crops = CropMaker(settings, processor, min_side=min_side(processor) if is_scaled else None)
        self._threads = Threads(self.n_threads, "plan")
        self._turns = asyncio.Semaphore(min(_MAX_CONNECTIONS, settings.connections))
        at_a_host = settings.first_connections_per_host
        self._turns_at: defaultdict[str | None, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(at_a_host))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Self]:
        """Keep the road open; what it holds ends with the block."""
        async with self._fetcher:
            try:
                await self._start_workers()
                yield self
            finally:
                self._crops.close()
                self._threads.close()

    async def take(self, sampled: Sampled) -> Try:
        """Take one cell to its crop."""
        async with self._turns_at[sampled.host], self._turns:
            started, fetch_s, n_bytes = time.monotonic(), None, 0
            try:
                async with self._fetcher.fetch(self._fetcher.locate(sampled.cell)) as fetched:
                    fetch_s, n_bytes = time.monotonic() - started, len(fetched.body)
                    _, image, decode_s = await self._threads.run(self._crop, fetched.body)
            except RowError as error:
                return Try(sampled, error.code, time.monotonic() - started if fetch_s is None else fetch_s, n_bytes)
            return Try(sampled, None, fetch_s, n_bytes, decode_s, image)

    def per_second(self, tries: Iterable[Try]) -> dict[str | None, float]:
        """Return what the hosts of these tries bear, where they have shown it."""
        found = {one.sampled.host: self._fetcher.per_second(self._fetcher.locate(one.sampled.cell)) for one in tries}
        return {host: per_second for host, per_second in found.items() if per_second < math.inf}

    async def _start_workers(self) -> None:
        """Let every worker decode a first picture: what that costs more, a run pays once."""
        file = io.BytesIO()
        Image.new("RGB", (64, 64)).save(file, "PNG")
        await asyncio.gather(*(self._threads.run(self._crop, file.getvalue()) for _ in range(self.n_threads)))

    def _crop(self, body: bytes) -> tuple[Crop, ImageFacts, float]:
        started = time.monotonic()
        pixels, image = self._crops.crop(body, sha256=hashlib.sha256(body).digest())
        return pixels, image, time.monotonic() - started
