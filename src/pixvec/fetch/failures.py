"""What aiohttp, ssl and the system raise -> a `FetchError`: the only place that knows their classes.

What is not in the table is raised as it came: it is a bug, or this machine has no file descriptor left.
"""

from __future__ import annotations

import os
import socket
import ssl
from typing import Final

import aiohttp

from pixvec.errors import FetchError
from pixvec.fetch.connections.address import AddressBlockedError
from pixvec.fetch.connections.descriptors import is_shortage
from pixvec.fetch.connections.dns import UNKNOWN_NAME
from pixvec.fetch.connections.pool import BrokenBodyError
from pixvec.fetch.http.http_faults import http_fault

_TABLE: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    # The first that fits counts: classes stand before their bases.
    (aiohttp.ClientConnectorDNSError, "dns_error", "the name could not be looked up"),
    (socket.gaierror, "dns_error", "the name could not be looked up"),
    (aiohttp.ClientSSLError, "tls_error", "no secure connection"),
    (aiohttp.ServerFingerprintMismatch, "tls_error", "no secure connection"),
    (ssl.SSLError, "tls_error", "no secure connection"),
    (aiohttp.ConnectionTimeoutError, "timeout", "no connection in time"),
    (TimeoutError, "timeout", "no complete answer in time"),
    (aiohttp.ClientProxyConnectionError, "connect_error", "the proxy could not be reached"),
    (aiohttp.ClientHttpProxyError, "connect_error", "the proxy would not connect to the server"),
    (BrokenBodyError, "bad_response", "what the server sent is no valid HTTP"),
    (aiohttp.ClientPayloadError, "truncated_body", "the body ended before it was complete"),
    (aiohttp.ClientResponseError, "bad_response", "what the server sent is no valid HTTP"),
    (aiohttp.InvalidURL, "invalid_url", "the HTTP client cannot send it"),
    (aiohttp.ClientConnectionError, "connect_error", "the connection could not be made or broke"),
    (ConnectionError, "connect_error", "the connection broke"),
)


def as_fetch_error(error: Exception) -> FetchError | None:
    """Say what an exception of the HTTP client means for a row; None for one that is not about the row at all."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if is_shortage(cause):
        return None
    if isinstance(cause, FetchError):
        return cause
    if isinstance(cause, AddressBlockedError):
        whose = "the proxy: " if isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        return FetchError("address_blocked", whose + cause.detail)
    if isinstance(cause, socket.gaierror) and cause.errno in UNKNOWN_NAME:
        return FetchError("host_not_found", "no such host")
    for kind, code, sentence in _TABLE:
        if isinstance(error, kind):
            fault = http_fault(error) if code == "bad_response" else None
            return FetchError(code, f"{sentence}: {fault}" if fault else sentence + _reason(cause))
    return None


def _reason(cause: BaseException) -> str:
    """Quote only what cannot hold an address, a query or a server's own words."""
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f" ({cause.status})"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f" ({cause.verify_message.partition(',')[0]})"  # a comma, and it names host or address
    if isinstance(cause, ssl.SSLError):
        return f" ({cause.reason})"
    if isinstance(cause, socket.gaierror):
        return f" ({cause.strerror})"
    return f" ({os.strerror(cause.errno)})" if isinstance(cause, OSError) and cause.errno else ""
