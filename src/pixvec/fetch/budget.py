"""The bytes that bodies in flight share. It must not know what is read, nor from where."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class ByteBudget:
    """What all bodies in flight may take together.

    When it is full, readers wait, all but one: the first that finds it full may overdraw it until its body is done
    with. Without it, half-read bodies could fill the budget and wait for one another for ever.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._n_bytes = 0
        self._overdrawn_by: Lease | None = None
        self._freed = asyncio.Event()

    @property
    def n_bytes(self) -> int:
        """Bytes that are taken."""
        return self._n_bytes

    @contextmanager
    def lease(self) -> Iterator[Lease]:
        """Give a body its account; what it took is free again at the exit."""
        lease = Lease(self)
        try:
            yield lease
        finally:
            self.give_back(lease)

    async def wait_for_room(self) -> None:
        """Wait until half of the budget is free, so that reading never runs far ahead of decoding."""
        await self._wait(lambda: self._n_bytes <= self._max_bytes // 2)

    async def take(self, lease: Lease, n_bytes: int) -> None:
        """Wait until so many bytes fit, and take them."""
        await self._wait(lambda: self._fits(lease, n_bytes))
        self._n_bytes += n_bytes
        lease.n_bytes += n_bytes

    def _fits(self, lease: Lease, n_bytes: int) -> bool:
        if self._n_bytes + n_bytes <= self._max_bytes:
            return True
        self._overdrawn_by = self._overdrawn_by or lease
        return self._overdrawn_by is lease

    async def _wait(self, fits: Callable[[], bool]) -> None:
        while not fits():
            await self._freed.wait()

    def give_back(self, lease: Lease) -> None:
        """Free what a body took."""
        self._n_bytes -= lease.n_bytes
        lease.n_bytes = 0
        if self._overdrawn_by is lease:
            self._overdrawn_by = None
        self._freed.set()
        self._freed = asyncio.Event()


@dataclass(slots=True, eq=False)
class Lease:
    """The account of one body."""

    budget: ByteBudget
    n_bytes: int = 0

    async def take(self, n_bytes: int) -> None:
        """Wait until so many more bytes fit, and take them."""
        await self.budget.take(self, n_bytes)

    def give_back(self) -> None:
        """Free what it took, because its bytes are gone."""
        self.budget.give_back(self)
