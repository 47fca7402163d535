"""Turns to connect: so many in all, so many to one host. It must not know what a turn is used for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(slots=True)
class _Host:
    turns: asyncio.Semaphore
    n_users: int = 0
    """Who connects to it or waits to."""


class Slots:
    """Hands out turns; it remembers a host for as long as somebody uses it or waits for it."""

    def __init__(self, connections: int, *, per_host: int) -> None:
        self._connections = asyncio.Semaphore(connections)
        self._per_host = per_host
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(self, host: str) -> AsyncIterator[None]:
        """Wait for a turn at a host, then for one of all connections: who waits for a slow host blocks no other."""
        state = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._per_host)))
        state.n_users += 1
        try:
            async with state.turns, self._connections:
                yield
        finally:
            state.n_users -= 1
            if not state.n_users:
                del self._hosts[host]
