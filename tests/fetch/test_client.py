from __future__ import annotations

import asyncio
import gc
import socket
import threading
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any

import pytest

from pixvec.errors import FetchError, UsageError
from pixvec.fetch import Fetched, Fetcher, FetchOptions, parse
from pixvec.testing.server import End, ImageServer
from tests.fetch.conftest import FakeDNS, Fetch

Failure = Callable[..., FetchError]
OK = b"HTTP/1.1 200 OK\r\n"


def test_brings_the_bytes(server: ImageServer, fetch: Fetch) -> None:
    body = bytes(range(256)) * 4000
    assert Fetched(body, None) == fetch(server.add("/a.png", body=body))


@pytest.mark.parametrize(
    "target", ["/a%2Fb%7E%41.png?x=%3D&y=%7e", "/a?", "/?a=1&b=2", "/?url=http://x/y", "/a%23b.png", "/a/..b//c"]
)
def test_a_url_goes_on_the_wire_as_it_is(server: ImageServer, fetch: Fetch, target: str) -> None:
    fetch(server.add(target) + "#fragment")
    assert [target] == [request.target for request in server.requests]


def test_says_who_asks_and_asks_for_plain_bytes(server: ImageServer, fetch: Fetch) -> None:
    fetch(server.add("/"))
    headers = server.requests[0].headers
    assert headers["user-agent"].startswith("pixvec/")
    assert headers["accept-encoding"] == "identity"
    assert headers["host"] == server.address


@pytest.mark.parametrize("status", [202, 204, 206, 300, 304, 401, 403, 404, 410, 429, 451, 500, 503, 999])
def test_any_other_status_is_a_code_of_its_own(server: ImageServer, failure: Failure, status: int) -> None:
    assert f"http_{status}" == failure(server.add("/", status=status)).code


@pytest.mark.parametrize(
    ("content_range", "is_whole"),
    [
        ("bytes 0-2/3", True),
        ("bytes 0-1/3", False),
        ("bytes 1-2/3", False),
        ("bytes 0-2/*", False),
        ("bytes 0-2/" + "3" * 5000, False),
    ],
    ids=["whole", "start", "end", "of unknown size", "of absurd size"],
)
def test_a_partial_answer_counts_if_it_holds_everything(
    server: ImageServer, fetch: Fetch, content_range: str, *, is_whole: bool
) -> None:
    url = server.add("/", status=206, body=b"abc", headers={"Content-Range": content_range})
    if is_whole:
        assert fetch(url).body == b"abc"
    else:
        with pytest.raises(FetchError, match=r"^http_206"):
            fetch(url)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/b?", "b?", "//{address}/b?", "http://{address}/b?#c"])
def test_follows_redirects(server: ImageServer, fetch: Fetch, status: int, location: str) -> None:
    server.add("/b?", body=b"b")
    url = server.add("/a", status=status, headers={"Location": location.format(address=server.address)})
    assert Fetched(b"b", server.url("/b?")) == fetch(url)


@pytest.mark.parametrize(
    ("location", "target"),
    [(b"/\xe4\xb8\xad.png", "/%E4%B8%AD.png"), (b"/\xe9.png", "/%E9.png"), (b"/a b.png", "/a%20b.png")],
    ids=["UTF-8", "Latin-1", "space"],
)
def test_a_location_of_raw_bytes_is_escaped(server: ImageServer, fetch: Fetch, location: bytes, target: str) -> None:
    server.add(target, body=b"b")
    url = server.add_raw("/a", [b"HTTP/1.1 302 -\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"])
    assert fetch(url).body == b"b"


@pytest.mark.parametrize(("n_redirects", "code"), [(10, None), (11, "too_many_redirects")])
def test_follows_ten_redirects(server: ImageServer, fetch: Fetch, n_redirects: int, code: str | None) -> None:
    for hop in range(n_redirects):
        server.add(f"/{hop}", status=302, headers={"Location": f"/{hop + 1}"})
    server.add(f"/{n_redirects}", body=b"end")
    if code is None:
        assert fetch(server.url("/0")).body == b"end"
    else:
        with pytest.raises(FetchError, match=code):
            fetch(server.url("/0"))


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("http://{canary}/", "address_blocked"),
        ("//{canary}/", "address_blocked"),
        ("http://localhost:{port}/", "address_blocked"),
        ("http://2130706433:{port}/", "invalid_url"),
        ("http://user:pw@{canary}/", "invalid_url"),
        ("file:///etc/passwd", "scheme_blocked"),
        ("http://[::ffff:127.0.0.1]:{port}/", "address_blocked"),
    ],
)
def test_a_redirect_meets_the_same_checks(
    server: ImageServer, canary: ImageServer, failure: Failure, location: str, code: str
) -> None:
    target = location.format(canary=canary.address, port=canary.port)
    error = failure(server.add("/a", status=302, headers={"Location": target}))
    assert code == error.code
    assert "redirect 1" in error.detail
    assert not {"127.0.0.1", "pw", "passwd"} & set(error.detail.replace("@", " ").replace("/", " ").split())


def test_a_redirect_to_nowhere_is_its_status(server: ImageServer, failure: Failure) -> None:
    assert failure(server.add("/a", status=302)).code == "http_302"


def test_cookies_are_not_kept(server: ImageServer, fetch: Fetch) -> None:
    server.add("/b")
    fetch(server.add("/a", status=302, headers={"Location": "/b", "Set-Cookie": "a=b"}))
    assert "cookie" not in server.requests[-1].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0", "①②⑦.⓪.⓪.①"])
def test_the_machine_itself_is_out_of_reach(canary: ImageServer, failure: Failure, host: str) -> None:
    error = failure(f"http://{host}:{canary.port}/")
    assert error.code == "address_blocked"
    assert "127.0.0.1" not in error.detail


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["127.0.0.1", "10.0.0.1", "::1"], ["::ffff:127.0.0.1"], ["169.254.169.254", "127.0.0.1"]],
    ids=repr,
)
def test_a_name_is_judged_by_its_addresses(canary: ImageServer, failure: Failure, addresses: list[str]) -> None:
    dns = FakeDNS(host_example_=[addresses])
    assert failure(f"http://host.example.:{canary.port}/", resolver=dns).code == "address_blocked"


def test_of_several_addresses_only_the_open_one_is_dialled(server: ImageServer, fetch: Fetch) -> None:
    server.add("/", body=b"ok")
    dns = FakeDNS(host_example=[["10.0.0.1", "127.0.0.1", "127.0.0.2"]])
    assert fetch(f"http://host.example:{server.port}/", resolver=dns).body == b"ok"


def test_a_name_that_changes_its_address_is_judged_anew(server: ImageServer, failure: Failure) -> None:
    server.add("/", status=302, headers={"Location": f"http://later.example:{server.port}/", "Connection": "close"})
    dns = FakeDNS(host_example=[["127.0.0.1"]], later_example=[["127.0.0.2"]])
    assert failure(f"http://host.example:{server.port}/", resolver=dns).code == "address_blocked"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "host_not_found"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "dns_error"),
        (socket.gaierror(socket.EAI_FAIL, "x"), "dns_error"),
    ],
    ids=["no such name", "no answer", "a broken answer"],
)
def test_names_that_cannot_be_looked_up(failure: Failure, error: OSError, code: str) -> None:
    assert code == failure("http://host.example/", resolver=FakeDNS(host_example=error)).code


def test_a_proxy_in_the_environment_is_ignored(
    server: ImageServer, canary: ImageServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, canary.url(""))
    assert fetch(server.add("/", body=b"ok")).body == b"ok"


def test_a_refused_port_is_a_connect_error(failure: Failure) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        assert failure(f"http://{address}/", allow_address=(address,)).code == "connect_error"


CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "pause_s", "end", "code"),
    [
        pytest.param([], 0, "silence", "timeout", id="silence"),
        pytest.param(chain([OK], repeat(b"X: y\r\n")), 0.1, "close", "timeout", id="dripping head"),
        pytest.param(chain([OK, b"\r\n"], repeat(b"x")), 0.1, "close", "timeout", id="dripping body"),
        pytest.param(chain([CHUNKED], repeat(CHUNK)), 0, "close", "too_many_bytes", id="endless body"),
        pytest.param(
            [OK + b"Content-Length: 10000000000\r\n\r\n"], 0, "silence", "too_many_bytes", id="10 GB announced"
        ),
        pytest.param([OK + b"Content-Length: 9\r\n\r\nabc"], 0, "close", "truncated_body", id="FIN in the body"),
        pytest.param([OK + b"Content-Length: 9\r\n\r\nabc"], 0.1, "reset", "truncated_body", id="RST in the body"),
        pytest.param([CHUNKED + b"9\r\nabc"], 0, "close", "truncated_body", id="FIN in a chunk"),
        pytest.param([], 0, "close", "connect_error", id="FIN before the head"),
        pytest.param([], 0, "reset", "connect_error", id="RST before the head"),
        pytest.param([CHUNKED + b"zz\r\n"], 0, "silence", "bad_response", id="bad chunk"),
        pytest.param([OK + b"Content-Length: -1\r\n\r\n"], 0, "silence", "bad_response", id="negative length"),
        pytest.param(
            [OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"], 0, "close", "bad_response", id="two lengths"
        ),
        pytest.param([OK + b"Content-Length: 1\r\n\r\nab"], 0, "silence", "bad_response", id="more than announced"),
        pytest.param([OK + b"X: y\r\n" * 200 + b"\r\n"], 0, "silence", "bad_response", id="200 headers"),
        pytest.param([OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n"], 0, "silence", "bad_response", id="long header"),
        pytest.param([b"HTTP/1.1 200 " + b"x" * 1_000_000], 0, "silence", "bad_response", id="long status line"),
        pytest.param([OK + b"X: a\0b\r\n\r\n"], 0, "silence", "bad_response", id="NUL in a header"),
        pytest.param([b"HTTP/1.1 1000 -\r\n\r\n"], 0, "silence", "bad_response", id="status of four digits"),
        pytest.param([b"<html>"], 0, "close", "bad_response", id="HTTP/0.9"),
        pytest.param([b"\0\1\2"], 0, "silence", "bad_response", id="garbage"),
        pytest.param([OK + b"Content-Encoding: gzip\r\n\r\n"], 0, "close", "bad_encoding", id="gzip"),
    ],
)
def test_bad_manners_have_codes(
    server: ImageServer, failure: Failure, pieces: Any, pause_s: float, end: End, code: str
) -> None:
    url = server.add_raw("/", pieces, pause_s=pause_s, end=end)
    assert code == failure(url, timeout_s=1.0, max_bytes=1 << 20).code


@pytest.mark.parametrize(
    ("answer", "end"),
    [(OK + b"Content-Length: 3\r\n\r\nabc", "silence"), (OK + b"\r\nabc", "close")],
    ids=["the connection stays open", "no length"],
)
def test_unusual_manners_do_no_harm(server: ImageServer, fetch: Fetch, answer: bytes, end: End) -> None:
    assert fetch(server.add_raw("/", [answer], end=end)).body == b"abc"


@pytest.mark.parametrize(("n_bytes", "fits"), [(1000, True), (1001, False)])
def test_a_body_may_be_as_large_as_the_limit(server: ImageServer, fetch: Fetch, n_bytes: int, *, fits: bool) -> None:
    url = server.add_raw("/", [OK, b"\r\n", bytes(n_bytes)])
    if fits:
        assert len(fetch(url, max_bytes=1000).body) == n_bytes
    else:
        with pytest.raises(FetchError, match=r"^too_many_bytes"):
            fetch(url, max_bytes=1000)


def fetch_all(urls: list[str], options: FetchOptions) -> list[Fetched | BaseException]:
    async def one(fetcher: Fetcher, url: str) -> Fetched:
        async with fetcher.fetch(parse(url)) as fetched:
            return fetched

    async def run() -> list[Fetched | BaseException]:
        async with Fetcher(options) as fetcher:
            return await asyncio.gather(*(one(fetcher, url) for url in urls), return_exceptions=True)

    return asyncio.run(run())


def test_waiting_for_a_turn_is_not_on_the_clock(server: ImageServer) -> None:
    urls = [server.add(f"/{n}", body=b"x", delay_s=0.3) for n in range(8)]
    options = FetchOptions(allow_address=(server.address,), connections_per_host=1, timeout_s=1.0)
    assert fetch_all(urls, options) == [Fetched(b"x", None)] * 8


def test_connections_are_kept_while_rows_wait_for_them(server: ImageServer) -> None:
    urls = [server.add(f"/{n}", body=b"x") for n in range(40)]
    options = FetchOptions(allow_address=(server.address,), connections_per_host=2)
    assert fetch_all(urls, options) == [Fetched(b"x", None)] * 40
    assert server.n_connections <= 4


def test_bodies_larger_than_the_budget_together_all_arrive(server: ImageServer) -> None:
    urls = [server.add(f"/{n}", body=bytes(300_000)) for n in range(20)]
    options = FetchOptions(allow_address=(server.address,), max_bytes_in_flight=500_000)
    assert fetch_all(urls, options) == [Fetched(bytes(300_000), None)] * 20


def test_a_cancelled_fetch_leaves_nothing_behind(server: ImageServer) -> None:
    stuck = [server.add_raw("/a", [], end="silence"), server.add_raw("/b", [OK, b"\r\n", b"x"], end="silence")]

    async def run() -> int:
        async with Fetcher(FetchOptions(allow_address=(server.address,))) as fetcher:
            tasks = [asyncio.create_task(fetcher.fetch(parse(url)).__aenter__()) for url in stuck * 5]
            await asyncio.sleep(0.2)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return len(asyncio.all_tasks())

    assert asyncio.run(run()) == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pixvec")]
    gc.collect()  # an open socket would warn


def test_an_address_to_allow_is_read_at_the_start() -> None:
    with pytest.raises(UsageError, match="localhost:80"):
        Fetcher(FetchOptions(allow_address=("localhost:80",)))
