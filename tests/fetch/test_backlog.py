"""Requests wait while too much of what was asked for is not kept; a host waits for its own requests only."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from pixvec.fetch.backlog import Backlog


async def begin(backlog: Backlog, host: str, stack: AsyncExitStack) -> bool:
    """Begin a request; tell whether there was room."""
    try:
        async with asyncio.timeout(0.01):
            await stack.enter_async_context(backlog.request(host))
    except TimeoutError:
        return False
    return True


def test_requests_fetched_rows_and_unkept_rows_count_together() -> None:
    async def main() -> None:
        backlog = Backlog(4, lambda: 1)
        async with AsyncExitStack() as requests:
            with backlog.fetched():
                assert [await begin(backlog, "a", requests) for _ in range(3)] == [True, True, False]
                assert backlog.n_rows == 4
            assert [await begin(backlog, "a", requests) for _ in range(2)] == [True, False]

    asyncio.run(main())


def test_a_host_with_many_requests_holds_up_no_other() -> None:
    async def main() -> None:
        backlog = Backlog(2)
        async with AsyncExitStack() as requests:
            assert [await begin(backlog, host, requests) for host in "aaabbbc"] == [
                *(True, True, False),
                *(True, True, False),
                True,
            ]

    asyncio.run(main())


def test_who_waits_begins_when_a_request_ends_or_rows_are_kept() -> None:
    async def main() -> list[str]:
        n_unkept, log = 1, list[str]()
        backlog = Backlog(2, lambda: n_unkept)

        async def ask(name: str, end: asyncio.Event) -> None:
            async with backlog.request("a"):
                log.append(name)
                await end.wait()

        first, last = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for name, end in (("first", first), ("second", last), ("third", last)):
                tasks.create_task(ask(name, end))
            await asyncio.sleep(0.01)
            log.append("ends")
            first.set()
            await asyncio.sleep(0.01)
            log.append("kept")
            n_unkept = 0
            backlog.admit()
            await asyncio.sleep(0.01)
            last.set()
        return log

    assert asyncio.run(main()) == ["first", "ends", "second", "kept", "third"]


@pytest.mark.parametrize("is_admitted", [False, True])
def test_who_is_cancelled_takes_no_room(is_admitted: bool) -> None:
    async def main() -> None:
        backlog = Backlog(1)
        async with AsyncExitStack() as requests:
            await requests.enter_async_context(backlog.request("a"))
            waiting = asyncio.create_task(begin(backlog, "a", requests))
            await asyncio.sleep(0)
            if is_admitted:
                await requests.aclose()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert backlog.n_rows == 0
        async with AsyncExitStack() as requests:
            assert await begin(backlog, "a", requests)

    asyncio.run(main())
