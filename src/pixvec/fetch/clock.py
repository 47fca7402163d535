"""The time that a try may take, which stands still while the try waits for others. It must not know what is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self


class Clock:
    """A deadline for the ``async with`` block that it is entered for.

    Parameters
    ----------
    timeout_s
        How long the block may take, without what is spent in `stopped`.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timeout = asyncio.timeout(timeout_s)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, traceback)

    def has_expired(self) -> bool:
        """Tell whether the block was cancelled because its time was over."""
        return self._timeout.expired()

    def spent_s(self) -> float:
        """Return how long the block took, waiting for others not counted."""
        deadline = self._timeout.when()
        return self._timeout_s - (deadline - asyncio.get_running_loop().time() if deadline else 0.0)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass within the block."""
        loop = asyncio.get_running_loop()
        when = self._timeout.when()
        assert when is not None, "the clock runs"  # noqa: S101 (a condition that types cannot state)
        left_s = when - loop.time()
        self._timeout.reschedule(None)
        try:
            yield
        finally:
            self._timeout.reschedule(loop.time() + left_s)
