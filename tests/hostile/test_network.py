"""Servers that push back, break off, fall silent or are not there: cases 37, 44 to 47, 49 to 51 and 73.

Through the whole pipeline: each cell comes to one row, at its place, whatever its server does.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import time
from collections.abc import Callable, Generator
from typing import Any, TypeAlias

import pytest

from pixvec.errors import FetchError
from pixvec.fetch import Fetcher, FetchOptions, parse
from pixvec.model import ClipModel
from pixvec.model.checkpoint import load
from pixvec.pipeline.images import embed_alone
from pixvec.pipeline.report import Report
from pixvec.pipeline.settings import Settings
from pixvec.testing.bad_manners import BlackHole, InTurn
from pixvec.testing.images import image_bytes
from pixvec.testing.server import End, ImageServer
from pixvec.values import Row
from tests.fetch.conftest import FakeDNS

Embed: TypeAlias = Callable[..., list[Row]]
RowsOf: TypeAlias = Callable[..., Generator[Row, None, None]]

IMAGE = image_bytes(size=(64, 48))
OTHER_IMAGE = image_bytes(size=(64, 48), seed=1)


def head(status: int, *fields: str, n_bytes: int = 0) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status} -", f"Content-Length: {n_bytes}", *fields, "", ""]).encode()


WHOLE = [head(200, n_bytes=len(IMAGE)), IMAGE]
CUT = [head(200, n_bytes=len(IMAGE)), IMAGE[:-100]]


@pytest.fixture(scope="module")
def model(checkpoint: str) -> ClipModel:
    return ClipModel(load(checkpoint), Settings(precision="fp32", batch_size=4))


@pytest.fixture
def rows_of(model: ClipModel) -> RowsOf:
    """Embed cells, with limits that make failing quick; hand the rows out as they come."""

    def run(*cells: str, **options: Any) -> Generator[Row, None, None]:
        quick = {"allow_private": True, "backoff_s": 0.001, "connect_timeout_s": 1.0, "timeout_s": 10.0, **options}
        return embed_alone(cells, model, Settings(batch_size=4, **quick), Report())

    return run


@pytest.fixture
def embed(rows_of: RowsOf, server: ImageServer) -> Embed:
    """Embed cells with a good one before and after, which must not suffer; return the rows of the others."""

    def run(*cells: str, **options: Any) -> list[Row]:
        with ImageServer() as good:
            urls = [good.add(path, body=IMAGE) for path in ("/before", "/after")]
            before, *rows, after = rows_of(urls[0], *cells, urls[1], **options)
        assert (before.error, after.error, len(rows)) == (None, None, len(cells))
        assert all((row.vector is None) == (row.error is not None) == (row.detail is not None) for row in rows)
        return rows

    return run


def errors(rows: list[Row]) -> list[str | None]:
    return [row.error for row in rows]


BREAKS: dict[str, tuple[list[bytes], End, str]] = {
    "RST in the body": (CUT, "reset", "truncated_body"),
    "FIN in the body": (CUT, "close", "truncated_body"),
    "FIN before the head": ([], "close", "connect_error"),
    "RST before the head": ([], "reset", "connect_error"),
}
BROKEN = [pytest.param(*how, id=f"37-{name}") for name, how in BREAKS.items()]


@pytest.mark.parametrize(("pieces", "end", "code"), BROKEN)
def test_half_an_image_is_never_embedded(
    server: ImageServer, embed: Embed, pieces: list[bytes], end: End, code: str
) -> None:
    assert errors(embed(server.add_raw("/", pieces, pause_s=0.02, end=end))) == [code]
    assert server.n_requests("/") == 3


@pytest.mark.parametrize(("pieces", "end", "code"), BROKEN)
def test_an_image_that_comes_whole_in_the_end_is_embedded(
    server: ImageServer, embed: Embed, pieces: list[bytes], end: End, code: str
) -> None:
    url = server.add_raw("/", InTurn(pieces, pieces, WHOLE), pause_s=0.1, end=end)
    assert errors(embed(url)) == [None]
    assert server.n_requests("/") == 3


@pytest.mark.parametrize(
    ("fields", "n_requests", "least_s"),
    [
        pytest.param(["Retry-After: 1"], 2, 1.0, id="44-seconds"),
        pytest.param(
            ["Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", "Date: Wed, 21 Oct 2015 07:27:59 GMT"], 2, 1.0, id="44-date"
        ),
        pytest.param(["Retry-After: Wed, 21 Oct 2015 07:28:00 GMT"], 2, 0.0, id="44-date long past"),
        pytest.param(["Retry-After: -1"], 2, 0.0, id="44-negative"),
        pytest.param(["Retry-After: when it is over"], 2, 0.0, id="44-garbage"),
        pytest.param([], 2, 0.0, id="44-nothing said"),
        pytest.param(["Retry-After: 86400"], 1, 0.0, id="44-tomorrow"),
    ],
)
def test_a_server_that_is_busy_is_waited_for(
    server: ImageServer, embed: Embed, fields: list[str], n_requests: int, least_s: float
) -> None:
    url = server.add_raw("/", InTurn([head(429, *fields)], WHOLE))
    started = time.monotonic()
    assert errors(embed(url)) == [None if n_requests > 1 else "http_429"]
    assert time.monotonic() - started >= least_s
    assert server.n_requests("/") == n_requests


def test_44_a_busy_server_has_its_whole_host_held_and_no_other(server: ImageServer, rows_of: RowsOf) -> None:
    busy = [server.add_raw(f"/{number}", InTurn([head(429, "Retry-After: 25")], WHOLE)) for number in range(20)]
    with ImageServer() as other:
        rows = rows_of(other.add("/", body=OTHER_IMAGE, delay_s=0.3), *busy, first_connections_per_host=1)
        assert next(rows).error is None
        assert len(server.requests) <= 1
        rows.close()


@pytest.mark.parametrize(
    ("statuses", "code", "n_requests"),
    [
        pytest.param([503, 503, 200], None, 3, id="45-503 503 200"),
        *(pytest.param([status], f"http_{status}", 3, id=f"45-{status} for ever") for status in (408, 425, 429, 500)),
        *(pytest.param([status], f"http_{status}", 1, id=f"45-{status}") for status in (400, 401, 403, 404, 410, 451)),
    ],
)
def test_only_statuses_that_may_pass_are_tried_again(
    server: ImageServer, embed: Embed, statuses: list[int], code: str | None, n_requests: int
) -> None:
    answers = [WHOLE if status == 200 else [head(status)] for status in statuses]
    assert errors(embed(server.add_raw("/", InTurn(*answers)))) == [code]
    assert server.n_requests("/") == n_requests


def test_46_a_server_that_accepts_and_says_nothing_is_a_time_out(server: ImageServer, embed: Embed) -> None:
    assert errors(embed(server.add_raw("/", [], end="silence"), timeout_s=0.5)) == ["timeout"]
    assert server.n_requests("/") == 2


def test_46_an_address_that_drops_connections_is_a_time_out(embed: Embed) -> None:
    with BlackHole() as dead:
        assert errors(embed(dead.url("/"))) == ["timeout"]


def test_46_a_port_that_refuses_is_a_connect_error(embed: Embed) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert errors(embed(f"http://127.0.0.1:{bound.getsockname()[1]}/")) == ["connect_error"]


@pytest.mark.parametrize(
    ("reason", "code"), [(socket.EAI_AGAIN, "dns_error"), (socket.EAI_NONAME, "host_not_found")], ids=["47-a", "47-b"]
)
def test_a_name_that_fails_is_not_looked_up_for_each_row(reason: int, code: str) -> None:
    dns = FakeDNS(dead_example=socket.gaierror(reason, "x"))

    async def run() -> list[str]:
        async def one(fetcher: Fetcher, number: int) -> str:
            with pytest.raises(FetchError) as raised:
                await fetcher.fetch(parse(f"http://dead.example/{number}")).__aenter__()
            return raised.value.code

        async with Fetcher(FetchOptions(backoff_s=0.001), resolver=dns) as fetcher:
            return await asyncio.gather(*(one(fetcher, number) for number in range(1000)))

    assert asyncio.run(run()) == [code] * 1000
    assert len(dns.asked) <= 20


def test_49_a_dead_host_with_half_of_the_rows_delays_no_other(server: ImageServer, rows_of: RowsOf) -> None:
    good = [server.add(f"/{n}", body=IMAGE) for n in range(50)]
    with BlackHole() as dead:
        cells = [cell for number, url in enumerate(good) for cell in (dead.url(f"/{number}"), url)]
        rows = rows_of(*cells, connect_timeout_s=3.0)
        assert next(rows).error == "timeout"
        assert len(server.requests) == 50
        assert errors(list(rows)) == [None, *["timeout", None] * 49]


def test_49_rows_behind_a_dead_host_are_told_that_they_were_not_tried(embed: Embed) -> None:
    with BlackHole() as dead:
        rows = embed(*(dead.url(f"/{number}") for number in range(500)))
    assert errors(rows) == ["timeout"] * 500
    assert sum("not tried" not in str(row.detail) for row in rows) <= 16


def test_50_an_image_is_whole_at_its_length_though_the_connection_stays_open(server: ImageServer, embed: Embed) -> None:
    assert errors(embed(server.add_raw("/", WHOLE, end="silence"), tries=1)) == [None]


def test_51_a_server_that_waits_for_its_cookie_waits_in_vain(server: ImageServer, embed: Embed) -> None:
    wall = server.add("/wall", status=302, headers={"Location": "/wall", "Set-Cookie": "seen=1"})
    assert errors(embed(wall, server.add("/free", body=IMAGE))) == ["too_many_redirects", None]
    assert server.n_requests("/wall") == 11
    assert not any("cookie" in request.headers for request in server.requests)


def test_73_the_hash_is_that_of_the_bytes_that_were_embedded(server: ImageServer, embed: Embed) -> None:
    changed = [head(200, 'ETag: "two"', n_bytes=len(OTHER_IMAGE)), OTHER_IMAGE]
    (row,) = embed(server.add_raw("/", InTurn(CUT, changed)))
    assert row.image is not None
    assert row.image.sha256 == hashlib.sha256(OTHER_IMAGE).digest()
