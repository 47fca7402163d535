from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pixvec.fetch.connections.dns import Names, SystemResolver
from tests.fetch.conftest import FakeDNS

AGAIN = socket.gaierror(socket.EAI_AGAIN, "x")
UNKNOWN = socket.gaierror(socket.EAI_NONAME, "x")


@contextmanager
def hanging() -> Iterator[SystemResolver]:
    """A resolver whose look-ups of ``slow`` names end only with the block."""
    ended = threading.Event()

    def getaddrinfo(host: bytes, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if host.startswith(b"slow"):
            ended.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    yield SystemResolver(timeout_s=0.4, getaddrinfo=getaddrinfo)
    ended.set()


async def give_up(resolver: SystemResolver, n: int) -> None:
    """Have so many look-ups hang, a round after another."""
    for start in range(0, n, 64):
        names = [f"slow{number}.example" for number in range(start, min(start + 64, n))]
        await asyncio.gather(*map(resolver.resolve, names), return_exceptions=True)


def test_finds_the_addresses_of_a_name() -> None:
    results = asyncio.run(SystemResolver(timeout_s=5).resolve("localhost", 80))
    assert {(result["host"], result["port"]) for result in results} <= {("127.0.0.1", 80), ("::1", 80)}


def test_an_unknown_name_is_a_gaierror() -> None:
    with pytest.raises(socket.gaierror):
        asyncio.run(SystemResolver(timeout_s=5).resolve("no-such-host.invalid", 80))


def test_a_look_up_that_hangs_keeps_nobody() -> None:
    with hanging() as resolver, pytest.raises(socket.gaierror, match="no answer within") as raised:
        asyncio.run(resolver.resolve("slow.example", 80))
    assert raised.value.errno == socket.EAI_AGAIN


def test_look_ups_that_hang_give_their_places_to_others() -> None:
    async def run(resolver: SystemResolver) -> list[str]:
        await give_up(resolver, 128)
        return [result["host"] for result in await resolver.resolve("fast.example", 80)]

    with hanging() as resolver:
        assert asyncio.run(run(resolver)) == ["192.0.2.1"]


def test_threads_that_hang_are_bounded_and_counted_until_they_end() -> None:
    async def run() -> list[str]:
        with hanging() as resolver:
            await give_up(resolver, 256)
            with pytest.raises(socket.gaierror, match="no answer within"):
                await resolver.resolve("fast.example", 80)
            assert sum(thread.name == "pixvec-dns" for thread in threading.enumerate()) <= 256
        for thread in threading.enumerate():
            if thread.name == "pixvec-dns":
                thread.join()
        return [result["host"] for result in await resolver.resolve("fast.example", 80)]

    assert asyncio.run(run()) == ["192.0.2.1"]


def test_a_name_is_looked_up_once_for_all_who_ask() -> None:
    dns = FakeDNS(h_example=[["192.0.2.1", "192.0.2.2"]])

    async def run() -> list[list[tuple[str, int]]]:
        names = Names(dns, memory_s=60)
        answers = await asyncio.gather(*(names.resolve("h.example", port) for port in (80, 443, 80)))
        answers.append(await names.resolve("h.example", 81))
        return [[(result["host"], result["port"]) for result in answer] for answer in answers]

    expected = [[("192.0.2.1", port), ("192.0.2.2", port)] for port in (80, 443, 80, 81)]
    assert asyncio.run(run()) == expected
    assert dns.asked == ["h.example"]


@pytest.mark.parametrize(
    ("answer", "memory_s", "n_asked"),
    [([["192.0.2.1"]], 60, 1), ([["192.0.2.1"]], 0, 3), (UNKNOWN, 60, 1), (AGAIN, 60, 3)],
    ids=["found", "no memory", "no such name", "nobody could tell"],
)
def test_what_is_known_is_not_asked_again(answer: Any, memory_s: float, n_asked: int) -> None:
    dns = FakeDNS(h_example=answer)

    async def run() -> None:
        names = Names(dns, memory_s=memory_s)
        for _ in range(3):
            await asyncio.gather(names.resolve("h.example"), return_exceptions=True)

    asyncio.run(run())
    assert len(dns.asked) == n_asked


def test_one_who_gives_up_ends_it_for_nobody_else() -> None:
    async def run() -> list[str]:
        with hanging() as resolver:
            names = Names(resolver, memory_s=60)
            first, second = (asyncio.create_task(names.resolve("slow.example")) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        return [result["host"] for result in await second]

    assert asyncio.run(run()) == ["192.0.2.1"]


def test_at_the_end_nothing_is_left_of_look_ups() -> None:
    async def run() -> int:
        with hanging() as resolver:
            names = Names(resolver, memory_s=60)
            asker = asyncio.create_task(names.resolve("slow.example"))
            await asyncio.sleep(0)
            await names.close()
            await asyncio.gather(asker, return_exceptions=True)
            return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
