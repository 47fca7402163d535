"""An event loop in a thread of its own, so that synchronous callers can drive coroutines from anywhere.

A notebook's running loop, a script without a main guard and a thread are all the same to it. The thread, its tasks
and what they hold end with the ``with`` block, also when the block ends with an error or an interrupt.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import gc
import threading
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final, Generic, ParamSpec, Self, TypeVar

Resource = TypeVar("Resource")
Result = TypeVar("Result")
Arguments = ParamSpec("Arguments")

_START_S: Final = 1.0
"""How long a thread that was asked for may take to begin; one that begins later ends at once."""


class LoopThread(Generic[Resource]):
    """Holds an async resource open in a loop of its own, as `resource`, and runs coroutines beside it.

    Parameters
    ----------
    manager
        Entered in the thread before the block begins, left in the thread after all coroutines have been cancelled.
    """

    resource: Resource

    def __init__(self, manager: AbstractAsyncContextManager[Resource]) -> None:
        self._manager = manager
        self._loop: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._closing = asyncio.Event()
        self._ready: concurrent.futures.Future[Resource] = concurrent.futures.Future()
        self._error: BaseException | None = None
        self._waiting: deque[tuple[Callable[[], Coroutine[Any, Any, Any]], concurrent.futures.Future[Any]]] = deque()
        self._is_woken = self._is_stopped = False
        self._thread = threading.Thread(target=self._run, name="pixvec-loop")

    def __enter__(self) -> Self:
        try:
            self._thread.start()  # an interrupt that comes meanwhile must find whoever ends the thread
            self.resource = self._ready.result()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()
        if self._error:
            raise self._error

    def submit(
        self, function: Callable[Arguments, Coroutine[Any, Any, Result]], *args: Arguments.args, **kw: Arguments.kwargs
    ) -> concurrent.futures.Future[Result]:
        """Start a coroutine function in the loop.

        Its coroutine is made in the loop's thread, which no interrupt reaches: here one could come between making and
        starting it. The loop is woken once for all that come while it works: a wake-up costs as much as a short
        coroutine.
        """
        result: concurrent.futures.Future[Result] = concurrent.futures.Future()
        self._waiting.append((partial(function, *args, **kw), result))
        if not self._is_woken:
            self._is_woken = True
            self.call(self._start_waiting)
        return result

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in the loop, unless that has broken."""
        with contextlib.suppress(RuntimeError):  # says that the loop is closed
            self._loop.result().call_soon_threadsafe(function)

    def _start_waiting(self) -> None:
        self._is_woken = False  # who comes from now on wakes the loop again
        while self._waiting and not self._is_stopped:
            make, result = self._waiting.popleft()
            asyncio.create_task(self._begin(make)).add_done_callback(partial(_hand_over, result))

    async def _begin(self, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        if self._is_stopped:  # thousands may be about to begin, and would hold up the end
            raise asyncio.CancelledError
        return await make()

    def _run(self) -> None:
        if self._is_stopped:
            return
        try:
            # The loop is made here and not by the caller, whom an interrupt may reach when it is half made.
            with asyncio.Runner() as runner:
                self._loop.set_result(runner.get_loop())
                runner.run(self._hold())
        except BaseException as error:  # noqa: BLE001 (it is raised in the thread that waits)
            self._error = error if self._ready.done() else None
            for waited_for in (self._loop, self._ready):
                if not waited_for.done():
                    waited_for.set_exception(error)

    async def _hold(self) -> None:
        async with self._manager as resource:
            self._ready.set_result(resource)
            await self._closing.wait()
            with _without_gc():
                await _cancel_others()

    def _stop(self) -> None:
        self._is_stopped = True
        concurrent.futures.wait([self._loop], timeout=_START_S)
        if not self._loop.done():
            return
        if self._loop.exception() is None:
            self.call(self._close)
        self._thread.join()
        for _, result in self._waiting:
            result.cancel()

    def _close(self) -> None:
        self._closing.set()
        if not self._ready.done():  # nobody waits for the resource any more
            for task in asyncio.all_tasks():
                task.cancel()


def _hand_over(result: concurrent.futures.Future[Result], task: asyncio.Task[Result]) -> None:
    """Let a thread have what came of a task."""
    if task.cancelled():
        result.cancel()
    elif error := task.exception():
        result.set_exception(error)
    else:
        result.set_result(task.result())


@contextlib.contextmanager
def _without_gc() -> Iterator[None]:
    """Hold the garbage collector back: it takes four times as long as ending 16,000 tasks does, and finds nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


async def _cancel_others() -> None:
    """Cancel all other tasks; none is held, since each keeps the frames of its end, and there may be thousands."""
    others, ended = asyncio.all_tasks(), asyncio.Event()
    others.discard(asyncio.current_task())
    n_left = len(others)

    def count(task: asyncio.Task[Any]) -> None:
        nonlocal n_left
        n_left -= 1
        if not task.cancelled():
            task.exception()  # it is not for this place to tell of it
        if not n_left:
            ended.set()

    while others:
        task = others.pop()
        task.add_done_callback(count)
        task.cancel()
    if n_left:
        await ended.wait()
