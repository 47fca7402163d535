from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pixvec.fetch.dns import SystemResolver


@contextmanager
def hanging() -> Iterator[SystemResolver]:
    """A resolver whose look-ups of ``slow`` names end only with the block."""
    ended = threading.Event()

    def getaddrinfo(host: bytes, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if host.startswith(b"slow"):
            ended.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    yield SystemResolver(timeout_s=0.1, getaddrinfo=getaddrinfo)
    ended.set()


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


def test_look_ups_that_hang_leave_room_for_others() -> None:
    async def run(resolver: SystemResolver) -> None:
        slow = [asyncio.create_task(resolver.resolve(f"slow{n}.example", 80)) for n in range(63)]
        await asyncio.gather(*slow, return_exceptions=True)
        assert [result["host"] for result in await resolver.resolve("fast.example", 80)] == ["192.0.2.1"]

    with hanging() as resolver:
        asyncio.run(run(resolver))
