"""Each thing is made once, however many ask for it, as far as the index reaches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pixvec.single_flight import SingleFlight


def counted(made: list[str], key: str) -> Callable[[], Coroutine[Any, Any, str]]:
    async def make() -> str:
        made.append(key)
        await asyncio.sleep(0)
        return key.upper()

    return make


def test_who_asks_at_once_shares_one_flight() -> None:
    async def main() -> tuple[list[str], list[str], int]:
        made: list[str] = []
        flights: SingleFlight[str, str] = SingleFlight(10)
        got = await asyncio.gather(*(flights.get(key, counted(made, key)) for key in "aabab"))
        return got, made, flights.n_repeats

    assert asyncio.run(main()) == (["A", "A", "B", "A", "B"], ["a", "b"], 3)


def test_the_index_forgets_what_was_asked_for_longest_ago() -> None:
    async def main() -> list[str]:
        made: list[str] = []
        flights: SingleFlight[str, str] = SingleFlight(2)
        for key in ["a", "b", "a", "c", "a", "b"]:
            await flights.get(key, counted(made, key))
        return made

    assert asyncio.run(main()) == ["a", "b", "c", "b"]


def test_an_error_reaches_everyone() -> None:
    async def fail() -> str:
        raise ValueError("no")

    async def main() -> list[object]:
        flights: SingleFlight[str, str] = SingleFlight(2)
        return list(await asyncio.gather(*(flights.get("a", fail) for _ in range(3)), return_exceptions=True))

    assert [type(error) for error in asyncio.run(main())] == [ValueError] * 3


def test_nobody_is_left_waiting_when_the_makers_caller_is_cancelled() -> None:
    async def main() -> None:
        flights: SingleFlight[str, str] = SingleFlight(2)
        tasks = [asyncio.create_task(flights.get("a", lambda: asyncio.sleep(60, "x"))) for _ in range(2)]
        await asyncio.sleep(0)
        tasks[0].cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(tasks[1], 1)

    asyncio.run(main())
