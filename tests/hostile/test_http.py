"""Answers that no server should give: cases 31, 34 to 36, 38 to 43, 47 and 52."""

from __future__ import annotations

import asyncio
import gzip
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import pytest

import pixvec
from pixvec.errors import FetchError
from pixvec.fetch import Fetcher, FetchOptions, parse
from pixvec.fetch.connections.dns import SystemResolver
from pixvec.testing.images import image_bytes
from pixvec.testing.server import End, ImageServer
from tests.fetch.conftest import FakeDNS, Fetch
from tests.hostile.conftest import Codes, Outcome

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"10000\r\n" + bytes(0x10000) + b"\r\n"
MIB = 1 << 20


@pytest.mark.parametrize(
    "pieces",
    [chain([OK], repeat(b"X: y\r\n")), chain([OK, b"\r\n"], repeat(b"x"))],
    ids=["headers", "body"],
)
def test_case_34_dripping(server: ImageServer, outcome: Outcome, pieces: Iterable[bytes]) -> None:
    assert outcome(server.add_raw("/", pieces, pause_s=0.1), timeout_s=0.5) == "timeout"


def test_case_35_an_endless_body_is_read_to_the_limit_and_no_further(server: ImageServer, outcome: Outcome) -> None:
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield CHUNKED
        while True:
            sent += len(CHUNK)
            yield CHUNK

    assert outcome(server.add_raw("/", endless()), max_bytes=MIB) == "too_many_bytes"
    assert sent < 16 * MIB  # what the sockets' buffers hold, too


@pytest.mark.parametrize(
    ("answer", "end", "code"),
    [
        (OK + b"Content-Length: 10000000000\r\n\r\n", "silence", "too_many_bytes"),
        (OK + b"Content-Length: 9\r\n\r\nabc", "close", "truncated_body"),
        (OK + b"Content-Length: 1\r\n\r\nab", "silence", "bad_response"),
        (OK + b"Content-Length: -1\r\n\r\n", "silence", "bad_response"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "close", "bad_response"),
    ],
    ids=["10 GB announced", "body short", "body long", "negative", "two lengths"],
)
def test_case_36_lengths_that_are_not_so(
    server: ImageServer, outcome: Outcome, answer: bytes, end: End, code: str
) -> None:
    assert outcome(server.add_raw("/", [answer], end=end)) == code


def zeros(n_bytes: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([*(packer.compress(bytes(MIB)) for _ in range(n_bytes // MIB)), packer.flush()])


BODY = bytes(range(256)) * 100
PACKED = gzip.compress(BODY)
BARE = zlib.compressobj(9, zlib.DEFLATED, -15)
PACKINGS = [
    pytest.param("gzip", PACKED, id="gzip"),
    pytest.param("GZip", PACKED, id="another case"),
    pytest.param("x-gzip", PACKED, id="x-gzip"),
    pytest.param("deflate", zlib.compress(BODY), id="deflate"),
    pytest.param("deflate", BARE.compress(BODY) + BARE.flush(), id="bare deflate"),
    pytest.param("identity, gzip", PACKED, id="identity beside it"),
    pytest.param("gzip", PACKED + b"\r\n", id="bytes behind it"),
    pytest.param("none", BODY, id="none"),
    pytest.param("utf-8", BODY, id="a charset"),
    pytest.param("", BODY, id="empty"),
]


@pytest.mark.parametrize(("encoding", "packed"), PACKINGS)
def test_case_40_a_packed_body_is_unpacked(server: ImageServer, fetch: Fetch, encoding: str, packed: bytes) -> None:
    assert fetch(server.add("/", body=packed, headers={"Content-Encoding": encoding})).body == BODY


def test_case_40_a_packed_body_in_pieces_is_unpacked(server: ImageServer, fetch: Fetch) -> None:
    head = OK + b"Content-Encoding: gzip\r\n\r\n"
    pieces = [head, *(PACKED[at : at + 7] for at in range(0, len(PACKED), 7))]
    assert fetch(server.add_raw("/", pieces)).body == BODY


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        pytest.param("gzip, gzip, gzip, gzip, gzip, gzip", PACKED, id="packed six times"),
        pytest.param("gzip, br", PACKED, id="packed twice"),
        pytest.param("br", b"\x0b\x02\x80", id="brotli"),
        pytest.param("zstd", b"(\xb5/\xfd", id="zstd"),
        pytest.param("secret-word", BODY, id="unknown"),
        pytest.param("gzip", PACKED[:-8] + bytes(8), id="bad trailer"),
        pytest.param("gzip", PACKED[:-1], id="no end"),
        pytest.param("gzip", BODY, id="not packed"),
        pytest.param("gzip", b"", id="nothing"),
        pytest.param("deflate", BODY, id="not deflated"),
    ],
)
def test_case_39_a_body_that_cannot_be_unpacked(
    server: ImageServer, fetch: Fetch, encoding: str, packed: bytes
) -> None:
    with pytest.raises(FetchError, match=r"^bad_encoding") as raised:
        fetch(server.add("/", body=packed, headers={"Content-Encoding": encoding}))
    assert "secret" not in raised.value.detail


def test_case_39_a_bomb_is_put_out_at_the_limit(server: ImageServer, outcome: Outcome) -> None:
    url = server.add("/", body=zeros(64 * MIB), headers={"Content-Encoding": "gzip"})
    tracemalloc.start()
    try:
        assert outcome(url, max_bytes=MIB) == "too_many_bytes"
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()


PEAK_MIB = """
import asyncio, re, sys
from pixvec.errors import FetchError
from pixvec.fetch import Fetcher, FetchOptions, parse

def peak_mib():
    return int(re.search(r"VmHWM:\\s+([0-9]+) kB", open("/proc/self/status").read())[1]) / 1024

async def main(url):
    async with Fetcher(FetchOptions(allow_private=True)) as fetcher:
        before = peak_mib()
        try:
            await fetcher.fetch(parse(url)).__aenter__()
        except FetchError as error:
            print(error.code, int(peak_mib() - before))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process's memory is read from /proc")
def test_case_39_a_bomb_of_10_gb_takes_little_more_than_the_limit(server: ImageServer) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    mib_of_zeros = packer.compress(bytes(MIB)) + packer.flush(zlib.Z_FULL_FLUSH)  # may be repeated at will
    url = server.add("/", body=mib_of_zeros * 10_240, headers={"Content-Encoding": "deflate"})
    said = subprocess.run([sys.executable, "-c", PEAK_MIB, url], capture_output=True, text=True, timeout=60, check=True)
    code, n_mib = said.stdout.split()
    assert code == "too_many_bytes"
    assert int(n_mib) < 32 + 32


def test_case_39_packed_bytes_that_hold_nothing_end_at_the_limit(server: ImageServer, outcome: Outcome) -> None:
    empty_blocks = b"\0\0\0\xff\xff" * 13_000
    pieces = chain([OK + b"Content-Encoding: deflate\r\n\r\n"], repeat(empty_blocks))
    assert outcome(server.add_raw("/", pieces), max_bytes=MIB) == "too_many_bytes"


@pytest.mark.parametrize(("n_bytes", "code"), [(MIB, "ok"), (MIB + 1, "too_many_bytes")])
def test_case_39_the_limit_is_of_what_is_unpacked(
    server: ImageServer, outcome: Outcome, n_bytes: int, code: str
) -> None:
    url = server.add("/", body=gzip.compress(bytes(n_bytes)), headers={"Content-Encoding": "gzip"})
    assert outcome(url, max_bytes=MIB) == code


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"X: y\r\n" * 200 + b"\r\n",
        OK + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * MIB,
        OK + b"X: a\0b\r\n\r\n",
        b"HTTP/1.1 1000 -\r\n\r\n",
        b"<html>no head</html>\r\n\r\n",
        b"\0\1\2\xff\r\n\r\n",
        b"\x16\x03\x03\x00\x02\x02\x28",
    ],
    ids=["200 headers", "long header", "1 MB status line", "NUL", "status 1000", "HTTP/0.9", "garbage", "TLS alert"],
)
def test_case_41_what_is_no_http(server: ImageServer, outcome: Outcome, answer: bytes) -> None:
    assert outcome(server.add_raw("/", [answer], end="silence"), timeout_s=2.0) == "bad_response"


FAULTS = {
    OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab": "Content-Length is given twice",
    OK + b"Content-Length: secret\r\n\r\n": "Content-Length is not a number",
    OK + b"Content-Length: \r\n\r\n": "Content-Length is empty",
    OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok": "both Content-Length and Transfer-Encoding",
    OK + b"secret\r\n\r\n": "a header line has no colon",
    OK + b"X: secret\0\r\n\r\n": "a header's value holds an illegal character",
    OK + b"X: secret\rsecret\r\n\r\n": "a line ends in the wrong characters",
    OK + b"X: secret\r\n" * 200 + b"\r\n": "it has too many header lines",
    OK + b"X: " + b"s" * 70_000 + b"\r\n\r\n": "a header line is longer than 64 KiB",
    OK + b"X: secret\r\n" + b"".join(b"X-%d: %b\r\n" % (n, b"s" * 60_000) for n in range(20)): "longer than 256 KiB",
    b"HTTP/1.1 1000 secret\r\n\r\n": "its status is not a number of three digits",
    b"secret\r\n\r\n": "it does not begin with a status line of HTTP/1",
    CHUNKED + b"secret\r\n": "a chunk's length cannot be read",
    CHUNKED + b"1\r\nsecret\r\n": "a chunk's length cannot be read, or",
}


@pytest.mark.parametrize(("answer", "reason"), FAULTS.items(), ids=range(len(FAULTS)))
def test_case_41_the_detail_names_the_fault_and_quotes_nothing(
    server: ImageServer, failure: Callable[..., FetchError], answer: bytes, reason: str
) -> None:
    error = failure(server.add_raw("/", [answer], end="silence"))
    assert error.code == "bad_response"
    assert re.search(reason, error.detail)
    assert "secret" not in error.detail


@pytest.mark.parametrize("n_bytes", [8_500, 65_000])
def test_case_41_a_long_header_line_is_read(server: ImageServer, outcome: Outcome, n_bytes: int) -> None:
    policy = {"Content-Security-Policy": "x" * n_bytes}
    assert outcome(server.add("/", body=b"ok", headers=policy)) == "ok"


def test_case_41_a_long_body_of_one_answer_is_no_long_header(server: ImageServer, outcome: Outcome) -> None:
    pieces = [OK + b"Content-Length: 600000\r\n", b"\r\n", bytes(300_000), bytes(300_000)]
    assert outcome(server.add_raw("/", pieces)) == "ok"


WHOLE = OK + b"Content-Length: 2\r\n\r\nok"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
FOUND = b"HTTP/1.1 302 Found\r\nLocation: /ok\r\n"


@pytest.mark.parametrize(
    ("pieces", "code"),
    [
        pytest.param([CONTINUE * 5_000, WHOLE], "ok", id="100 five thousand times"),
        pytest.param(repeat(CONTINUE * 1_000), "timeout", id="100 for ever"),
        pytest.param(
            [CHUNKED, b"2;x=" + b"y" * MIB + b"\r\nok\r\n0\r\n\r\n"], "bad_response", id="chunk extension of 1 MiB"
        ),
        pytest.param(chain([CHUNKED, b"2;x="], repeat(bytes(65_536))), "bad_response", id="chunk extension of NULs"),
        pytest.param([CHUNKED, b"0" * 100_000 + b"2\r\nok\r\n0\r\n\r\n"], "ok", id="chunk length of many zeros"),
        pytest.param(chain([CHUNKED], repeat(b"1\r\na\r\n" * 5_000)), "timeout", id="chunks of a byte for ever"),
        pytest.param([CHUNKED, b"2\r\nok\r\n0\r\nX-Robots-Tag: noai\r\n\r\n"], "ok", id="trailer"),
        pytest.param([OK, b"Set-Cookie: a=b\r\n" * 10_000, b"\r\nok"], "bad_response", id="10,000 cookies"),
        pytest.param([FOUND[:-2] + b"a" * MIB + b"\r\n\r\n"], "bad_response", id="Location of 1 MiB"),
        pytest.param(chain([FOUND + b"\r\n"], repeat(bytes(65_536))), "ok", id="redirect with an endless body"),
        pytest.param([b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok"], "ok", id="kept alive without length"),
        pytest.param([WHOLE, WHOLE], "ok", id="two answers"),
        pytest.param(
            [OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nok"], "bad_response", id="two framings"
        ),
        pytest.param(repeat(b"\r\n" * 10_000), "bad_response", id="line breaks for ever"),
    ],
)
def test_case_41_answers_that_stretch_http(
    server: ImageServer, outcome: Outcome, pieces: Iterable[bytes], code: str
) -> None:
    server.add("/ok", body=b"ok")
    assert outcome(server.add_raw("/", pieces), timeout_s=1.5) == code


BROKEN_BODIES = {
    "no length": b"zzz\r\nabc\r\n0\r\n\r\n",
    "a length past counting": b"fffffffffffffffff\r\nabc",
    "a chunk longer than it says": b"1\r\nabc\r\n",
    "trailers without a colon": b"0\r\ntrailer\r\n\r\n",
    "too many trailers": b"0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    "a trailer too long": b"0\r\nX: " + b"y" * 100_000,
}


@pytest.mark.parametrize("broken", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_case_41_a_body_that_breaks_after_its_head_is_no_http(
    server: ImageServer, outcome: Outcome, broken: bytes
) -> None:
    pieces = [CHUNKED, b"3\r\nabc\r\n", broken]
    assert outcome(server.add_raw("/", pieces, pause_s=0.05, end="silence"), timeout_s=5.0) == "bad_response"


@pytest.mark.parametrize(
    ("status", "headers", "code"),
    [
        (201, {}, "ok"),
        (203, {}, "ok"),
        (202, {}, "http_202"),
        (204, {}, "http_204"),
        (304, {}, "http_304"),
        (206, {"Content-Range": "bytes 0-1/3"}, "http_206"),
        (206, {"Content-Range": "bytes 0-2/3"}, "ok"),
        (206, {}, "http_206"),
    ],
)
def test_case_42_statuses(
    server: ImageServer, outcome: Outcome, status: int, headers: dict[str, str], code: str
) -> None:
    body = b"" if status in {204, 304} else b"abc"
    assert outcome(server.add("/", status=status, body=body, headers=headers)) == code


def test_case_27_credentials_of_the_environment_are_not_sent(
    server: ImageServer, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    fetch(server.add("/", body=b"ok"))
    assert set(server.requests[0].headers) == {"host", "user-agent", "accept-encoding", "accept"}


SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="9" height="9">
<image width="9" height="9" xlink:href="{link}"/></svg>"""
LAUGHS = """<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "ha">{more}]>
<svg xmlns="http://www.w3.org/2000/svg"><text>&z9;</text></svg>"""


def test_case_31_images_that_lead_elsewhere(server: ImageServer, canary: ImageServer, codes: Codes) -> None:
    more = "".join(f'<!ENTITY z{n} "{"&a;" if not n else f"&z{n - 1};" * 10}">' for n in range(10))
    bodies = [SVG.format(link="file:///etc/passwd"), SVG.format(link=canary.url("/")), LAUGHS.format(more=more)]
    urls = [server.add(f"/{n}.svg", body=body.encode(), content_type="image/svg+xml") for n, body in enumerate(bodies)]
    assert codes(urls) == ["unsupported_format"] * 3


def test_case_38_42_43_and_69_bytes_decide_what_an_answer_is(server: ImageServer, codes: Codes) -> None:
    image = image_bytes("JPEG")
    answers = {
        server.add("/login", body=b"<!doctype html><title>Log in</title>", content_type="text/html"): "not_an_image",
        server.add("/json", body=b'{"error": 1}', content_type="application/json"): "not_an_image",
        server.add("/empty", content_type="image/jpeg"): "not_an_image",
        server.add("/html-as-png", body=b"<html></html>", content_type="image/png"): "not_an_image",
        server.add("/jpeg-as-html", body=image, content_type="text/html"): "ok",
        server.add("/jpeg-as-bytes", body=image, content_type="application/octet-stream"): "ok",
        server.add_raw("/jpeg-as-nothing", [OK, b"\r\n", image]): "ok",
        server.add("/png.jpg", body=image_bytes("PNG"), content_type="image/jpeg"): "ok",  # case 69
        server.add("/eps.png", body=image_bytes("EPS"), content_type="image/png"): "unsupported_format",
        server.add("/webp.svg", body=image_bytes("WEBP"), content_type="image/svg+xml"): "ok",
        server.add_raw("/cut-off", [OK, b"\r\n", image[: len(image) // 2]]): "corrupt_image",  # case 38
    }
    assert dict(zip(answers, codes(list(answers)), strict=True)) == answers


def test_case_42_a_page_in_place_of_an_image_is_named_and_not_quoted(server: ImageServer, checkpoint: str) -> None:
    url = server.add("/a.jpg", body=b"<!doctype html><title>secret</title>", content_type="image/jpeg")
    with pixvec.Embedder(model=checkpoint, allow_address=(server.address,)) as embedder:
        table = embedder.embed([url])
    assert table.errors == ["not_an_image"]
    assert table.details == ["36 bytes that are an HTML page"]


@pytest.mark.parametrize(
    ("error", "code", "n_asked"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), "host_not_found", 1),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "dns_error", 3),
        (socket.gaierror(socket.EAI_FAIL, "x"), "dns_error", 3),
    ],
    ids=["NXDOMAIN", "SERVFAIL", "FORMERR"],
)
def test_case_47_names_that_cannot_be_looked_up(outcome: Outcome, error: OSError, code: str, n_asked: int) -> None:
    dns = FakeDNS(h_example=error)
    assert outcome("http://h.example/", resolver=dns, tries=3, backoff_s=0.0) == code
    assert len(dns.asked) == n_asked


@pytest.fixture
def half_dead_dns() -> Iterator[SystemResolver]:
    """Hangs for ever, as with name servers behind a black hole, but not for names that are alive."""
    ended = threading.Event()

    def getaddrinfo(host: bytes, port: int, **options: Any) -> list[tuple[Any, ...]]:
        if host.startswith(b"dead"):
            ended.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    yield SystemResolver(timeout_s=1.0, getaddrinfo=getaddrinfo)
    ended.set()


def test_case_47_dead_hosts_do_not_starve_the_others(server: ImageServer, half_dead_dns: SystemResolver) -> None:
    server.add("/", body=b"ok")
    hosts = [name for number in range(130) for name in (f"dead{number}.example", f"live{number}.example")]

    async def code(fetcher: Fetcher, host: str) -> str:
        try:
            async with fetcher.fetch(parse(f"http://{host}:{server.port}/")):
                return "ok"
        except FetchError as error:
            return error.code

    async def run() -> list[str]:
        options = FetchOptions(allow_address=(server.address,), tries=1)
        async with Fetcher(options, resolver=half_dead_dns) as fetcher:
            return await asyncio.gather(*(code(fetcher, host) for host in hosts))

    assert asyncio.run(run()) == ["dns_error", "ok"] * 130


@pytest.mark.parametrize(
    ("headers", "opt_out", "code"),
    [
        (["noai"], None, "opt_out"),
        (["noimageai"], None, "opt_out"),
        (["NoAI, noarchive"], None, "opt_out"),
        (["noarchive , noai"], None, "opt_out"),
        (["noindex"], None, "ok"),
        (["noindex"], "noindex", "opt_out"),
        (["noimageindex"], "noai,noimageindex", "opt_out"),
        (["none"], "noindex", "opt_out"),
        (["none"], None, "ok"),
        (["noai"], "none", "ok"),
        (["noai"], "noimageai", "ok"),
        (["pixvec: noai"], None, "opt_out"),
        (["otherbot: noai"], None, "ok"),
        (["otherbot: noindex, noai"], None, "ok"),
        (["otherbot: noindex, pixvec: noai"], None, "opt_out"),
        (["all", "noai"], None, "opt_out"),
        (["otherbot: noai", "noimageai"], None, "opt_out"),
        (["unavailable_after: 25 Jun 2010 15:00:00 PST"], None, "ok"),
        (["unavailable_after: Fri, 25 Jun 2010 15:00:00 GMT, noai"], None, "opt_out"),
        (["max-image-preview: large, noai"], None, "opt_out"),
        (["noairplane"], None, "ok"),
        (["", ":", ": noai", ",,"], None, "ok"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_case_52_opting_out(
    server: ImageServer, outcome: Outcome, headers: list[str], opt_out: str | None, code: str
) -> None:
    fields = "".join(f"X-Robots-Tag: {header}\r\n" for header in headers)
    url = server.add_raw("/", [OK, b"Content-Length: 2\r\n", fields.encode(), b"\r\nok"], end="silence")
    assert outcome(url, **({} if opt_out is None else {"opt_out": opt_out})) == code


def test_case_52_the_users_own_agent_is_meant_too(server: ImageServer, outcome: Outcome) -> None:
    url = server.add("/", headers={"X-Robots-Tag": "MyBot: noai"})
    assert (outcome(url), outcome(url, user_agent="mybot/2.0 (+https://mybot.example)")) == ("ok", "opt_out")
