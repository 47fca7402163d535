"""One try: a `URL` -> the bytes behind it, by way of turns, a clock, redirects, status and size.

It must not read URL text, judge addresses, know what the bytes mean or whether there will be another try.
"""

from __future__ import annotations

import asyncio
import http
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

import aiohttp
import yarl

from pixvec.errors import FetchError
from pixvec.fetch.budget import ByteBudget, Lease
from pixvec.fetch.failures import as_fetch_error
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.slots import Slots
from pixvec.fetch.url import URL

_REDIRECTS: Final = frozenset([301, 302, 303, 307, 308])
_STATUSES: Final = frozenset(http.HTTPStatus)
_CONTENT_RANGE: Final = re.compile(r"bytes 0-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes behind a URL, and where they came from if redirects led elsewhere."""

    body: bytes
    final_url: str | None


class Attempt:
    """One try at a URL.

    Parameters
    ----------
    url
        Where the first request goes.
    lease
        What the body takes of the budget is put down to it.
    session, slots, budget, options
        What all tries share.
    """

    def __init__(
        self,
        url: URL,
        lease: Lease,
        *,
        session: aiohttp.ClientSession,
        slots: Slots,
        budget: ByteBudget,
        options: FetchOptions,
    ) -> None:
        self._session = session
        self._slots = slots
        self._budget = budget
        self._options = options
        self._lease = lease
        self._hops = [url]
        self._clock = asyncio.timeout(options.timeout_s)

    async def fetch(self) -> Fetched:
        """Fetch the bytes.

        Raises
        ------
        FetchError
            With the hop named where it is not the first.
        """
        try:
            async with self._clock:
                body = await self._follow()
        except (FetchError, aiohttp.ClientError, OSError) as error:
            failure = as_fetch_error(error)
            if failure is None:
                raise
            raise FetchError(failure.code, self._hop_name() + failure.detail) from error
        return Fetched(body, str(self._hops[-1]) if len(self._hops) > 1 else None)

    async def _follow(self) -> bytes:
        """Follow redirects from hop to hop to a body."""
        while len(self._hops) <= self._options.max_redirects + 1:
            async with self._get(self._hops[-1]) as response:
                location = response.headers.get("Location") if response.status in _REDIRECTS else None
                if location is None:
                    return await self._read(response)
            self._hops.append(self._next_hop(location))
        raise FetchError("too_many_redirects", f"more than {self._options.max_redirects} redirects")

    @asynccontextmanager
    async def _get(self, url: URL) -> AsyncIterator[aiohttp.ClientResponse]:
        async with AsyncExitStack() as stack:
            with _stopped(self._clock):
                await stack.enter_async_context(self._slots.turn(url.host))
                await self._budget.wait_for_room()
            yield await stack.enter_async_context(self._session.get(_as_sent(url), allow_redirects=False))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        _refuse_status(response)
        _refuse_encoding(response)
        self._refuse_size(response.content_length or 0)
        chunks = []
        async for chunk in response.content.iter_any():
            self._refuse_size(self._lease.n_bytes + len(chunk))
            with _stopped(self._clock):
                await self._lease.take(len(chunk))
            chunks.append(chunk)
        return b"".join(chunks)

    def _refuse_size(self, n_bytes: int) -> None:
        if n_bytes > self._options.max_bytes:
            raise FetchError("too_many_bytes", f"the body is larger than {self._options.max_bytes:,} bytes")

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


def _as_sent(url: URL) -> yarl.URL:
    # All of the target as path: yarl would drop the mark of an empty query.
    return yarl.URL.build(scheme=url.scheme, authority=url.authority, path=url.target, encoded=True)


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
