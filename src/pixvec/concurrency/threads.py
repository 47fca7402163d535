"""Threads for work that would block an event loop; they end with their owner, who does not wait long for them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")

_GRACE_S = 1.0
"""How long the end waits for work that cannot be cut short. A thread that takes longer ends by itself."""


class Threads:
    """A few threads for one kind of work, for one event loop.

    Parameters
    ----------
    n
        How many.
    name
        What they are called: ``pixvec-NAME``.

    Attributes
    ----------
    stopping
        Set at the end, for work that looks whether it should stop.
    """

    def __init__(self, n: int, name: str) -> None:
        self.n = n
        self.stopping = threading.Event()
        self._pool = ThreadPoolExecutor(n, thread_name_prefix=f"pixvec-{name}")
        self._under_way: set[concurrent.futures.Future[Any]] = set()

    async def run(self, work: Callable[..., Result], *inputs: Any) -> Result:
        """Do a piece of work in a thread."""
        result, _ = await self.timed(work, *inputs)
        return result

    async def timed(self, work: Callable[..., Result], *inputs: Any) -> tuple[Result, float]:
        """Do a piece of work in a thread; and tell how many seconds it took."""
        done = self._pool.submit(_timed, work, inputs)
        self._under_way.add(done)
        done.add_done_callback(self._under_way.discard)
        return await asyncio.wrap_future(done)

    def close(self) -> None:
        """End the threads; what has not begun is dropped."""
        self.stopping.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        concurrent.futures.wait(list(self._under_way), timeout=_GRACE_S)
        if not self._under_way:
            self._pool.shutdown(wait=True)


def _timed(work: Callable[..., Result], inputs: tuple[Any, ...]) -> tuple[Result, float]:
    started = time.monotonic()
    return work(*inputs), time.monotonic() - started
