"""A `URL` -> the bytes behind it, over one HTTP client; files and objects in buckets too, where they are allowed."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import PurePath
from types import TracebackType
from typing import Final, Self, TypeAlias

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver

from pixvec.errors import FetchError, UsageError
from pixvec.fetch.attempt import Attempt, Fetched
from pixvec.fetch.buckets import BucketObject, parse_bucket, parse_object
from pixvec.fetch.budget import ByteBudget, Lease
from pixvec.fetch.caller import Caller
from pixvec.fetch.connections.address import AddressBlockedError, AddressGuard, parse_allowed
from pixvec.fetch.connections.descriptors import Patience, fitting_connections
from pixvec.fetch.connections.dns import Names, SystemResolver
from pixvec.fetch.connections.pool import ConnectionPool
from pixvec.fetch.files import LocalFile, LocalFiles
from pixvec.fetch.hosts.limiter import HostLimiter
from pixvec.fetch.http.http_faults import MAX_LINE_BYTES
from pixvec.fetch.http.validators import Validators
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.requester import Requester
from pixvec.fetch.retries import Retries
from pixvec.fetch.storage.bucket_attempt import BucketAttempt
from pixvec.fetch.storage.client import Storages
from pixvec.fetch.storage.hub import Hub, HubAttempt, find_hub
from pixvec.fetch.url import URL, parse, parse_path

Source: TypeAlias = URL | LocalFile | BucketObject
"""Where the bytes of a cell are."""

_READ_BUFFER_BYTES: Final = 1 << 16
_CERTIFICATE_PLACES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # OpenSSL's environment variables


class Fetcher:
    """Fetches URLs over one pool of connections; an async context manager, for one event loop.

    Cancel what is in progress before the exit: a fetch that loses its connections fails as if its server had gone.

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
        self._n_connections = fitting_connections(options.connections)
        self._guard = AddressGuard(
            allow_private=options.allow_private, allowed=map(parse_allowed, options.allow_address)
        )
        self._tls = _tls_context(*map(os.environ.get, _CERTIFICATE_PLACES))
        names = resolver or SystemResolver(timeout_s=options.dns_timeout_s)
        self._names = Names(names, memory_s=options.dns_memory_s)
        self._limiter = HostLimiter(options, connections=self._n_connections)
        self._patience = Patience(options.max_open_wait_s)
        self._budget = ByteBudget(options.max_bytes_in_flight)
        self._buckets = frozenset(map(parse_bucket, options.allow_bucket))
        self._storages = Storages(options)
        self._hub: Hub | None = None
        self._files = LocalFiles(options.files_under, max_bytes=options.max_bytes)

    async def __aenter__(self) -> Self:
        limits = self._options
        connector = ConnectionPool(
            connections=self._n_connections,
            resolver=self._names,
            use_dns_cache=False,
            socket_factory=self._guard.open_socket,
            ssl=self._tls,
        )
        timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.dns_timeout_s + limits.connect_timeout_s, sock_connect=limits.connect_timeout_s
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            middlewares=[connector.send],
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_BUFFER_BYTES,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
        )
        self._requester = Requester(self._session, self._names, limits)
        await self._storages.__aenter__()
        if any(bucket.scheme == "hf" for bucket in self._buckets):
            self._hub = await asyncio.to_thread(find_hub)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._storages.__aexit__(kind, error, traceback)
        await self._session.close()
        await self._names.close()

    def locate(self, cell: str | PurePath) -> Source:
        """Say where the bytes of a cell are; text names local files and buckets only where the options let some in.

        Raises
        ------
        FetchError
            ``scheme_blocked``, ``path_blocked`` or ``invalid_url``.
        """
        if isinstance(cell, PurePath):
            return LocalFile(str(cell))
        if wanted := parse_object(cell, allowed=self._buckets):
            return wanted
        path = None if self._options.files_under is None else parse_path(cell)
        return parse(cell) if path is None else LocalFile(path)

    @asynccontextmanager
    async def fetch(
        self, source: Source, *, unless: Validators | None = None, caller: Caller | None = None
    ) -> AsyncIterator[Fetched]:
        """Fetch the bytes of a source, in as many tries as it may have; they count against the budget until the exit.

        Parameters
        ----------
        unless
            The state of an image whose bytes are not wanted again, where a server is asked for it.
        caller
            For whom they are fetched; None keeps no account.

        Raises
        ------
        FetchError
            That of the last try, with a code, and a detail that holds neither addresses, queries nor anything the
            server said.
        RunError
            There was no file descriptor for too long.
        """
        with self._budget.lease() as lease:
            with (caller or Caller()).calling():
                fetched = await self._patience.until_done(
                    partial(self._fetch, source, lease, unless), before_pause=lease.give_back
                )
            yield fetched

    async def _fetch(self, source: Source, lease: Lease, unless: Validators | None) -> Fetched:
        if isinstance(source, LocalFile):
            return Fetched(await self._files.read(source, lease), None)
        if isinstance(source, URL):
            self._refuse_blocked(source)
        return await self._persist(partial(self._attempt, source, lease, unless), lease)

    def per_second(self, source: Source) -> float:
        """Return how many requests the host of a source has been found to bear in a second; infinite where unknown."""
        return self._limiter.per_second(source.origin if isinstance(source, URL) else str(source.host))

    def _refuse_blocked(self, url: URL) -> None:
        """Refuse an address before anything is set up to dial it: the guard would, and a column may be full of them."""
        if url.names_an_address and not self._options.proxy:
            try:
                self._guard.check_named(url.host, url.port)
            except AddressBlockedError as error:
                raise FetchError("address_blocked", error.detail) from None

    async def _persist(self, next_try: Callable[[float, bool], Attempt | BucketAttempt], lease: Lease) -> Fetched:
        retries = Retries(self._options)
        earlier: tuple[str, str] | None = None
        while True:
            attempt = next_try(retries.try_timeout_s, earlier is not None)
            try:
                return await attempt.fetch()
            except FetchError as error:
                lease.give_back()
                if attempt.permit is None and earlier:
                    raise FetchError(*earlier) from None  # this row was tried, before its host was down
                if attempt.was_dropped and error.code == "timeout" and retries.may_go_on(attempt.spent_s()):
                    continue
                pause_s = _pause_s(retries, attempt, error.code)
                if pause_s is None:
                    raise
                earlier = error.code, error.detail
            # Outside the handler, where the error no longer keeps half a body alive.
            await asyncio.sleep(pause_s)

    def _attempt(
        self, source: URL | BucketObject, lease: Lease, unless: Validators | None, timeout_s: float, is_retry: bool
    ) -> Attempt | BucketAttempt:
        shared = partial(
            Attempt if isinstance(source, URL) else HubAttempt,
            lease=lease,
            unless=unless,
            timeout_s=timeout_s,
            is_retry=is_retry,
            requester=self._requester,
            limiter=self._limiter,
            options=self._options,
        )
        if isinstance(source, URL):
            return shared(source)
        if self._hub and source.bucket.scheme == "hf":
            return shared(self._hub.url_of(source), login=self._hub.login)
        return BucketAttempt(
            source,
            lease,
            timeout_s=timeout_s,
            is_retry=is_retry,
            storages=self._storages,
            limiter=self._limiter,
        )


def _pause_s(retries: Retries, attempt: Attempt | BucketAttempt, code: str) -> float | None:
    """Return how long a row waits for its next try; None where it has none, as with a host that is down."""
    permit = attempt.permit
    if permit is None or permit.state.down_as:
        return None
    return retries.pause_s(code, spent_s=attempt.spent_s(), retry_after_s=permit.retry_after_s)


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
