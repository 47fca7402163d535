"""The time that a try may take, which stands still while the try waits for others."""

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

    Attributes
    ----------
    was_cut_short
        Whether it was ended before its time.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._timeout = asyncio.timeout(timeout_s)
        self._left_s = 0.0
        self.was_cut_short = False

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._timeout.__aexit__(kind, error, traceback)

    def has_expired(self) -> bool:
        """Tell whether the block was cancelled because its time was over."""
        return self._timeout.expired() and not self.was_cut_short

    def spent_s(self) -> float:
        """Return how long the block took, waiting for others not counted."""
        deadline = self._timeout.when()
        left_s = deadline - asyncio.get_running_loop().time() if deadline else 0.0
        return self._timeout_s - self._left_s - left_s

    def cut_short(self) -> None:
        """End the block now, as if its time were over."""
        now = asyncio.get_running_loop().time()
        deadline = self._timeout.when()
        if deadline is not None and not self._timeout.expired():
            self.was_cut_short = True
            self._left_s = deadline - now
            self._timeout.reschedule(now)

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
