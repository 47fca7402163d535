"""A budget that many share and nobody can use up: each claim counts for where its host is, and for the host there.

A share binds only while others are around; what is taken by one who waits for a server is taken back when it is more
than a share and others wait.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Final

_LATELY_S: Final = 1.0
"""How long one is still around who neither holds anything nor waits."""
_SPARE_PART: Final = 8
"""While others are around, one who has a share may take more, but for the last eighth."""
_PATIENCE_S: Final = 0.25
"""How long one waits for a share before others are looked at."""
_STALLED_S: Final = 0.5
"""How long one has waited for a server whose claim may be dropped."""
_MOST_RELIEVED: Final = 64
"""For how many hosts that wait others are looked at each time."""


@dataclass(slots=True, eq=False)
class Claim:
    """One who takes from budgets.

    Parameters
    ----------
    where
        Where the host is: its address, or what is known before that is.
    host
        The host there.
    drop
        Makes it give back what it holds; None where that cannot be done.

    Attributes
    ----------
    stalled_since
        When a server last gave it something; infinite while it waits for no server.
    """

    where: str = ""
    host: str = ""
    drop: Callable[[], object] | None = None
    stalled_since: float = math.inf


class FairBudget:
    """A budget for one event loop.

    Who is alone may take all of it. While others are around (they hold something, wait, or did so within the last
    second) each may have an even part, and more up to seven eighths of the whole. One who has waited for a quarter of a
    second for less than others hold has those dropped that hold more and wait for their servers.

    Parameters
    ----------
    capacity
        How much there is.
    preferred
        How much is kept for those who are preferred.
    """

    def __init__(self, capacity: int, *, preferred: int = 0) -> None:
        self._capacity = capacity
        self._preferred = preferred
        self._root = _Party()
        self._held: dict[Claim, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def n_held(self) -> int:
        """How much is taken."""
        return self._root.held

    @asynccontextmanager
    async def hold(self, claim: Claim, n: int = 1, *, place: Place | None = None) -> AsyncIterator[None]:
        """Take so much, and give it back at the exit."""
        await self.take(claim, n, place=place)
        try:
            yield
        finally:
            self.give_back(claim, n)

    async def take(self, claim: Claim, n: int = 1, *, place: Place | None = None) -> bool:
        """Wait until there is so much, and take it; False where it was excused instead, and takes nothing.

        Parameters
        ----------
        place
            A place in the queue, for one who may have to be preferred or excused later.
        """
        place = place or Place()
        place.claim, place.n = claim, n
        path = self._path(claim)
        if self._fits(path, place):
            self._book(path, place)
            return True
        place.waiting = asyncio.get_running_loop().create_future()
        _enqueue(path, place)
        self._set_timer()
        try:
            return await place.waiting
        except asyncio.CancelledError:
            if not place.waiting.cancelled() and place.waiting.result():  # it was served at the same time
                self.give_back(claim, n)
            elif place.waiting.cancelled():
                _dequeue(path, place)
                self._serve()
            raise

    def try_take(self, claim: Claim, n: int) -> bool:
        """Take so much if that can be done without waiting."""
        path, place = self._path(claim), Place(claim, n)
        if fits := self._fits(path, place):
            self._book(path, place)
        return fits

    def give_back(self, claim: Claim, n: int) -> None:
        """Give so much back."""
        left = self._held[claim] - n
        if left:
            self._held[claim] = left
        else:
            del self._held[claim]
        for party in self._path(claim):
            party.held -= n
        self._serve()

    def prefer(self, place: Place) -> None:
        """Put one before all others, who may take what is kept for those who are preferred."""
        place.is_preferred = True
        if place.waiting and not place.waiting.done():
            path = self._path(place.claim)
            _dequeue(path, place)
            _enqueue(path, place)
            self._serve()

    def excuse(self, place: Place) -> None:
        """Let one go on who waits, without taking anything."""
        if place.waiting and not place.waiting.done():
            _dequeue(self._path(place.claim), place)
            place.waiting.set_result(False)

    # Who may take -----------------------------------------------------------------------------------------------------

    def _path(self, claim: Claim) -> tuple[_Party, _Party, _Party]:
        """Return all, those at a claim's place, and its host there; they are around from now on."""
        now = asyncio.get_running_loop().time()
        where = self._root.part(claim.where, now)
        return self._root, where, where.part(claim.host, now)

    def _fits(self, path: tuple[_Party, _Party, _Party], place: Place) -> bool:
        root, _, host = path
        kept = 0 if place.is_preferred else self._preferred
        if host.held and host.held + place.n > place.most:
            return False
        return _has_room(path, place.n, self._capacity - kept) or not root.held

    def _book(self, path: tuple[_Party, _Party, _Party], place: Place) -> None:
        for party in path:
            party.held += place.n
        self._held[place.claim] = self._held.get(place.claim, 0) + place.n

    def _serve(self) -> None:
        """Serve those who wait, in turn, as long as there is something for one of them."""
        while self._root.waiting and (found := self._next()):
            path, place = found
            _dequeue(path, place)
            assert place.waiting is not None, "it stood in the queue"  # noqa: S101
            if place.waiting.done():
                continue
            for parent, name in ((self._root, place.claim.where), (path[1], place.claim.host)):
                if name in parent.waiting:
                    parent.waiting.move_to_end(name)
            self._book(path, place)
            place.waiting.set_result(True)

    def _next(self) -> tuple[tuple[_Party, _Party, _Party], Place] | None:
        """Find one who can be served; those who have no share yet go before those who want more than theirs."""
        second = None
        for where in self._root.waiting.values():
            for host in where.waiting.values():
                path, place = (self._root, where, host), host.queue[0]
                if not self._fits(path, place):
                    if self._root.held >= self._capacity - (0 if place.is_preferred else self._preferred):
                        return second  # those who are preferred stand in front
                    if not _has_room(path[:2], place.n, self._capacity):
                        break  # so it is for all hosts there
                    continue
                even = self._capacity / (len(self._root.parts) * len(where.parts))
                if host.held + place.n <= even or not host.held:
                    return path, place
                second = second or (path, place)
        return second

    # Who must give back -----------------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._relieve)

    def _relieve(self) -> None:
        """Have claims dropped for the sake of those who hold less and wait."""
        self._timer = None
        self._serve()  # who has left may have made room
        if not self._root.waiting:
            return
        self._set_timer()
        limit = asyncio.get_running_loop().time() - _STALLED_S
        stalled = [claim for claim in self._held if claim.drop and claim.stalled_since <= limit]
        stalled.sort(key=lambda claim: claim.stalled_since)
        if stalled:
            hosts = (host for where in self._root.waiting.values() for host in where.waiting.values())
            for host in list(islice(hosts, _MOST_RELIEVED)):
                self._drop_for(host.queue, stalled)

    def _drop_for(self, queue: deque[Place], stalled: list[Claim]) -> None:
        wanted = sum(place.n for place in queue)
        n_moved = 0
        for claim in stalled:
            if n_moved >= wanted:
                return
            if claim.drop and claim.stalled_since < math.inf and self._holds_more(claim, queue[0], n_moved):
                n_moved += self._held[claim]
                claim.stalled_since = math.inf
                claim.drop()

    def _holds_more(self, claim: Claim, place: Place, n_moved: int) -> bool:
        """Tell whether a claim's party holds twice as much as the other's when so much and the claim are moved."""
        _, where, host = self._path(claim)
        _, other_where, other_host = self._path(place.claim)
        party, other = (host, other_host) if where is other_where else (where, other_where)
        return party.held - n_moved - self._held[claim] >= 2 * (other.held + n_moved + place.n)


@dataclass(slots=True, eq=False)
class Place:
    """A place in the queue of a budget.

    Parameters
    ----------
    most
        Up to how much in all the host may have, if it has anything.
    is_preferred
        Whether it may take what is kept for those who are preferred.
    """

    claim: Claim = field(default_factory=Claim)
    n: int = 1
    most: float = math.inf
    is_preferred: bool = False
    waiting: asyncio.Future[bool] | None = None


@dataclass(slots=True, eq=False)
class _Party:
    """Those who count together: what they hold, who of them are around, and who waits, in turn."""

    held: int = 0
    seen: float = 0.0
    parts: OrderedDict[str, _Party] = field(default_factory=OrderedDict)
    waiting: OrderedDict[str, _Party] = field(default_factory=OrderedDict)
    queue: deque[Place] = field(default_factory=deque)

    @property
    def is_busy(self) -> bool:
        return bool(self.held or self.queue or self.waiting)

    def part(self, name: str, now: float) -> _Party:
        part = self.parts.get(name)
        if part is None:
            part = self.parts[name] = _Party()
        part.seen = now
        self.parts.move_to_end(name)
        self._forget_those_who_left(now)
        return part

    def _forget_those_who_left(self, now: float) -> None:
        while True:
            name, first = next(iter(self.parts.items()))
            if first.seen >= now - _LATELY_S:
                return
            if first.is_busy:
                first.seen = now
                self.parts.move_to_end(name)
            else:
                del self.parts[name]


def _has_room(path: tuple[_Party, ...], n: int, capacity: float) -> bool:
    """Tell whether each party on the way has room for so much more."""
    for party, part in pairwise(path):
        n_around = len(party.parts)
        even = max(capacity / n_around, n)
        spare = capacity / _SPARE_PART if n_around > 1 else 0
        if party.held + n > capacity - (0 if part.held + n <= even else spare):
            return False
        capacity = max(even, capacity - spare - (party.held - part.held))
    return True


def _enqueue(path: tuple[_Party, _Party, _Party], place: Place) -> None:
    root, where, host = path
    (host.queue.appendleft if place.is_preferred else host.queue.append)(place)
    for parent, name, part in ((root, place.claim.where, where), (where, place.claim.host, host)):
        parent.waiting[name] = part
        if place.is_preferred:
            parent.waiting.move_to_end(name, last=False)


def _dequeue(path: tuple[_Party, _Party, _Party], place: Place) -> None:
    root, where, host = path
    with suppress(ValueError):  # one who was cancelled may have left already
        host.queue.remove(place)
    if not host.queue and place.claim.host in where.waiting:
        del where.waiting[place.claim.host]
        if not where.waiting:
            del root.waiting[place.claim.where]
