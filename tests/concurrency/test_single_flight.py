"""Each thing is made once, however many ask for it, and remembered for each caller as far as its memory reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pixvec.concurrency.single_flight import Memory, SingleFlight


def counted(made: list[str], key: str) -> Callable[[], Coroutine[Any, Any, str]]:
    async def make() -> str:
        made.append(key)
        await asyncio.sleep(0)
        return key.upper()

    return make


def test_who_asks_at_once_shares_one_flight() -> None:
    async def main() -> tuple[list[str], list[str], int]:
        made: list[str] = []
        flights, memory = SingleFlight[str, str](), Memory[str, str](10)
        got = await asyncio.gather(*(flights.get(key, counted(made, key), memory=memory) for key in "aabab"))
        return got, made, memory.n_repeats

    assert asyncio.run(main()) == (["A", "A", "B", "A", "B"], ["a", "b"], 3)


def test_a_memory_forgets_what_was_asked_for_longest_ago() -> None:
    async def main() -> list[str]:
        made: list[str] = []
        flights, memory = SingleFlight[str, str](), Memory[str, str](2)
        for key in ["a", "b", "a", "c", "a", "b"]:
            await flights.get(key, counted(made, key), memory=memory)
        return made

    assert asyncio.run(main()) == ["a", "b", "c", "b"]


def test_callers_share_what_is_being_made_and_not_what_was() -> None:
    async def main() -> list[str]:
        made: list[str] = []
        flights, memories = SingleFlight[str, str](), [Memory[str, str](2), Memory[str, str](2)]
        for _ in range(2):
            await asyncio.gather(*(flights.get("a", counted(made, "a"), memory=memory) for memory in memories))
        await flights.get("a", counted(made, "again"), memory=Memory(2))
        return made

    assert asyncio.run(main()) == ["a", "again"]


def test_an_error_reaches_everyone_who_waits_and_is_not_remembered() -> None:
    async def fail() -> str:
        await asyncio.sleep(0)
        raise ValueError("no")

    async def main() -> list[object]:
        flights, memory = SingleFlight[str, str](), Memory[str, str](2)
        asked = (flights.get("a", fail, memory=memory) for _ in range(3))
        failed = await asyncio.gather(*asked, return_exceptions=True)
        return [*map(type, failed), await flights.get("a", counted([], "a"), memory=memory)]

    assert asyncio.run(main()) == [ValueError, ValueError, ValueError, "A"]


def test_who_waits_makes_it_when_the_maker_is_cancelled() -> None:
    async def main() -> tuple[list[str], list[str]]:
        made: list[str] = []
        flights = SingleFlight[str, str]()
        slow = flights.get("a", lambda: asyncio.sleep(60, "x"), memory=Memory(2))
        tasks = [asyncio.create_task(slow)]
        waiting = (flights.get("a", counted(made, "a"), memory=Memory(2)) for _ in range(3))
        await asyncio.sleep(0)
        tasks += map(asyncio.create_task, waiting)
        await asyncio.sleep(0)
        tasks[0].cancel()
        tasks[1].cancel()
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]
        return await asyncio.wait_for(asyncio.gather(*tasks[2:]), 1), made

    assert asyncio.run(main()) == (["A", "A"], ["a"])
