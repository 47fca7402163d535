from __future__ import annotations

import pytest

from pixvec.errors import UsageError
from pixvec.fetch import FetchOptions, parse
from pixvec.fetch.http.headers import parse_header
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import FakeDNS, Fetch


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
        ("h.example: X-Key: a b", "https://h.example/", True),
        ("H.Example: X-Key: a b", "https://h.example:443/", True),
        ("h.example: X-Key: a b", "http://h.example/", False),
        ("h.example: X-Key: a b", "https://h.example:8080/", False),
        ("h.example: X-Key: a b", "http://h.example:443/", False),
        ("h.example:8080: X-Key: a b", "https://h.example:8080/", True),
        ("h.example:8080: X-Key: a b", "http://h.example:8080/", False),
        ("https://h.example: X-Key: a b", "https://h.example/", True),
        ("http://h.example: X-Key: a b", "http://h.example/", True),
        ("http://h.example: X-Key: a b", "https://h.example/", False),
        ("http://h.example:81: X-Key: a b", "http://h.example:81/", True),
        ("h.example: X-Key: a b", "https://www.h.example/", False),
        ("bücher.example: X-Key: a b", "https://xn--bcher-kva.example/", True),
        ("127.0.0.1: X-Key: a b", "https://127.0.0.1/", True),
        ("[::1]: X-Key: a b", "https://[0:0::1]/", True),
        ("[::1]:81: X-Key: a b", "https://[::1]:81/", True),
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
        ("X-Key: secret", "Name: value'"),
        ("h.example:X-Key: secret", "with a space after the colon"),
        ("h.example: X Key: secret", "Name: value'"),
        ("ftp://h.example: X-Key: secret", "expected '"),
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
        ("", "Name: value'"),
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
    a, b, c = (f"http://{name}.example:{server.port}" for name in "abc")
    headers = (f"{a}: X-A: 1", f"{b}: X-B: 2", f"{c}: X-C: 3", f"{b}: user-agent: mine", "a.example: X-D: 4")
    fetch(f"http://a.example:{server.port}/a", resolver=dns, header=headers)
    sent = [{name: value for name, value in r.headers.items() if name.startswith("x-")} for r in server.requests]
    assert sent == [{"x-a": "1"}, {"x-b": "2"}]
    assert server.requests[1].headers["user-agent"] == "mine"


def test_secrets_are_not_shown() -> None:
    options = FetchOptions(header=("h.example: X-Key: secret",), proxy="http://user:secret@proxy.example")
    assert "secret" not in repr(options)
    assert "secret" not in repr(parse_header("h.example: X-Key: secret"))


def test_a_header_without_encryption_is_warned_of_once(
    server: ImageServer, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    url, header = server.add("/"), (f"{server.url('')}: X-Key: secret", "h.example: X-Other: secret")
    for _ in range(2):
        fetch(url, header=header)
    assert [record.getMessage() for record in caplog.records] == [
        f"the header X-Key goes to {server.url('')} without encryption"
    ]
