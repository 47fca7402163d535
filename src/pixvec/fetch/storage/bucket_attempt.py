"""One try: an object in a bucket -> its bytes, by way of permits and a clock, as an `Attempt` is for a URL."""

from __future__ import annotations

from contextlib import AsyncExitStack

from pixvec.concurrency.fair_budget import Claim
from pixvec.errors import FetchError
from pixvec.fetch.attempt import Fetched
from pixvec.fetch.buckets import BucketObject
from pixvec.fetch.budget import Lease
from pixvec.fetch.clock import Clock
from pixvec.fetch.hosts.limiter import HostLimiter, Permit
from pixvec.fetch.storage.client import Storages


class BucketAttempt:
    """One try at an object.

    Parameters
    ----------
    wanted
        The object.
    lease
        What its body takes of the budget is put down to it.
    timeout_s
        How long it may take.
    is_retry
        Whether there was a try before.
    storages, limiter
        What all tries share.

    Attributes
    ----------
    permit
        The permit it had; None where it had none.
    """

    def __init__(
        self,
        wanted: BucketObject,
        lease: Lease,
        *,
        timeout_s: float,
        is_retry: bool,
        storages: Storages,
        limiter: HostLimiter,
    ) -> None:
        self._wanted = wanted
        self._lease = lease
        self._is_retry = is_retry
        self._storages = storages
        self._limiter = limiter
        self._clock = Clock(timeout_s)
        self.permit: Permit | None = None

    async def fetch(self) -> Fetched:
        """Read the object.

        Raises
        ------
        FetchError
            Why it was not read.
        """
        try:
            async with self._clock:
                return await self._read()
        except TimeoutError:
            raise FetchError("timeout", "no complete answer in time") from None

    was_dropped = False
    """A storage's client may hold more than a connection, so that nothing is to be had by dropping it."""

    def spent_s(self) -> float:
        """Return how long it took, waiting for others not counted."""
        return self._clock.spent_s()

    async def _read(self) -> Fetched:
        claim = Claim(self._wanted.host, self._wanted.host)
        async with AsyncExitStack() as stack:
            with self._clock.stopped():
                self.permit = await stack.enter_async_context(
                    self._limiter.permit(self._wanted.host, is_retry=self._is_retry, is_late=self._clock.has_expired)
                )
                await self._lease.begin(claim)
                await stack.enter_async_context(self._limiter.connection(claim))
            self.permit.begin()
            body = await self._storages.read(self._wanted, self._take)
            self._lease.end()
            return Fetched(body, None, claim=claim)

    async def _take(self, n_bytes: int) -> None:
        with self._clock.stopped():
            await self._lease.take(n_bytes)
