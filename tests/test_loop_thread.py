"""An event loop beside synchronous code: it starts with its block, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pixvec.loop_thread import LoopThread


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
    with LoopThread(resource(log)) as loop:
        assert loop.resource == "resource"
        assert loop.submit(asyncio.sleep(0, "done")).result() == "done"
        loop.submit(sleep_for_ever(log))
        loop.submit(asyncio.sleep(0)).result()  # by now the one above has begun
    assert log == ["opened", "cancelled", "closed"]
    assert "pixvec-loop" not in {thread.name for thread in threading.enumerate()}


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


def test_it_runs_inside_a_running_loop() -> None:
    async def main() -> str:
        with LoopThread(resource([])) as loop:
            return loop.submit(asyncio.sleep(0, "done")).result()

    assert asyncio.run(main()) == "done"
