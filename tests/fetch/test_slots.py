from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

from pixvec.fetch.slots import Slots


def test_a_full_host_blocks_no_other() -> None:
    async def run() -> None:
        slots = Slots(2, per_host=1)
        async with slots.turn("slow"), AsyncExitStack() as stack:
            waiting = asyncio.create_task(stack.enter_async_context(slots.turn("slow")))
            async with asyncio.timeout(10), slots.turn("other"):
                assert not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())


def test_connections_are_limited_in_all_and_for_each_host() -> None:
    running: list[str] = []
    most = {"all": 0, "a": 0}

    async def use(slots: Slots, host: str) -> None:
        async with slots.turn(host):
            running.append(host)
            most["all"] = max(most["all"], len(running))
            most["a"] = max(most["a"], running.count("a"))
            await asyncio.sleep(0)
            running.remove(host)

    async def run() -> None:
        slots = Slots(5, per_host=2)
        await asyncio.gather(*(use(slots, host) for host in "aaaaabcdefg" * 10))

    asyncio.run(run())
    assert most == {"all": 5, "a": 2}


def test_a_host_is_forgotten_once_nobody_uses_it() -> None:
    async def run() -> None:
        slots = Slots(1, per_host=1)
        async with slots.turn("a"):
            waiting = asyncio.create_task(slots.turn("a").__aenter__())
            await asyncio.sleep(0)
            assert len(slots._hosts) == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert not slots._hosts

    asyncio.run(run())
