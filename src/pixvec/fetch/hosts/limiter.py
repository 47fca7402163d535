"""Turns to ask a host: so many to each host, none while it wants a pause, none to one that is down; and connections."""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from pixvec.concurrency.fair_budget import Claim, FairBudget
from pixvec.errors import FetchError
from pixvec.fetch.caller import current_caller
from pixvec.fetch.failures import as_fetch_error
from pixvec.fetch.hosts.state import HostState
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.retries import read_retry_after

_NOT_TRIED: Final = "not tried, because all of the last requests to the host failed"
_MAX_STATES: Final = 16_384
"""Hosts whose states are remembered while nobody asks them, the latest ones; a column may have millions."""


@dataclass(slots=True)
class Permit:
    """A request's leave to ask a host, and what came of it."""

    state: HostState
    started: float
    """When it was given, or since then the request began."""
    is_retry: bool = False
    """Whether the row had a try before."""
    retry_after_s: float | None = None
    """The pause that the host asked for."""

    def begin(self) -> None:
        """Take note that the request begins."""
        self.started = asyncio.get_running_loop().time()

    def hear(self, headers: Mapping[str, str]) -> None:
        """Take note of an answer's headers."""
        self.retry_after_s = read_retry_after(headers)

    def end(self, code: str | None) -> None:
        """Let the host's state learn what came of it."""
        now = asyncio.get_running_loop().time()
        self.state.learn(code, started=self.started, now=now, retry_after_s=self.retry_after_s, is_retry=self.is_retry)


class HostLimiter:
    """Hands out permits; for one event loop. A request that the backlog of its `Caller` holds back waits for that too.

    Parameters
    ----------
    options
        The limits, in all and of a host.
    connections
        How many there may be in all, where that is fewer than the options say.
    """

    def __init__(self, options: FetchOptions, *, connections: int | None = None) -> None:
        self._options = options
        self._connections = FairBudget(connections or options.connections)
        self._hosts: dict[str, _Host] = {}
        self._states: OrderedDict[str, HostState] = OrderedDict()

    @asynccontextmanager
    async def permit(
        self, name: str, *, is_retry: bool = False, is_late: Callable[[], bool] = bool
    ) -> AsyncIterator[Permit]:
        """Wait for a permit at a host; it needs a connection beside it.

        Parameters
        ----------
        name
            The host: its origin, because a port that is dead says nothing about the others.
        is_retry
            Whether it is not the row's first try.
        is_late
            Says whether a block that is being cancelled has run out of time.

        Raises
        ------
        FetchError
            With the code that the host is down with.
        """
        host = self._host(name)
        try:
            async with host.permit(), current_caller().backlog.request(name):
                permit = Permit(host.state, asyncio.get_running_loop().time(), is_retry)
                try:
                    yield permit
                except BaseException as error:
                    if code := _code_of(error, is_late=is_late()):
                        permit.end(code)
                    raise
                permit.end(None)
        finally:
            self._leave(name, host)

    def connection(self, claim: Claim) -> AbstractAsyncContextManager[None]:
        """Wait for one of all connections, shared fairly; last, so that nobody has one who waits for others."""
        return self._connections.hold(claim)

    def per_second(self, name: str) -> float:
        """Return how many requests a host has been found to bear in a second; infinite where it refused none."""
        state = self._hosts[name].state if name in self._hosts else self._states.get(name)
        return state.per_second if state else math.inf

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(self._states.get(name) or HostState(self._options))
        host.n_users += 1
        return host

    def _leave(self, name: str, host: _Host) -> None:
        host.n_users -= 1
        if host.n_users:
            return
        del self._hosts[name]
        self._states[name] = host.state
        self._states.move_to_end(name)
        if len(self._states) > _MAX_STATES:
            self._states.popitem(last=False)


@dataclass(slots=True)
class _Host:
    """Those who ask one host, and the queue of those who wait to, first come first served."""

    state: HostState
    n_users: int = 0
    """Who asks it or waits to."""
    _n_asking: int = 0
    _waiting: deque[asyncio.Future[str | None]] = field(default_factory=deque)
    _timer: asyncio.TimerHandle | None = None

    @asynccontextmanager
    async def permit(self) -> AsyncIterator[None]:
        await self._enter()
        try:
            yield
        finally:
            self._n_asking -= 1
            self._admit()

    async def _enter(self) -> None:
        loop = asyncio.get_running_loop()
        if self.state.down_as and self.state.may_be_retried(loop.time()):
            self._n_asking += 1
            return
        place: asyncio.Future[str | None] = loop.create_future()
        self._waiting.append(place)
        self._admit()
        try:
            down_as = await place
        except asyncio.CancelledError:
            if not place.cancelled() and place.result() is None:  # it was admitted at the same time
                self._n_asking -= 1
                self._admit()
            raise
        if down_as:
            raise FetchError(down_as, _NOT_TRIED)

    def _admit(self) -> None:
        """Let those in who may ask now; send all away when the host is down."""
        while self._waiting and (self.state.down_as or self._has_room()):
            place = self._waiting.popleft()
            if not place.done():
                if not self.state.down_as:
                    self._n_asking += 1
                    self.state.begin(asyncio.get_running_loop().time())
                place.set_result(self.state.down_as)

    def _has_room(self) -> bool:
        return self._n_asking < self.state.n_connections and not self._is_held()

    def _is_held(self) -> bool:
        """Tell whether the host wants a pause; at its end those who wait are allowed."""
        loop = asyncio.get_running_loop()
        end = self.state.held_until
        if loop.time() >= end:
            return False
        if self._timer is None or self._timer.when() != end:
            if self._timer:
                self._timer.cancel()
            self._timer = loop.call_at(end, self._end_pause)
        return True

    def _end_pause(self) -> None:
        self._timer = None  # it may ring a trifle early, and is then set anew
        self._admit()


def _code_of(error: BaseException, *, is_late: bool) -> str | None:
    """Name what ended a request; None where it was the caller, or a bug."""
    if isinstance(error, asyncio.CancelledError):
        return "timeout" if is_late else None
    failure = as_fetch_error(error) if isinstance(error, Exception) else None
    return failure.code if failure else None
