"""An event loop beside synchronous code: it starts with its block, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager

import pytest

from pixvec.concurrency.event_loop import LoopThread


@asynccontextmanager
async def resource(log: list[str]) -> AsyncIterator[str]:
    log.append("opened")
    yield "resource"
    log.append("closed")


async def sleep_for_ever(log: list[str]) -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        log.append("cancelled")
        raise


def test_coroutines_run_beside_the_caller_and_end_with_the_block() -> None:
    log: list[str] = []
    with LoopThread(resource(log)) as loop, loop.tasks() as tasks:
        assert loop.resource == "resource"
        assert tasks.submit(asyncio.sleep, 0, "done").result() == "done"
        tasks.submit(sleep_for_ever, log)
        tasks.submit(asyncio.sleep, 0).result()  # by now the one above has begun
    assert log == ["opened", "cancelled", "closed"]
    assert "pixvec-loop" not in {thread.name for thread in threading.enumerate()}


def test_the_end_of_one_caller_leaves_the_tasks_of_others() -> None:
    log: list[str] = []
    with LoopThread(resource(log)) as loop, loop.tasks() as others:
        other = others.submit(asyncio.sleep, 0.3, "done")
        with loop.tasks() as tasks:
            mine = tasks.submit(sleep_for_ever, log)
            tasks.submit(asyncio.sleep, 0).result()
        assert (log, mine.cancelled(), other.done()) == (["opened", "cancelled"], True, False)
        assert other.result() == "done"


def test_tasks_end_with_their_loop() -> None:
    log: list[str] = []
    loop = LoopThread(resource(log))
    loop.start()
    with loop.tasks() as tasks:
        result = tasks.submit(sleep_for_ever, log)
        tasks.submit(asyncio.sleep, 0).result()
        loop.close()
        assert result.cancelled()
        assert tasks.submit(asyncio.sleep, 0).cancelled()
    assert log == ["opened", "cancelled", "closed"]


def test_many_are_begun_in_their_order() -> None:
    log: list[int] = []

    async def note(number: int) -> int:
        log.append(number)
        return number

    with LoopThread(resource([])) as loop, loop.tasks() as tasks:
        results = [tasks.submit(note, number) for number in range(1_000)]
        assert [result.result(timeout=10) for result in results] == log == list(range(1_000))


def test_what_comes_after_a_loop_broke_is_dropped() -> None:
    @asynccontextmanager
    async def collapsing() -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(fail())
            yield

    async def fail() -> None:
        raise ZeroDivisionError

    def start_late() -> None:
        with LoopThread(collapsing()) as loop, loop.tasks() as tasks:
            while "pixvec-loop" in {thread.name for thread in threading.enumerate()}:
                time.sleep(0.01)
            late.append(tasks.submit(asyncio.sleep, 0))

    late: list[Future[None]] = []
    with pytest.raises(ExceptionGroup) as caught:
        start_late()
    assert caught.group_contains(ZeroDivisionError)
    assert late[0].cancelled()


def test_an_error_in_the_block_ends_the_thread() -> None:
    log: list[str] = []
    with pytest.raises(ZeroDivisionError), LoopThread(resource(log)):
        raise ZeroDivisionError
    assert log == ["opened", "closed"]


def test_a_resource_that_cannot_be_opened_is_the_callers_error() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError), LoopThread(broken()):
        pass


def test_a_resource_that_breaks_is_the_callers_error() -> None:
    @asynccontextmanager
    async def breaking() -> AsyncIterator[None]:
        yield
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), LoopThread(breaking()):
        pass


def test_an_interrupt_while_the_resource_opens_ends_that() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def opening() -> AsyncIterator[None]:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        await sleep_for_ever(log)
        yield

    with pytest.raises(KeyboardInterrupt), LoopThread(opening()):
        pass
    assert log == ["cancelled"]
    assert "pixvec-loop" not in {thread.name for thread in threading.enumerate()}


def test_the_end_leaves_the_garbage_collector_as_it_was() -> None:
    with LoopThread(resource([])):
        pass
    assert gc.isenabled()


def test_it_runs_inside_a_running_loop() -> None:
    async def main() -> str:
        with LoopThread(resource([])) as loop, loop.tasks() as tasks:
            return tasks.submit(asyncio.sleep, 0, "done").result()

    assert asyncio.run(main()) == "done"
