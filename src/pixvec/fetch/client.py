"""A `URL` -> the bytes behind it, over one HTTP client.

It must not read URL text, judge addresses or know what the bytes mean.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver

from pixvec.errors import UsageError
from pixvec.fetch.address import AddressGuard, parse_allowed
from pixvec.fetch.attempt import Attempt, Fetched
from pixvec.fetch.budget import ByteBudget
from pixvec.fetch.dns import SystemResolver
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.pool import ConnectionPool
from pixvec.fetch.slots import Slots
from pixvec.fetch.url import URL

_HEADERS: Final = {
    "User-Agent": f"pixvec/{version('pixvec')} (+https://github.com/pixvec/pixvec)",
    # A compressed picture would be a bomb to defuse, and hardly smaller.
    "Accept-Encoding": "identity",
}
_READ_BUFFER_BYTES: Final = 1 << 16
_CERTIFICATE_PLACES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # OpenSSL's environment variables


class Fetcher:
    """Fetches URLs over one pool of connections; an async context manager, for one event loop.

    Cancel what is under way before the exit: a fetch that loses its connections fails as if its server had gone.

    Parameters
    ----------
    options
        What may be reached, and the limits.
    resolver
        Looks names up, and raises `socket.gaierror` where it can't; the system's where none is given.

    Raises
    ------
    UsageError
        For an address to allow that can't be read, or where there are no certificates to verify servers with.
    """

    def __init__(self, options: FetchOptions, *, resolver: AbstractResolver | None = None) -> None:
        self._options = options
        self._guard = AddressGuard(
            allow_private=options.allow_private, allowed=map(parse_allowed, options.allow_address)
        )
        self._tls = _tls_context(*map(os.environ.get, _CERTIFICATE_PLACES))
        self._resolver = resolver or SystemResolver(timeout_s=options.dns_timeout_s)
        self._slots = Slots(options.connections, per_host=options.connections_per_host)
        self._budget = ByteBudget(options.max_bytes_in_flight)

    async def __aenter__(self) -> Self:
        limits = self._options
        connector = ConnectionPool(
            connections=limits.connections,
            resolver=self._resolver,
            socket_factory=self._guard.open_socket,
            ssl=self._tls,
        )
        timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.dns_timeout_s + limits.connect_timeout_s, sock_connect=limits.connect_timeout_s
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_BUFFER_BYTES,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._session.close()
        await self._resolver.close()

    @asynccontextmanager
    async def fetch(self, url: URL) -> AsyncIterator[Fetched]:
        """Fetch the bytes behind a URL; they count against the budget until the exit.

        Raises
        ------
        FetchError
            With a code, and a detail that holds neither addresses, queries nor anything the server said.
        """
        with self._budget.lease() as lease:
            attempt = Attempt(
                url, lease, session=self._session, slots=self._slots, budget=self._budget, options=self._options
            )
            yield await attempt.fetch()


@cache
def _tls_context(*_places: str | None) -> ssl.SSLContext:
    # Reading the certificates takes longer than a fetch, so it is done once for each place they are to come from.
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"]:
        try:
            context.load_verify_locations(certifi.where())
        except OSError as error:
            raise UsageError(
                "no certificates to verify https servers with: install the system's, or certifi"
            ) from error
    return context
