"""Servers whose certificates prove nothing: case 48, with the names of badssl.com's."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from pixvec.errors import FetchError
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import FakeDNS, Fetch
from tests.hostile.conftest import Outcome

AUTHORITY = trustme.CA()
HOST = "h.example"
LAST_YEAR = datetime.now(UTC) - timedelta(days=365)


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))


def serving(certificate: trustme.LeafCert, *, n_chain: int | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = b"".join(pem.bytes() for pem in certificate.cert_chain_pems[:n_chain])
    with trustme.Blob(certificate.private_key_pem.bytes() + chain).tempfile() as path:
        context.load_cert_chain(path)
    return context


def self_signed() -> ssl.SSLContext:
    alone = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with trustme.Blob(alone.private_key_pem.bytes() + alone.cert_pem.bytes()).tempfile() as path:
        context.load_cert_chain(path)
    return context


def incomplete_chain() -> ssl.SSLContext:
    return serving(AUTHORITY.create_child_ca().issue_cert(HOST), n_chain=1)


@pytest.mark.parametrize(
    "context",
    [
        pytest.param(lambda: serving(AUTHORITY.issue_cert(HOST, not_after=LAST_YEAR)), id="expired"),
        pytest.param(self_signed, id="self-signed"),
        pytest.param(lambda: serving(AUTHORITY.issue_cert("other.example")), id="wrong.host"),
        pytest.param(lambda: serving(AUTHORITY.issue_cert("*.h.example")), id="wildcard of the host itself"),
        pytest.param(lambda: serving(trustme.CA().issue_cert(HOST)), id="untrusted-root"),
        pytest.param(incomplete_chain, id="incomplete-chain"),
        pytest.param(
            lambda: serving(AUTHORITY.issue_cert(HOST, *(f"name{n}.h.example" for n in range(10_000)))),
            id="10000-sans",
        ),
    ],
)
def test_case_48_a_server_that_cannot_be_trusted(context: Callable[[], ssl.SSLContext], fetch: Fetch) -> None:
    with ImageServer(tls=context()) as server:
        server.add("/", body=b"ok")
        with pytest.raises(FetchError, match=r"^tls_error: no secure connection \(.+\)") as raised:
            fetch(
                f"https://{HOST}:{server.port}/",
                resolver=FakeDNS(h_example=[["127.0.0.1"]]),
                allow_address=(server.address,),
            )
    assert "example" not in raised.value.detail
    assert not server.requests


@pytest.mark.parametrize("n_chain", [None, 1], ids=["whole chain", "no chain needed"])
def test_case_48_a_server_that_can_be_trusted(outcome: Outcome, n_chain: int | None) -> None:
    issuer = AUTHORITY if n_chain else AUTHORITY.create_child_ca()
    with ImageServer(tls=serving(issuer.issue_cert(HOST), n_chain=n_chain)) as server:
        server.add("/", body=b"ok")
        dns = FakeDNS(h_example=[["127.0.0.1"]])
        assert outcome(f"https://{HOST}:{server.port}/", resolver=dns, allow_address=(server.address,)) == "ok"


@contextmanager
def answering(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Serve each connection by a function, one after the other; gives the address."""

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_case_48_plain_http_where_tls_was_asked_for(outcome: Outcome) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    with answering(answer) as address:
        assert outcome(f"https://{address}/", allow_address=(address,)) == "tls_error"


@pytest.mark.skipif(not ssl.HAS_TLSv1, reason="OpenSSL here cannot serve TLS 1.0")
def test_case_48_a_protocol_that_is_no_longer_safe(outcome: Outcome) -> None:
    context = serving(AUTHORITY.issue_cert("127.0.0.1"))
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
    with answering(lambda connection: context.wrap_socket(connection, server_side=True)) as address:
        assert outcome(f"https://{address}/", allow_address=(address,)) == "tls_error"


def test_case_48_tls_where_plain_http_was_asked_for(outcome: Outcome) -> None:
    with ImageServer(tls=serving(AUTHORITY.issue_cert("127.0.0.1"))) as server:
        url = f"http://{server.address}/"
        assert outcome(url, allow_address=(server.address,)) in {"bad_response", "connect_error"}
