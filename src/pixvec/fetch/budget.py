"""The bytes that bodies in flight share."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from pixvec.concurrency.fair_budget import Claim, FairBudget, Place

_STEPS: Final = 1024
"""Into how many steps the budget is cut, in which bodies of unknown length grow."""


class ByteBudget:
    """What all bodies in flight may take together.

    When it is full, readers wait, all but one: the first that finds it full may overdraw it until its body is done
    with. Without it, half-read bodies could fill the budget and wait for one another for ever.
    """

    def __init__(self, max_bytes: int) -> None:
        self._shares = FairBudget(max_bytes)
        self.step = max(1, max_bytes // _STEPS)
        self._most_at_start = max_bytes // 2
        self._overdrawn_by: Lease | None = None
        self._growing: OrderedDict[Lease, Place] = OrderedDict()

    @property
    def n_bytes(self) -> int:
        """Bytes that are taken."""
        return self._shares.n_held + (self._overdrawn_by.n_overdrawn if self._overdrawn_by else 0)

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Give a body its account; what it took is free again at the exit."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            lease.give_back()

    async def wait_for_room(self, claim: Claim) -> None:
        """Wait until there is room for the first bytes of a body, but take none: who waits for more holds nothing.

        A host that has half of the budget has none for others, so that reading never runs far ahead of decoding.
        """
        place = Place(most=self._most_at_start)
        async with self._shares.hold(claim, self.step, place=place):
            pass

    async def grow(self, lease: Lease, n_bytes: int) -> None:
        """Wait until so many more bytes fit, and take them."""
        if self._shares.try_take(lease.claim, n_bytes):
            lease.n_taken += n_bytes
            return
        if self._overdrawn_by in {None, lease} or not await self._take_later(lease, n_bytes):
            self._overdrawn_by = lease
            lease.n_overdrawn += n_bytes

    async def _take_later(self, lease: Lease, n_bytes: int) -> bool:
        place = self._growing[lease] = Place()
        try:
            is_taken = await self._shares.take(lease.claim, n_bytes, place=place)
        finally:
            self._growing.pop(lease, None)
        lease.n_taken += n_bytes * is_taken
        return is_taken

    def give_back(self, lease: Lease, n_bytes: int) -> None:
        """Free so much of what a body took, all of it if that is over the budget."""
        if n_bytes:
            lease.n_taken -= n_bytes
            self._shares.give_back(lease.claim, n_bytes)
        if self._overdrawn_by is lease and not lease.n_taken:
            lease.n_overdrawn = 0
            self._overdrawn_by = None
            if self._growing:
                self._overdrawn_by, place = self._growing.popitem(last=False)
                self._shares.excuse(place)


@dataclass(slots=True, eq=False)
class Lease:
    """The account of one body.

    Attributes
    ----------
    n_bytes
        What the body has.
    n_taken, n_overdrawn
        What is taken for it, of the budget and beyond.
    """

    budget: ByteBudget
    claim: Claim = field(default_factory=Claim)
    n_bytes: int = 0
    n_taken: int = 0
    n_overdrawn: int = 0

    async def begin(self, claim: Claim) -> None:
        """Wait until there is room for the first bytes of a body, and count it for a claim."""
        self.give_back()
        self.claim = claim
        await self.budget.wait_for_room(claim)

    async def reserve(self, n_bytes: int) -> None:
        """Wait until so many bytes fit in all, and take what is missing."""
        missing = n_bytes - self.n_taken - self.n_overdrawn
        if missing > 0:
            await self.budget.grow(self, missing)

    async def take(self, n_bytes: int) -> None:
        """Wait until so many more bytes fit, and take them."""
        if self.n_bytes + n_bytes > self.n_taken + self.n_overdrawn:
            await self.reserve(self.n_bytes + max(n_bytes, self.budget.step))
        self.n_bytes += n_bytes

    def end(self) -> None:
        """Free what was taken for more bytes than came."""
        self.claim.stalled_since = math.inf
        if not self.n_overdrawn:
            self.budget.give_back(self, self.n_taken - self.n_bytes)

    def give_back(self) -> None:
        """Free what it took, because its bytes are gone."""
        self.n_bytes = 0
        self.budget.give_back(self, self.n_taken)
