"""A row's tries, from outside: what the server sees, and what the row comes to."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import Any

import pytest

from pixvec.errors import FetchError
from pixvec.fetch import Fetched, Fetcher, FetchOptions, parse
from pixvec.testing.bad_manners import BlackHole, InTurn
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import Fetch

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"
CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
BUSY = b"HTTP/1.1 503 -\r\nContent-Length: 0\r\n\r\n"
QUICK: dict[str, Any] = {"tries": 3, "backoff_s": 0.001}


def fetch_all(urls: list[str], **options: Any) -> list[bytes | str]:
    """Fetch URLs all at once: bodies, or what went wrong."""

    async def one(fetcher: Fetcher, url: str) -> bytes | str:
        try:
            async with fetcher.fetch(parse(url)) as fetched:
                return fetched.body
        except FetchError as error:
            return str(error)

    async def run() -> list[bytes | str]:
        async with Fetcher(FetchOptions(allow_private=True, **options)) as fetcher:
            return await asyncio.gather(*(one(fetcher, url) for url in urls))

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("first", "n_requests"),
    [
        pytest.param([BUSY, BUSY], 3, id="busy twice"),
        pytest.param([CUT, CUT], 3, id="cut off twice"),
        pytest.param([b"", CUT], 3, id="silent, then cut off"),
        pytest.param([b"garbage\r\n\r\n"], 2, id="no HTTP"),
    ],
)
def test_a_later_try_may_succeed(server: ImageServer, fetch: Fetch, first: list[bytes], n_requests: int) -> None:
    url = server.add_raw("/", InTurn(*([answer] for answer in first), [OK]))
    assert fetch(url, **QUICK) == Fetched(b"whole", None)
    assert server.n_requests("/") == n_requests


@pytest.mark.parametrize(
    ("answer", "code", "n_requests"),
    [
        (BUSY, "http_503", 3),
        (CUT, "truncated_body", 3),
        (b"", "connect_error", 3),
        (b"HTTP/1.1 404 -\r\nContent-Length: 0\r\n\r\n", "http_404", 1),
        (b"HTTP/1.1 429 -\r\nRetry-After: 86400\r\nContent-Length: 0\r\n\r\n", "http_429", 1),
    ],
    ids=["busy", "cut off", "closed", "not found", "busy until tomorrow"],
)
def test_a_row_that_fails_for_ever_has_its_tries_and_no_more(
    server: ImageServer, fetch: Fetch, answer: bytes, code: str, n_requests: int
) -> None:
    with pytest.raises(FetchError, match=f"^{code}"):
        fetch(server.add_raw("/", [answer]), **QUICK)
    assert server.n_requests("/") == n_requests


def test_a_time_out_is_tried_once_more(server: ImageServer, fetch: Fetch) -> None:
    with pytest.raises(FetchError, match=r"^timeout"):
        fetch(server.add_raw("/", [], end="silence"), **QUICK, timeout_s=0.2)
    assert server.n_requests("/") == 2


def test_a_row_that_waits_for_its_next_try_holds_nothing(server: ImageServer) -> None:
    cut = server.add_raw("/cut", [b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", bytes(500_000)])
    other = server.add("/other", body=b"whole")

    async def run() -> None:
        limits = FetchOptions(connections=1, max_bytes_in_flight=10, backoff_s=1000.0, row_timeout_s=1e6)
        async with Fetcher(replace(limits, allow_private=True)) as fetcher, asyncio.timeout(20):
            waiting = asyncio.create_task(fetcher.fetch(parse(cut)).__aenter__())
            await asyncio.sleep(0)  # until it is the first in the queue for the one connection
            async with fetcher.fetch(parse(other)) as fetched:
                assert fetched.body == b"whole"
            assert (waiting.done(), fetcher._budget.n_bytes) == (False, 0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.parametrize("max_bytes", [9, 100], ids=["too large", "cut off"])
def test_a_failed_try_keeps_nothing_of_the_body(server: ImageServer, fetch: Fetch, max_bytes: int) -> None:
    url = server.add_raw(
        "/", [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", b"5\r\nother\r\n"], pause_s=0.1
    )
    gc.disable()  # what a ring keeps is freed at some time or other
    try:
        with pytest.raises(FetchError):
            fetch(url, max_bytes=max_bytes)
        kept = [pieces[0] for pieces in gc.get_objects() if type(pieces) is list and pieces]
        assert b"first" not in [piece for piece in kept if type(piece) is bytes]
    finally:
        gc.enable()


def test_a_redirect_puts_failures_down_to_the_host_they_happened_at(server: ImageServer) -> None:
    with BlackHole("127.0.0.9") as dead:
        urls = [server.add(f"/{n}", status=302, headers={"Location": dead.url(f"/{n}")}) for n in range(30)]
        fine = [server.add(f"/fine-{n}", body=b"whole") for n in range(30)]
        outcomes = fetch_all(urls + fine, connect_timeout_s=1.0, backoff_s=0.001)
    assert all(str(outcome).startswith("timeout: redirect 1 to an IP address: ") for outcome in outcomes[:30])
    assert outcomes[30:] == [b"whole"] * 30


def test_of_the_rows_of_a_dead_host_few_are_tried() -> None:
    with BlackHole() as dead:
        urls = [dead.url(f"/{n}") for n in range(2000)]
        outcomes = fetch_all(urls, connect_timeout_s=0.2)
    tried = [outcome for outcome in outcomes if "not tried" not in str(outcome)]
    assert {str(outcome).partition(":")[0] for outcome in outcomes} == {"timeout"}
    assert set(tried) == {"timeout: no connection in time"}
    assert tried == outcomes[:16]


def test_three_pages_that_hang_do_not_bring_their_host_down(server: ImageServer) -> None:
    silent = [server.add_raw(f"/{n}", [], end="silence") for n in range(3)]
    fine = server.add("/fine", body=b"whole")

    async def run() -> list[str]:
        async with Fetcher(FetchOptions(allow_private=True, timeout_s=0.2, backoff_s=0.001)) as fetcher:
            codes = await asyncio.gather(*(code_of(fetcher, url) for url in silent))
            return [*codes, await code_of(fetcher, fine)]

    async def code_of(fetcher: Fetcher, url: str) -> str:
        try:
            async with fetcher.fetch(parse(url)) as fetched:
                return fetched.body.decode()
        except FetchError as error:
            return error.code

    assert asyncio.run(run()) == ["timeout", "timeout", "timeout", "whole"]
    assert [server.n_requests(f"/{n}") for n in range(3)] == [2, 2, 2]


def test_a_host_that_comes_back_is_found_up(server: ImageServer) -> None:
    url = server.add_raw("/", InTurn(*[[b""]] * 5, [OK]))

    async def run() -> list[bytes | str]:
        outcomes: list[bytes | str] = []
        options = FetchOptions(allow_private=True, tries=1, backoff_s=0.0, down_retry_s=0.1)
        async with Fetcher(options) as fetcher, asyncio.timeout(20):
            while b"whole" not in outcomes:
                try:
                    async with fetcher.fetch(parse(url)) as fetched:
                        outcomes.append(fetched.body)
                except FetchError as error:
                    outcomes.append(str(error))
                    await asyncio.sleep(0.01)
        return outcomes

    outcomes = asyncio.run(run())
    assert sum("not tried" not in str(outcome) for outcome in outcomes) == 6
    assert server.n_requests("/") == 6


@pytest.mark.parametrize("answer", [BUSY, b""], ids=["503", "no answer"])
def test_urls_that_fail_hold_up_no_others_of_their_host(server: ImageServer, answer: bytes) -> None:
    urls = [
        server.add(f"/{n}", body=b"whole") if n % 20 else server.add_raw(f"/{n}", [b"", answer]) for n in range(1, 400)
    ]
    # Were one of them the host's failure, the others would wait for days.
    outcomes = fetch_all(urls, tries=1, backoff_s=1e6)
    assert outcomes.count(b"whole") == 380
