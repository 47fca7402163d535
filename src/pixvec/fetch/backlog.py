"""How far fetching runs ahead: a request waits while too much of what was asked for would be lost in a stop."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager


class Backlog:
    """What was asked for and is not kept; for one event loop.

    A request to a host may begin while the requests to that host that are in flight, the answers that are being
    decoded and embedded, and the rows that are decided and not kept are together fewer than `max_rows`. A host counts
    its own requests only, so a slow one holds up no other.

    Parameters
    ----------
    max_rows
        The limit.
    n_unkept
        Counts the rows that are decided and not kept.
    """

    def __init__(self, max_rows: float = math.inf, n_unkept: Callable[[], int] = int) -> None:
        self._max_rows = max_rows
        self._n_unkept = n_unkept
        self._n_in_flight: Counter[str] = Counter()
        self._n_fetched = 0
        self._waiting: deque[tuple[str, asyncio.Future[None]]] = deque()
        self._will_admit = False

    @property
    def n_rows(self) -> int:
        """How many rows a stop would lose."""
        return self._n_in_flight.total() + self._n_fetched + self._n_unkept()

    @asynccontextmanager
    async def request(self, host: str) -> AsyncIterator[None]:
        """Wait until a request may begin, and count it until the exit."""
        await self._enter(host)
        try:
            yield
        finally:
            self._end(host)

    @contextmanager
    def fetched(self) -> Iterator[None]:
        """Count a row whose bytes are there, until it is decided."""
        self._n_fetched += 1
        try:
            yield
        finally:
            self._n_fetched -= 1

    def admit(self) -> None:
        """Let requests begin for which there is room now."""
        self._will_admit = False
        room = self._max_rows - self._n_fetched - self._n_unkept()
        held: list[tuple[str, asyncio.Future[None]]] = []
        while self._waiting and room > 0:
            host, place = self._waiting.popleft()
            if place.done():
                continue
            if self._n_in_flight[host] < room:
                self._n_in_flight[host] += 1
                place.set_result(None)
            else:
                held.append((host, place))
        self._waiting.extendleft(reversed(held))

    async def _enter(self, host: str) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.append((host, place))
        self.admit()
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # it was admitted at the same time
                self._end(host)
            raise

    def _end(self, host: str) -> None:
        self._n_in_flight[host] -= 1
        if not self._n_in_flight[host]:
            del self._n_in_flight[host]
        if self._waiting and not self._will_admit:
            # Not at once: the answer is about to be counted as fetched.
            self._will_admit = True
            asyncio.get_running_loop().call_soon(self.admit)
