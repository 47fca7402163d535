"""Case 49: hosts that hold on to bytes, connections or look-ups, and the rows of others, which go on meanwhile."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final, TypeAlias

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from pixvec.errors import FetchError
from pixvec.fetch import Fetcher, FetchOptions
from pixvec.testing.server import ImageServer

N_GOOD: Final = 200
HELD_S: Final = 100
"""How long attackers would hold what they have."""
MIB: Final = 1 << 20
HEAD: Final = "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n"

Hosts: TypeAlias = list[ImageServer]


class SlowNames(AbstractResolver):
    """Knows one name; whoever asks for any other waits."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host != "good.example":
            await asyncio.sleep(HELD_S)
            raise socket.gaierror(socket.EAI_AGAIN, "x")
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0)]

    async def close(self) -> None: ...


@pytest.fixture
def hosts() -> Iterator[Hosts]:
    servers = [ImageServer() for _ in range(17)]
    for server in servers:
        server.__enter__()
    yield servers
    for server in servers:
        server.__exit__()


def put_up_hoarders(hosts: Hosts) -> list[str]:
    """Put up 16 bodies of one host that take all of the bytes but for the last of each."""
    body = HEAD.format(4 * MIB - 4).encode() + bytes(4 * MIB - 5)
    return [hosts[1].add_raw(f"/{row}", [body], end="silence") for row in range(16)]


def put_up_drips(hosts: Hosts) -> list[str]:
    """Put up rows of 16 hosts that send a byte now and then."""
    drops = [HEAD.format(100_000).encode(), *itertools.repeat(b"x", 1000)]
    return [host.add_raw(f"/{row}", drops, pause_s=0.2) for row in range(32) for host in hosts[1:]]


def put_up_names_of_one_domain(_: Hosts) -> list[str]:
    return [f"http://n{row}.slow.example/" for row in range(500)]


def put_up_names(_: Hosts) -> list[str]:
    return [f"http://slow{row}.example/" for row in range(500)]


def put_up_domains(_: Hosts) -> list[str]:
    return [f"http://slow{row}.test/" for row in range(500)]


ATTACKS: Final = [put_up_hoarders, put_up_drips, put_up_names_of_one_domain, put_up_names, put_up_domains]


@asynccontextmanager
async def beside(fetcher: Fetcher, cells: Iterable[str]) -> AsyncIterator[None]:
    """Fetch the attackers' rows meanwhile."""
    tasks = [asyncio.create_task(fetch(fetcher, cell)) for cell in cells]
    await asyncio.sleep(0.3)
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def fetch(fetcher: Fetcher, cell: str) -> str:
    try:
        async with fetcher.fetch(fetcher.locate(cell)):
            return "ok"
    except FetchError as error:
        return error.code


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_49_rows_of_other_hosts_go_on_beside_those_that_hold_on_to_what_is_shared(
    hosts: Hosts, attack: Callable[[Hosts], list[str]]
) -> None:
    paths = [hosts[0].add(f"/{row}", body=b"image") for row in range(N_GOOD)]
    good = [cell.replace("127.0.0.1", "good.example") for cell in paths]
    bad = attack(hosts)

    async def main() -> tuple[set[str], float]:
        limits: dict[str, Any] = {"max_bytes": 4 * MIB, "max_bytes_in_flight": 16 * MIB, "connections": 64}
        options = FetchOptions(allow_private=True, timeout_s=HELD_S, row_timeout_s=HELD_S, **limits)
        async with Fetcher(options, resolver=SlowNames()) as fetcher, beside(fetcher, bad):
            started = time.monotonic()
            outcomes = await asyncio.gather(*(fetch(fetcher, cell) for cell in good))
            return set(outcomes), time.monotonic() - started

    outcomes, seconds = asyncio.run(main())
    assert outcomes == {"ok"}
    assert seconds < HELD_S / 2


def test_a_row_that_was_dropped_for_others_has_another_go_and_loses_no_try(hosts: Hosts) -> None:
    slow = [hosts[1].add(f"/{row}", body=b"image", delay_s=1.5) for row in range(8)]
    good = [hosts[0].add(f"/{row}", body=b"image") for row in range(20)]

    async def main() -> list[str]:
        options = FetchOptions(allow_private=True, connections=8, tries=1)
        async with Fetcher(options) as fetcher:
            fetching = [asyncio.create_task(fetch(fetcher, cell)) for cell in slow]
            await asyncio.sleep(0.2)
            outcomes = await asyncio.gather(*(fetch(fetcher, cell) for cell in good))
            assert not any(task.done() for task in fetching)
            return outcomes + await asyncio.gather(*fetching)

    assert asyncio.run(main()) == ["ok"] * 28
    assert sum(hosts[1].n_requests(f"/{row}") for row in range(8)) > 8
