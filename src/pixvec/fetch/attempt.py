"""One try: a `URL` -> the bytes behind it, by way of permits, a clock and redirects."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Final

import aiohttp

from pixvec.concurrency.fair_budget import Claim
from pixvec.errors import FetchError
from pixvec.fetch.budget import Lease
from pixvec.fetch.clock import Clock
from pixvec.fetch.failures import as_fetch_error
from pixvec.fetch.hosts.limiter import HostLimiter, Permit
from pixvec.fetch.http.validators import Validators, read_validators
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.requester import Requester
from pixvec.fetch.url import URL

_REDIRECTS: Final = frozenset([301, 302, 303, 307, 308])
_PROGRESS_BYTES: Final = 1 << 16
"""A server that sends less than this in half a second is one that is waited for."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes behind a URL, and where they came from if redirects led elsewhere.

    Parameters
    ----------
    validators
        What to ask for them with next time; None where that cannot be done.
    is_unchanged
        They are those of last time, says the server, and sent none.
    claim
        Whom to count their decoding for.
    """

    body: bytes
    final_url: str | None
    validators: Validators | None = field(default=None, compare=False)
    is_unchanged: bool = False
    claim: Claim = field(default_factory=Claim, compare=False)


class Attempt:
    """One try at a URL.

    Parameters
    ----------
    url
        Where the first request goes.
    lease
        What the body takes of the budget is put down to it.
    unless
        The state of the image whose bytes are not wanted again.
    timeout_s
        How long it may take.
    is_retry
        Whether there was a try before.
    login
        Headers that say who asks; sent to the first host alone.
    requester, limiter, options
        What all tries share.

    Attributes
    ----------
    permit
        The last permit it had; None where it had none, or the last host that it asked for one gave none.
    """

    def __init__(
        self,
        url: URL,
        lease: Lease,
        *,
        unless: Validators | None,
        timeout_s: float,
        is_retry: bool,
        login: Mapping[str, str] = MappingProxyType({}),
        requester: Requester,
        limiter: HostLimiter,
        options: FetchOptions,
    ) -> None:
        self._requester = requester
        self._limiter = limiter
        self._options = options
        self._lease = lease
        self._unless = unless
        self._login = login
        self._is_retry = is_retry
        self._hops = [url]
        self._clock = Clock(timeout_s)
        self._claim = Claim()
        self._n_unmarked = 0
        self.permit: Permit | None = None

    async def fetch(self) -> Fetched:
        """Fetch the bytes.

        Raises
        ------
        FetchError
            With the hop named where it is not the first.
        """
        try:
            async with self._clock:
                return await self._follow()
        except (FetchError, aiohttp.ClientError, OSError) as error:
            failure = as_fetch_error(error)
            if failure is None:
                raise
            raise FetchError(failure.code, self._hop_name() + failure.detail) from error

    def spent_s(self) -> float:
        """Return how long it took, waiting for others not counted."""
        return self._clock.spent_s()

    @property
    def was_dropped(self) -> bool:
        """Whether it was ended because others waited for what it held."""
        return self._clock.was_cut_short

    # The room of a body: waiting for it is waiting for others.

    async def reserve(self, n_bytes: int) -> None:
        """Wait until there is room for so many bytes in all."""
        with self._waiting_for_others():
            await self._lease.reserve(n_bytes)

    async def take(self, n_bytes: int) -> None:
        """Wait until so many more bytes may be held."""
        with self._waiting_for_others():
            await self._lease.take(n_bytes)
        self._n_unmarked += n_bytes
        if self._n_unmarked >= _PROGRESS_BYTES:
            self._n_unmarked = 0
            self._claim.stalled_since = asyncio.get_running_loop().time()

    @contextmanager
    def _waiting_for_others(self) -> Iterator[None]:
        """Let no time pass for the server in the block."""
        loop = asyncio.get_running_loop()
        since, self._claim.stalled_since, started = self._claim.stalled_since, math.inf, loop.time()
        with self._clock.stopped():
            yield
        self._claim.stalled_since = since + loop.time() - started

    async def _follow(self) -> Fetched:
        """Follow redirects from hop to hop to a body."""
        while len(self._hops) <= self._options.max_redirects + 1:
            async with self._get(self._hops[-1]) as response:
                location = response.headers.get("Location") if response.status in _REDIRECTS else None
                if location is None and (fetched := await self._read(response)):
                    return fetched
            if location is not None:
                self._hops.append(self._next_hop(location))
        raise FetchError("too_many_redirects", f"more than {self._options.max_redirects} redirects")

    async def _read(self, response: aiohttp.ClientResponse) -> Fetched | None:
        """Read an answer; None where it is none to the condition that was set, which is then dropped."""
        url = self._hops[-1]
        final_url = str(url) if len(self._hops) > 1 else None
        if response.status == HTTPStatus.NOT_MODIFIED and self._condition(url) and self._unless:
            self._requester.heed_opt_out(response)
            if self._unless.agree_with(response.headers):
                self._lease.end()
                return Fetched(b"", final_url, self._unless, is_unchanged=True)
            self._unless = None
            return None
        body = await self._requester.read(response, self)
        self._lease.end()
        return Fetched(body, final_url, read_validators(url, response), claim=self._claim)

    def _condition(self, url: URL) -> dict[str, str]:
        return self._unless.condition(url) if self._unless else {}

    def _login_at(self, url: URL) -> Mapping[str, str]:
        return self._login if url.origin == self._hops[0].origin else {}

    @asynccontextmanager
    async def _get(self, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        async with AsyncExitStack() as stack:
            self.permit = None
            with self._clock.stopped():
                permit = self.permit = await stack.enter_async_context(
                    self._limiter.permit(url.origin, is_retry=self._is_retry, is_late=self._clock.has_expired)
                )
                where = await self._requester.locate(url)
                self._claim = Claim(where, url.origin, drop=self._clock.cut_short)
                await self._lease.begin(self._claim)
                await stack.enter_async_context(self._limiter.connection(self._claim))
            permit.begin()
            self._claim.stalled_since = permit.started
            response = await stack.enter_async_context(
                self._requester.get(url, cell=self._hops[0], headers={**self._condition(url), **self._login_at(url)})
            )
            permit.hear(response.headers)
            self._claim.stalled_since = asyncio.get_running_loop().time()
            yield response

    def _next_hop(self, location: str) -> URL:
        try:
            return self._hops[-1].join(location)
        except FetchError as error:
            raise FetchError(error.code, f"where redirect {len(self._hops)} leads: {error.detail}") from None

    def _hop_name(self) -> str:
        if len(self._hops) == 1:
            return ""
        host = "an IP address" if self._hops[-1].names_an_address else self._hops[-1].host
        return f"redirect {len(self._hops) - 1} to {host}: "
