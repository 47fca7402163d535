from __future__ import annotations

import asyncio

import pytest

from pixvec.concurrency.fair_budget import Claim
from pixvec.fetch.budget import ByteBudget


async def read(budget: ByteBudget, n_bytes: int, decoded: asyncio.Event, step: int = 10) -> None:
    with budget.lease() as lease:
        for _ in range(0, n_bytes, step):
            await lease.take(step)
            await asyncio.sleep(0)
        await decoded.wait()


def test_readers_that_fill_the_budget_together_still_end() -> None:
    async def run() -> ByteBudget:
        budget, decoded = ByteBudget(100), asyncio.Event()
        decoded.set()
        async with asyncio.timeout(10):
            await asyncio.gather(*(read(budget, 90, decoded) for _ in range(20)))
        return budget

    assert asyncio.run(run()).n_bytes == 0


def test_one_body_at_most_overdraws() -> None:
    async def run() -> int:
        budget, decoded = ByteBudget(100), asyncio.Event()
        readers = [asyncio.create_task(read(budget, 90, decoded)) for _ in range(20)]
        for _ in range(1000):
            await asyncio.sleep(0)
        most = budget.n_bytes
        decoded.set()
        await asyncio.gather(*readers)
        return most

    assert 100 <= asyncio.run(run()) <= 190


def test_no_fetch_starts_while_its_host_has_half_of_the_budget() -> None:
    async def run() -> bool:
        budget, decoded = ByteBudget(100), asyncio.Event()
        reader = asyncio.create_task(read(budget, 60, decoded))
        await asyncio.sleep(0.01)
        with budget.lease() as lease, budget.lease() as elsewhere:
            starting = asyncio.create_task(lease.begin(Claim()))
            await elsewhere.begin(Claim("elsewhere", "a"))
            waited = not starting.done()
            decoded.set()
            await asyncio.gather(reader, starting)
        return waited

    assert asyncio.run(run())


@pytest.mark.parametrize("n_cancelled", [0, 7, 19, 20])
def test_a_cancelled_reader_gives_back_what_it_took(n_cancelled: int) -> None:
    async def run() -> int:
        budget, decoded = ByteBudget(100), asyncio.Event()
        decoded.set()
        readers = [asyncio.create_task(read(budget, 90, decoded)) for _ in range(20)]
        await asyncio.sleep(0)
        for reader in readers[:n_cancelled]:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)
        return budget.n_bytes

    assert asyncio.run(run()) == 0
