"""A budget that many share: who is alone has all of it, who comes later has a part at once, who stalls gives way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any

import pytest

from pixvec.concurrency.fair_budget import Claim, FairBudget, Place


async def fill(budget: FairBudget, claims: list[Claim]) -> list[Claim]:
    """Take one for each claim that need not wait; return those claims."""
    return [claim for claim in claims if budget.try_take(claim, 1)]


def run(main: Coroutine[Any, Any, Any]) -> Any:
    async def in_time() -> Any:
        async with asyncio.timeout(20):
            return await main

    return asyncio.run(in_time())


def claims(where: str, host: str, n: int) -> list[Claim]:
    return [Claim(where, host) for _ in range(n)]


@pytest.mark.parametrize("capacity", [1, 8, 256])
def test_one_host_alone_may_have_all(capacity: int) -> None:
    budget = FairBudget(capacity)
    assert len(run(fill(budget, claims("a", "a", 1000)))) == capacity


@pytest.mark.parametrize(("where", "host"), [("b", "b"), ("a", "b")], ids=["another address", "another port"])
def test_while_others_are_around_an_eighth_is_left_to_them(where: str, host: str) -> None:
    async def main() -> tuple[int, int]:
        budget = FairBudget(256)
        await fill(budget, claims(where, host, 1))
        return len(await fill(budget, claims("a", "a", 1000))), len(await fill(budget, claims(where, host, 1000)))

    assert run(main()) == (223, 32)


def test_many_hosts_have_even_parts() -> None:
    async def main() -> Counter[str]:
        budget = FairBudget(256)
        await fill(budget, [Claim(str(number), "h") for number in range(16)])
        taken = await fill(budget, [Claim(str(number), "h") for _ in range(100) for number in range(16)])
        return Counter(claim.where for claim in taken)

    assert set(run(main()).values()) == {15}


def test_who_waits_is_served_in_turn_and_a_crowd_at_one_address_is_one() -> None:
    async def main() -> list[str]:
        budget, served = FairBudget(1), list[str]()

        async def use(where: str, host: str) -> None:
            async with budget.hold(Claim(where, host)):
                served.append(where)
                await asyncio.sleep(0)

        crowd = [use("crowd", str(number)) for number in range(50)]
        await asyncio.gather(*crowd, *(use("b", "b") for _ in range(3)))
        return served[:7]

    assert run(main()) == ["crowd", "crowd", "b", "crowd", "b", "crowd", "b"]


def test_who_waits_for_a_server_with_more_than_a_share_is_dropped_for_one_who_waits() -> None:
    async def main() -> tuple[int, int]:
        budget, dropped = FairBudget(16), list[Claim]()

        def drop(claim: Claim) -> None:
            dropped.append(claim)
            budget.give_back(claim, 1)

        now = asyncio.get_running_loop().time()
        for number in range(16):
            claim = Claim("slow", "slow")
            claim.drop = partial(drop, claim)
            claim.stalled_since = now - 100 + number
            await budget.take(claim)
        good = claims("good", "good", 4)
        await asyncio.gather(*map(budget.take, good))
        return len(dropped), budget.n_held

    assert run(main()) == (4, 16)


def test_nobody_is_dropped_who_is_answered_or_holds_no_more_than_others() -> None:
    async def main() -> bool:
        budget, dropped = FairBudget(8), list[str]()
        now = asyncio.get_running_loop().time()
        for where in ("answered", "fair") * 4:
            since = now - 100 if where == "fair" else now + 100
            await budget.take(Claim(where, where, partial(dropped.append, where), since))
        waiting = [asyncio.create_task(budget.take(claim)) for claim in claims("answered", "other", 4)]
        await asyncio.sleep(0.6)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return bool(dropped)

    assert not run(main())


def test_what_is_kept_for_the_preferred_only_they_take() -> None:
    async def main() -> list[bool]:
        budget, late = FairBudget(8, preferred=3), Place()
        assert len(await fill(budget, [Claim(str(number), "h") for number in range(20)])) == 5
        waiting = [asyncio.create_task(budget.take(Claim(str(number), "h"))) for number in range(20, 30)]
        waiting.append(asyncio.create_task(budget.take(Claim("late", "h"), place=late)))
        await asyncio.sleep(0)
        budget.prefer(late)
        await asyncio.sleep(0)
        served = [task.done() for task in waiting]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return served

    assert run(main()) == [False] * 10 + [True]


@pytest.mark.parametrize("is_served", [False, True])
def test_who_is_cancelled_leaves_nothing_behind(is_served: bool) -> None:
    async def main() -> int:
        budget, first = FairBudget(1), Claim("a", "a")
        await budget.take(first)
        waiting = [asyncio.create_task(budget.take(Claim("b", "b"))) for _ in range(3)]
        await asyncio.sleep(0)
        if is_served:
            budget.give_back(first, 1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        if not is_served:
            budget.give_back(first, 1)
        await budget.take(Claim("c", "c"))
        return budget.n_held

    assert run(main()) == 1
