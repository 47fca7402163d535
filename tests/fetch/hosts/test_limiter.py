"""Turns: who waits, for how long, and who is sent away."""

from __future__ import annotations

import asyncio
import gc
import random
from contextlib import AsyncExitStack, suppress
from typing import Any

import pytest

from pixvec.concurrency.fair_budget import Claim
from pixvec.errors import FetchError
from pixvec.fetch import FetchOptions
from pixvec.fetch.hosts.limiter import HostLimiter


def make_slots(connections: int = 256, *, per_host: int = 16, **options: Any) -> HostLimiter:
    limits = {"first_connections_per_host": per_host, "connections_per_host": per_host, "backoff_s": 0.0, **options}
    return HostLimiter(FetchOptions(connections=connections, **limits))


async def fail(limiter: HostLimiter, host: str, code: str, headers: dict[str, str] | None = None) -> None:
    with suppress(FetchError):
        async with limiter.permit(host) as permit:
            permit.hear(headers or {})
            raise FetchError(code, "")


async def is_sent_away(limiter: HostLimiter, host: str) -> str | None:
    try:
        async with limiter.permit(host):
            return None
    except FetchError as error:
        return str(error)


def test_a_full_host_blocks_no_other() -> None:
    async def run() -> None:
        limiter = make_slots(2, per_host=1)
        async with limiter.permit("slow"), limiter.connection(Claim("slow", "slow")), AsyncExitStack() as stack:
            waiting = asyncio.create_task(stack.enter_async_context(limiter.permit("slow")))
            async with asyncio.timeout(10), limiter.permit("other"), limiter.connection(Claim("other", "other")):
                assert not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())


def test_connections_are_limited_in_all_and_for_each_host() -> None:
    running: list[str] = []
    most = {"all": 0, "a": 0}

    async def use(limiter: HostLimiter, host: str) -> None:
        async with limiter.permit(host), limiter.connection(Claim(host, host)):
            running.append(host)
            most["all"] = max(most["all"], len(running))
            most["a"] = max(most["a"], running.count("a"))
            await asyncio.sleep(0)
            running.remove(host)

    async def run() -> None:
        limiter = make_slots(5, per_host=2)
        await asyncio.gather(*(use(limiter, host) for host in "aaaaabcdefg" * 10))

    asyncio.run(run())
    assert most == {"all": 5, "a": 2}


def test_a_host_that_answers_well_is_asked_by_more_at_once() -> None:
    n_running = most = 0

    async def use(limiter: HostLimiter) -> None:
        nonlocal n_running, most
        async with limiter.permit("a"):
            n_running += 1
            most = max(most, n_running)
            await asyncio.sleep(0)
            n_running -= 1

    async def run() -> None:
        limiter = make_slots(first_connections_per_host=2, connections_per_host=5)
        await asyncio.gather(*(use(limiter) for _ in range(100)))

    asyncio.run(run())
    assert most == 5


def test_who_comes_first_is_served_first() -> None:
    served = []

    async def use(limiter: HostLimiter, number: int) -> None:
        async with limiter.permit("a"):
            served.append(number)
            await asyncio.sleep(0)

    async def run() -> None:
        limiter = make_slots(per_host=2)
        await asyncio.gather(*(use(limiter, number) for number in range(50)))

    asyncio.run(run())
    assert served == list(range(50))


def test_a_pause_holds_everybody_at_the_host_and_nobody_else() -> None:
    served = []

    async def use(limiter: HostLimiter, host: str) -> None:
        async with limiter.permit(host):
            served.append(host)

    async def run() -> float:
        loop = asyncio.get_running_loop()
        limiter = make_slots()
        started = loop.time()
        await fail(limiter, "busy", "http_429", {"Retry-After": "1"})
        await asyncio.gather(*(use(limiter, host) for host in ["busy"] * 50 + ["other"]))
        return loop.time() - started

    assert asyncio.run(run()) >= 1
    assert served == ["other"] + ["busy"] * 50


def test_when_a_host_goes_down_all_who_wait_for_it_are_sent_away() -> None:
    async def run() -> list[str | None]:
        limiter = make_slots(per_host=1, down_after=2)
        async with limiter.permit("dead"):
            failing = [asyncio.create_task(fail(limiter, "dead", "timeout")) for _ in range(2)]
            await asyncio.sleep(0)
            waiting = [asyncio.create_task(is_sent_away(limiter, "dead")) for _ in range(100)]
            await asyncio.sleep(0)
        await asyncio.gather(*failing)
        return await asyncio.gather(*waiting, is_sent_away(limiter, "dead"))

    outcomes = asyncio.run(run())
    assert set(outcomes) == {"timeout: not tried, because all of the last requests to the host failed"}


def test_a_host_that_is_down_is_tried_again_and_comes_up() -> None:
    async def run() -> list[bool]:
        limiter = make_slots(down_after=1, down_retry_s=0.0)
        await fail(limiter, "dead", "connect_error")
        return [bool(await is_sent_away(limiter, "dead")) for _ in range(3)]

    assert asyncio.run(run()) == [False, False, False]


def test_a_host_that_is_down_stays_so_until_it_is_tried_again() -> None:
    async def run() -> list[bool]:
        limiter = make_slots(down_after=1, down_retry_s=1000.0)
        await fail(limiter, "dead", "connect_error")
        return [bool(await is_sent_away(limiter, "dead")) for _ in range(3)]

    assert asyncio.run(run()) == [True, True, True]


@pytest.mark.parametrize("seed", range(5))
def test_whoever_is_cancelled_leaves_no_turn_behind(seed: int) -> None:
    chance = random.Random(seed)

    async def use(limiter: HostLimiter) -> None:
        async with limiter.permit("a"):
            await asyncio.sleep(0)

    async def run() -> None:
        limiter = make_slots(5, per_host=3)
        tasks = [asyncio.create_task(use(limiter)) for _ in range(60)]
        while pending := [task for task in tasks if not task.done()]:
            chance.choice(pending).cancel()
            await asyncio.sleep(0)
        async with asyncio.timeout(10), AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(limiter.permit("a"))

    asyncio.run(run())
    gc.collect()  # a future whose error nobody took would warn


def test_whoever_is_cancelled_at_the_moment_of_its_turn_passes_it_on() -> None:
    async def run() -> None:
        limiter = make_slots(per_host=1)
        async with limiter.permit("a"):
            first, second = (asyncio.create_task(is_sent_away(limiter, "a")) for _ in range(2))
            await asyncio.sleep(0)
        first.cancel()
        async with asyncio.timeout(10):
            assert await second is None

    asyncio.run(run())


def test_a_cancelled_request_says_nothing_of_the_host_unless_it_was_late() -> None:
    async def cancelled(limiter: HostLimiter, *, is_late: bool) -> None:
        with pytest.raises(asyncio.CancelledError):
            async with limiter.permit("a", is_late=lambda: is_late):
                raise asyncio.CancelledError

    async def run() -> list[str | None]:
        limiter = make_slots(down_after=1)
        outcomes = []
        for is_late in (False, True):
            await cancelled(limiter, is_late=is_late)
            outcomes.append(await is_sent_away(limiter, "a"))
        return outcomes

    before, after = asyncio.run(run())
    assert before is None
    assert after
    assert after.startswith("timeout")


def test_a_host_is_forgotten_once_nobody_uses_it_and_its_mood_is_not() -> None:
    async def run() -> None:
        limiter = make_slots(1, per_host=1)
        async with limiter.permit("a") as permit:
            waiting = asyncio.create_task(limiter.permit("a").__aenter__())
            await asyncio.sleep(0)
            assert len(limiter._hosts) == 1
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        assert not limiter._hosts
        async with limiter.permit("a") as later:
            assert later.state is permit.state

    asyncio.run(run())


def test_only_so_many_moods_are_remembered() -> None:
    async def run() -> int:
        limiter = make_slots()
        for number in range(16_400):
            async with limiter.permit(f"h{number}.example"):
                pass
        return len(limiter._states)

    assert asyncio.run(run()) == 16_384
