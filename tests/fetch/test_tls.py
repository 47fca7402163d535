from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pixvec.errors import FetchError
from pixvec.fetch import Fetcher, FetchOptions
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import FakeDNS, Fetch

# Made for these tests, for localhost and 127.0.0.1, by
# openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=pixvec test server"
#   -addext "subjectAltName=DNS:localhost,IP:127.0.0.1"
CERTIFICATE = Path(__file__).with_name("self_signed.pem")


@pytest.fixture
def server() -> Iterator[ImageServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    with ImageServer(tls=context) as running:
        running.add("/", body=b"ok")
        yield running


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATE))


@pytest.mark.usefixtures("trusted")
def test_a_trusted_server_is_fetched_from(server: ImageServer, fetch: Fetch) -> None:
    assert fetch(server.url("/")).body == b"ok"


def test_an_unknown_issuer_is_refused(server: ImageServer, failure: Callable[..., FetchError]) -> None:
    error = failure(server.url("/"))
    assert error.code == "tls_error"
    assert "self-signed" in error.detail


@pytest.mark.usefixtures("trusted")
def test_a_certificate_for_another_name_is_refused(server: ImageServer, failure: Callable[..., FetchError]) -> None:
    dns = FakeDNS(other_example=[["127.0.0.1"]])
    assert failure(f"https://other.example:{server.port}/", resolver=dns).code == "tls_error"


def test_without_system_certificates_those_of_certifi_are_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    context = Fetcher(FetchOptions())._tls
    assert context.cert_store_stats()["x509_ca"] > 0
