"""Crops one by one to vectors one by one, by way of the model's batches.

Batches are filled in order of arrival, in one event loop; the model runs in a thread of its own, so that the next
batch fills meanwhile. The queue is bounded: who brings a crop to a full queue waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np

from pixvec.concurrency.threads import Threads
from pixvec.model import ClipModel, NotFiniteError, finite_rows
from pixvec.values import Crop, Vector, Vectors

_LINGER_S = 0.5
"""How long the first crop of a part-filled batch waits for others while some are still expected."""
_QUEUED_BATCHES = 3

_Item: TypeAlias = tuple[Crop, asyncio.Future[Vector], Callable[[float], object]]


class Batcher:
    """Runs `model` over the crops that are put in; `run` must be running as a task of the same loop."""

    def __init__(self, model: ClipModel, batch_size: int) -> None:
        self.threads = Threads(1, "model")
        self._model = model
        self._batch_size = batch_size
        self._queue: asyncio.Queue[_Item | None] = asyncio.Queue(_QUEUED_BATCHES * batch_size)
        self._n_expected = 0

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """Announce that a crop may come, so that a batch is worth waiting for."""
        self._n_expected += 1
        try:
            yield
        finally:
            self._n_expected -= 1
            if self._is_idle():
                self._queue.put_nowait(None)  # wakes a batch that waits for more

    async def put(self, crop: Crop, on_computed: Callable[[float], object] = bool) -> asyncio.Future[Vector]:
        """Queue a crop, (S, S, 3), when there is room; its vector, (D,), comes with the future.

        Parameters
        ----------
        on_computed
            Called with the crop's share of the seconds that its batch took.
        """
        vector = asyncio.get_running_loop().create_future()
        await self._queue.put((crop, vector, on_computed))
        return vector

    async def run(self) -> None:
        """Embed what is put in, batch by batch, until cancelled."""
        while True:
            batch = await self._next_batch()
            try:
                vectors, seconds = await self.threads.timed(self._embed, [crop for crop, *_ in batch])
                pairs = list(zip(batch, vectors, strict=True))
            except Exception as bug:  # noqa: BLE001 (it surfaces where the vectors are waited for)
                for _, future, _ in batch:
                    future.set_exception(bug)
            else:
                for ((_, future, on_computed), vector), is_finite in zip(
                    pairs, finite_rows(vectors).tolist(), strict=True
                ):
                    on_computed(seconds / len(batch))
                    if is_finite:
                        future.set_result(vector.copy())  # a view would keep the whole batch alive
                    else:
                        future.set_exception(NotFiniteError())

    async def _next_batch(self) -> list[_Item]:
        batch: list[_Item] = []
        deadline = None
        while len(batch) < self._batch_size and not (batch and self._is_idle()):
            try:
                async with asyncio.timeout_at(deadline):
                    item = await self._queue.get()
            except TimeoutError:
                break
            if item is not None:
                deadline = deadline or asyncio.get_running_loop().time() + _LINGER_S
                batch.append(item)
        return batch

    def _is_idle(self) -> bool:
        return not self._n_expected and self._queue.empty()

    def _embed(self, crops: list[Crop]) -> Vectors:
        return self._model.embed_crops(np.stack(crops), stop=self.threads.stopping)
