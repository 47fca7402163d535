"""An event loop in a thread of its own, so that synchronous callers can drive coroutines from anywhere.

A notebook's running loop, a script without a main guard and a thread are all the same to it. Each caller has tasks of
its own in the loop: they end with the caller's block, also when that ends with an error or an interrupt, and the tasks
of others go on. The thread and what it holds open end with the ``with`` block of the `LoopThread`.
"""

from __future__ import annotations

import asyncio
import atexit
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
_POLL_S: Final = 0.1
"""The longest wait without a look: a thread may have ended, and an interrupt may just miss the beginning of a wait."""


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
        self._is_stopped = False
        # A daemon, which the exit of a program does not wait for: it is `close` that ends it, then at the latest.
        self._thread = threading.Thread(target=self._run, name="pixvec-loop", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        if self._error:
            raise self._error

    def start(self) -> None:
        """Start the thread, and wait until the resource is open.

        Raises
        ------
        Exception
            Why it cannot be opened.
        """
        try:
            atexit.register(self.close)
            self._thread.start()  # an interrupt that comes meanwhile must find whoever ends the thread
            while not concurrent.futures.wait([self._ready], timeout=_POLL_S).done:
                pass
            self.resource = self._ready.result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End all tasks, the resource and the thread."""
        atexit.unregister(self.close)
        self._is_stopped = True
        concurrent.futures.wait([self._loop], timeout=_START_S)
        if not self._loop.done():
            return
        if self._loop.exception() is None:
            _call_in(self._loop.result(), self._close)
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def forget(self) -> None:
        """Take it for ended, in a forked child, where its thread is not."""
        atexit.unregister(self.close)

    @contextlib.contextmanager
    def tasks(self) -> Iterator[Tasks]:
        """Give a caller tasks of its own; those that are left at the end of the block are cancelled.

        Raises
        ------
        Exception
            What the resource broke with meanwhile, or before.
        """
        tasks = Tasks(self._loop.result(), self._thread)
        try:
            yield tasks
        finally:
            tasks.close()
            if self._error:
                raise self._error

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
            await _cancel({task for task in asyncio.all_tasks() if task is not asyncio.current_task()})

    def _close(self) -> None:
        self._closing.set()
        if not self._ready.done():  # nobody waits for the resource any more
            for task in asyncio.all_tasks():
                task.cancel()


class Tasks:
    """The tasks that one caller has in the loop of a `LoopThread`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
        self._loop = loop
        self._thread = thread
        self._waiting: deque[tuple[Callable[[], Coroutine[Any, Any, Any]], concurrent.futures.Future[Any]]] = deque()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._ended: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._is_woken = self._is_closed = False

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
        if not self._thread.is_alive():
            self._drop_waiting()
        return result

    def call(self, function: Callable[[], object]) -> None:
        """Call a function in the loop, unless that has broken."""
        _call_in(self._loop, function)

    def close(self) -> None:
        """Cancel what is left, and wait until it has ended."""
        self._is_closed = True
        self.call(self._cancel)
        while self._thread.is_alive() and not concurrent.futures.wait([self._ended], timeout=_POLL_S).done:
            pass
        self._drop_waiting()

    def _start_waiting(self) -> None:
        self._is_woken = False  # who comes from now on wakes the loop again
        while self._waiting and not self._is_closed:
            make, result = self._waiting.popleft()
            task = asyncio.create_task(self._begin(make))
            self._tasks.add(task)
            task.add_done_callback(partial(self._hand_over, result))

    def _drop_waiting(self) -> None:
        while self._waiting:
            self._waiting.popleft()[1].cancel()

    async def _begin(self, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        if self._is_closed:  # thousands may be about to begin, and would hold up the end
            raise asyncio.CancelledError
        return await make()

    def _hand_over(self, result: concurrent.futures.Future[Result], task: asyncio.Task[Result]) -> None:
        """Let a thread have what came of a task."""
        self._tasks.discard(task)
        if task.cancelled():
            result.cancel()
        elif error := task.exception():
            result.set_exception(error)
        else:
            result.set_result(task.result())

    def _cancel(self) -> None:
        tasks, self._tasks = self._tasks, set()
        ending = asyncio.create_task(_cancel(tasks))
        ending.add_done_callback(lambda _: self._ended.set_result(None))


def _call_in(loop: asyncio.AbstractEventLoop, function: Callable[[], object]) -> None:
    with contextlib.suppress(RuntimeError):  # says that the loop is closed
        loop.call_soon_threadsafe(function)


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


async def _cancel(tasks: set[asyncio.Task[Any]]) -> None:
    """Cancel tasks; none is held, since each keeps the frames of its end, and there may be thousands."""
    ended = asyncio.Event()
    n_left = len(tasks)

    def count(task: asyncio.Task[Any]) -> None:
        nonlocal n_left
        n_left -= 1
        if not task.cancelled():
            task.exception()  # it is not for this place to tell of it
        if not n_left:
            ended.set()

    with _without_gc():
        while tasks:
            task = tasks.pop()
            task.add_done_callback(count)
            task.cancel()
        if n_left:
            await ended.wait()
