"""A `URL` -> the bytes behind it: turns, the clock of a try, redirects, status and size, around one HTTP client.

It must not read URL text, judge addresses or know what the bytes mean.
"""

from __future__ import annotations

import asyncio
import http
import os
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

import aiohttp
import certifi
import yarl
from aiohttp.abc import AbstractResolver

from pixvec.errors import FetchError, UsageError
from pixvec.fetch.address import AddressGuard, parse_allowed
from pixvec.fetch.budget import ByteBudget, Lease
from pixvec.fetch.dns import SystemResolver
from pixvec.fetch.failures import as_fetch_error
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.pool import ConnectionPool
from pixvec.fetch.slots import Slots
from pixvec.fetch.url import URL

_HEADERS: Final = {
    "User-Agent": f"pixvec/{version('pixvec')} (+https://github.com/pixvec/pixvec)",
    # A compressed picture would be a bomb to defuse, and hardly smaller.
    "Accept-Encoding": "identity",
}
_REDIRECTS: Final = frozenset([301, 302, 303, 307, 308])
_STATUSES: Final = frozenset(http.HTTPStatus)
_CONTENT_RANGE: Final = re.compile(r"bytes 0-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18})")
_READ_BUFFER_BYTES: Final = 1 << 16
_CERTIFICATE_PLACES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # OpenSSL's environment variables


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes behind a URL, and where they came from if redirects led elsewhere."""

    body: bytes
    final_url: str | None


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
            yield await self._try(url, lease)

    async def _try(self, url: URL, lease: Lease) -> Fetched:
        hops = [url]
        try:
            async with asyncio.timeout(self._options.timeout_s) as clock:
                body = await self._follow(hops, lease, clock)
        except (FetchError, aiohttp.ClientError, OSError) as error:
            failure = as_fetch_error(error)
            if failure is None:
                raise
            raise FetchError(failure.code, _hop_name(hops) + failure.detail) from error
        return Fetched(body, str(hops[-1]) if len(hops) > 1 else None)

    async def _follow(self, hops: list[URL], lease: Lease, clock: asyncio.Timeout) -> bytes:
        """Follow redirects from the last of `hops`, which grows with them, to a body."""
        while len(hops) <= self._options.max_redirects + 1:
            async with self._get(hops[-1], clock) as response:
                location = response.headers.get("Location") if response.status in _REDIRECTS else None
                if location is None:
                    return await self._read(response, lease, clock)
            hops.append(_next_hop(hops, location))
        raise FetchError("too_many_redirects", f"more than {self._options.max_redirects} redirects")

    @asynccontextmanager
    async def _get(self, url: URL, clock: asyncio.Timeout) -> AsyncIterator[aiohttp.ClientResponse]:
        async with AsyncExitStack() as stack:
            with _stopped(clock):
                await stack.enter_async_context(self._slots.turn(url.host))
                await self._budget.wait_for_room()
            yield await stack.enter_async_context(self._session.get(_as_sent(url), allow_redirects=False))

    async def _read(self, response: aiohttp.ClientResponse, lease: Lease, clock: asyncio.Timeout) -> bytes:
        _refuse_status(response)
        _refuse_encoding(response)
        self._refuse_size(response.content_length or 0)
        chunks = []
        async for chunk in response.content.iter_any():
            self._refuse_size(lease.n_bytes + len(chunk))
            with _stopped(clock):
                await lease.take(len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)

    def _refuse_size(self, n_bytes: int) -> None:
        if n_bytes > self._options.max_bytes:
            raise FetchError("too_many_bytes", f"the body is larger than {self._options.max_bytes:,} bytes")


@contextmanager
def _stopped(clock: asyncio.Timeout) -> Iterator[None]:
    """Stop a running clock while the fetch waits for others."""
    loop = asyncio.get_running_loop()
    when = clock.when()
    assert when is not None, "the clock runs"  # noqa: S101 (a condition that types cannot state)
    left_s = when - loop.time()
    clock.reschedule(None)
    yield
    clock.reschedule(loop.time() + left_s)


def _next_hop(hops: list[URL], location: str) -> URL:
    try:
        return hops[-1].join(location)
    except FetchError as error:
        raise FetchError(error.code, f"where redirect {len(hops)} leads: {error.detail}") from None


def _as_sent(url: URL) -> yarl.URL:
    # All of the target as path: yarl would drop the mark of an empty query.
    return yarl.URL.build(scheme=url.scheme, authority=url.authority, path=url.target, encoded=True)


def _hop_name(hops: list[URL]) -> str:
    if len(hops) == 1:
        return ""
    host = "an IP address" if hops[-1].names_an_address else hops[-1].host
    return f"redirect {len(hops) - 1} to {host}: "


def _refuse_status(response: aiohttp.ClientResponse) -> None:
    if response.status == http.HTTPStatus.OK or _is_whole(response):
        return
    phrase = http.HTTPStatus(response.status).phrase if response.status in _STATUSES else "a status without a name"
    raise FetchError(f"http_{response.status:03d}", f"the server answered {response.status} ({phrase})")


def _is_whole(response: aiohttp.ClientResponse) -> bool:
    parts = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return (
        response.status == http.HTTPStatus.PARTIAL_CONTENT
        and parts is not None
        and (int(parts["last"]) + 1 == int(parts["size"]))
    )


def _refuse_encoding(response: aiohttp.ClientResponse) -> None:
    encodings = ",".join(response.headers.getall("Content-Encoding", ())).lower()
    if encodings.strip() not in {"", "identity"}:
        raise FetchError("bad_encoding", "the body is compressed, which was not asked for")


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
