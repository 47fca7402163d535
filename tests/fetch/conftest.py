from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Protocol

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from pixvec.errors import FetchError
from pixvec.fetch import Fetched, Fetcher, FetchOptions
from pixvec.testing.server import ImageServer


class Fetch(Protocol):
    """Fetches one URL from the local server, and opens that server's address only."""

    def __call__(self, cell: str, *, resolver: AbstractResolver | None = None, **options: Any) -> Fetched: ...


class FakeDNS(AbstractResolver):
    """Answers from a table: addresses, or an error to raise. Each name may have several answers, given in permit."""

    def __init__(self, **answers: list[list[str]] | OSError) -> None:
        self._answers = {name if "." in name else name.replace("_", "."): answer for name, answer in answers.items()}
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        self.asked.append(host)
        answer = self._answers[host]
        if isinstance(answer, OSError):
            raise answer
        addresses = answer.pop(0) if len(answer) > 1 else answer[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=_family(address), proto=0, flags=0)
            for address in addresses
        ]

    async def close(self) -> None: ...


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer() as running:
        yield running


@pytest.fixture
def canary() -> Iterator[ImageServer]:
    """A server that nobody may connect to."""
    with ImageServer() as running:
        yield running
        assert running.n_connections == 0


@pytest.fixture
def fetch(server: ImageServer) -> Fetch:
    async def fetch_one(cell: str, resolver: AbstractResolver | None, options: FetchOptions) -> Fetched:
        async with Fetcher(options, resolver=resolver) as fetcher, fetcher.fetch(fetcher.locate(cell)) as fetched:
            return fetched

    def run(cell: str, *, resolver: AbstractResolver | None = None, **options: Any) -> Fetched:
        defaults = FetchOptions(allow_address=(server.address,), timeout_s=10.0, tries=1)
        return asyncio.run(fetch_one(cell, resolver, replace(defaults, **options)))

    return run


@pytest.fixture
def failure(fetch: Fetch) -> Callable[..., FetchError]:
    def run(cell: str, **options: Any) -> FetchError:
        with pytest.raises(FetchError) as raised:
            fetch(cell, **options)
        return raised.value

    return run
