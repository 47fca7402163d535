from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pytest
import trustme

from pixvec.errors import FetchError, UsageError
from pixvec.fetch import FetchOptions
from pixvec.pipeline.settings import Settings
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import FakeDNS, Fetch

CREDENTIALS = "Basic " + base64.b64encode(b"user:secret").decode()


class Tunnel:
    """A proxy that knows CONNECT: it asks for a password, and connects to one server whatever it is told."""

    def __init__(self, server: ImageServer, *, password: str | None = None) -> None:
        self._server = server
        self._password = password
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._accept)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.targets: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection:
                    self._serve(connection)

    def _serve(self, client: socket.socket) -> None:
        head = client.recv(65536).decode()
        self.targets.append(head.split(" ")[1])
        if self._password and f"Proxy-Authorization: {self._password}" not in head:
            client.sendall(b"HTTP/1.1 407 secret\r\nContent-Length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self._server.port)) as server:
            client.sendall(b"HTTP/1.1 200 -\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client))
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def https_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ImageServer]:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("h.example").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with ImageServer(tls=context) as running:
        running.add("/a.png?", body=b"ok")
        yield running


def test_http_goes_through_the_proxy_as_it_is(server: ImageServer, fetch: Fetch) -> None:
    url = "http://h.example/a%2F.png?"
    server.add(url, body=b"ok")
    dns = FakeDNS()
    assert fetch(url, proxy=server.url(""), resolver=dns).body == b"ok"
    assert not dns.asked  # which server it is, the proxy looks up
    assert server.requests[0].headers["host"] == "h.example"


def test_the_proxy_alone_gets_its_password(server: ImageServer, fetch: Fetch) -> None:
    server.add("http://h.example/", body=b"ok")
    fetch("http://h.example/", proxy=f"http://user:secret@{server.address}")
    assert server.requests[0].headers["proxy-authorization"] == CREDENTIALS
    assert "authorization" not in server.requests[0].headers


def test_which_addresses_may_be_reached_is_up_to_the_proxy(server: ImageServer, fetch: Fetch) -> None:
    server.add("http://10.0.0.1:22/", body=b"ok")
    assert fetch("http://10.0.0.1:22/", proxy=server.url("")).body == b"ok"


@pytest.mark.parametrize("password", [None, CREDENTIALS], ids=["open", "password"])
def test_https_goes_through_a_tunnel(https_server: ImageServer, fetch: Fetch, password: str | None) -> None:
    with Tunnel(https_server, password=password) as tunnel:
        url = "https://h.example/a.png?"
        proxy = f"http://user:secret@{tunnel.address}"
        assert fetch(url, proxy=proxy, allow_address=(tunnel.address,)).body == b"ok"
    assert tunnel.targets == ["h.example:443"]
    assert not {"authorization", "proxy-authorization"} & set(https_server.requests[0].headers)


def test_through_a_tunnel_the_certificate_is_verified(https_server: ImageServer, fetch: Fetch) -> None:
    with Tunnel(https_server) as tunnel, pytest.raises(FetchError, match=r"^tls_error"):
        fetch("https://other.example/", proxy=f"http://{tunnel.address}", allow_address=(tunnel.address,))


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_guard_judges_the_proxy(canary: ImageServer, failure: Callable[..., FetchError], scheme: str) -> None:
    error = failure(f"{scheme}://h.example/", proxy=canary.url(""))
    assert error.code == "address_blocked"
    assert error.detail.startswith("the proxy: a loopback address")


def refused_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_not_there(failure: Callable[..., FetchError], scheme: str) -> None:
    address = refused_port()
    error = failure(f"{scheme}://h.example/", proxy=f"http://{address}", allow_address=(address,))
    assert str(error) == "connect_error: the proxy could not be reached (Connection refused)"


def test_a_proxy_whose_name_is_unknown(failure: Callable[..., FetchError]) -> None:
    dns = FakeDNS(proxy_example=socket.gaierror(socket.EAI_NONAME, "x"))
    error = failure("http://h.example/", proxy="http://user:secret@proxy.example", resolver=dns)
    assert str(error) == "connect_error: the proxy's name could not be looked up"


def test_a_proxy_that_refuses(https_server: ImageServer, failure: Callable[..., FetchError]) -> None:
    with Tunnel(https_server, password="another") as tunnel:
        proxy = f"http://user:secret@{tunnel.address}"
        error = failure("https://h.example/", proxy=proxy, allow_address=(tunnel.address,))
    assert str(error) == "connect_error: the proxy would not connect to the server (407)"


@pytest.mark.parametrize(
    "text",
    [
        *("proxy.example:3128", "socks5://proxy.example", "http://", "http://user:secret@", "http://h.example/path"),
        *("http://h.example?secret", "http://user:secret@h.example:port", "", "://", "http://[secret"),
        *("http://user:secret€@h.example", "http://us%3Aer:secret@h.example"),
    ],
)
def test_refuses_a_proxy_and_does_not_quote_it(text: str) -> None:
    with pytest.raises(UsageError, match=r"^`proxy`: .*expected http://") as raised:
        FetchOptions(proxy=text)
    assert "secret" not in str(raised.value)


def test_a_proxy_of_another_type_is_not_quoted() -> None:
    wrong: Any = {"https": "http://user:secret@h.example"}
    with pytest.raises(UsageError, match="`proxy=…`: expected str, got dict"):
        Settings(proxy=wrong)
