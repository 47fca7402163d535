from __future__ import annotations

import pytest

from pixvec.errors import UsageError
from pixvec.fetch import FetchOptions, parse
from pixvec.fetch.headers import parse_header
from pixvec.testing.server import ImageServer

from .conftest import FakeDNS, Fetch


def test_says_who_asks(server: ImageServer, fetch: Fetch) -> None:
    fetch(server.add("/"), user_agent="mybot/1.0 (+https://mybot.example)")
    assert server.requests[0].headers["user-agent"] == "mybot/1.0 (+https://mybot.example)"


@pytest.mark.parametrize("text", ["", " ", "a\r\nX: y", "a\0", "böt"])
def test_refuses_a_user_agent_that_cannot_be_sent(text: str) -> None:
    with pytest.raises(UsageError, match="`user_agent`"):
        FetchOptions(user_agent=text)


@pytest.mark.parametrize(
    ("header", "url", "is_sent"),
    [
        ("h.example: X-Key: a b", "http://h.example/", True),
        ("H.Example: X-Key: a b", "https://h.example:8080/", True),
        ("h.example:8080: X-Key: a b", "http://h.example:8080/", True),
        ("h.example:8080: X-Key: a b", "http://h.example/", False),
        ("h.example:443: X-Key: a b", "https://h.example/", True),
        ("h.example: X-Key: a b", "http://www.h.example/", False),
        ("bücher.example: X-Key: a b", "http://xn--bcher-kva.example/", True),
        ("127.0.0.1: X-Key: a b", "http://127.0.0.1/", True),
        ("[::1]: X-Key: a b", "http://[0:0::1]/", True),
        ("[::1]:81: X-Key: a b", "http://[::1]:81/", True),
    ],
)
def test_a_header_is_for_one_host(header: str, url: str, *, is_sent: bool) -> None:
    assert parse_header(header).is_for(parse(url)) == is_sent


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("h.example: X-Key:a", "X-Key", "a"),
        ("h.example: X-Key:  a: b\t", "X-Key", "a: b"),
        ("h.example:  Cookie: a=b; c=d", "Cookie", "a=b; c=d"),
        ("h.example: X-Empty:", "X-Empty", ""),
    ],
)
def test_reads_a_header(text: str, name: str, value: str) -> None:
    header = parse_header(text)
    assert (header.name, header.value) == (name, value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("X-Key: secret", "expected 'HOST: Name: value'"),
        ("h.example:X-Key: secret", "with a space after the host's colon"),
        ("h.example: X Key: secret", "expected 'HOST: Name: value'"),
        ("http://h.example: X-Key: secret", "expected 'HOST: Name: value'"),
        ("h..example: X-Key: secret", "is no host"),
        ("0x7f.1: X-Key: secret", "is no host"),
        ("h.example:99999: X-Key: secret", "is no host"),
        ("h.example: X-Key: secret\r\nX: y", "the value of X-Key must be one line"),
        ("h.example: X-Key: sécret", "the value of X-Key must be one line"),
        ("h.example: X-Key: secret\0", "the value of X-Key must be one line"),
        ("h.example: Host: secret", "Host cannot be set"),
        ("h.example: content-length: secret", "content-length cannot be set"),
        ("h.example: Transfer-Encoding: secret", "Transfer-Encoding cannot be set"),
        ("h.example: Accept-Encoding: secret", "Accept-Encoding cannot be set"),
        ("", "expected 'HOST: Name: value'"),
    ],
)
def test_refuses_a_header_and_quotes_no_value(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as raised:
        FetchOptions(header=(text,))
    assert "secret" not in str(raised.value)


def test_headers_go_to_their_host_alone(server: ImageServer, fetch: Fetch) -> None:
    server.add("/b")
    dns = FakeDNS(a_example=[["127.0.0.1"]], b_example=[["127.0.0.1"]])
    server.add("/a", status=302, headers={"Location": f"http://b.example:{server.port}/b"})
    headers = ("a.example: X-A: 1", "b.example: X-B: 2", "c.example: X-C: 3", "b.example: user-agent: mine")
    fetch(f"http://a.example:{server.port}/a", resolver=dns, header=headers)
    sent = [{name: value for name, value in r.headers.items() if name.startswith("x-")} for r in server.requests]
    assert sent == [{"x-a": "1"}, {"x-b": "2"}]
    assert server.requests[1].headers["user-agent"] == "mine"


def test_secrets_are_not_shown() -> None:
    options = FetchOptions(header=("h.example: X-Key: secret",), proxy="http://user:secret@proxy.example")
    assert "secret" not in repr(options)
    assert "secret" not in repr(parse_header("h.example: X-Key: secret"))
