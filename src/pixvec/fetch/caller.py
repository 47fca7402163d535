"""For whom something is fetched: callers share a `Fetcher`, its connections and limits, and each has its own account.

Who the caller is goes with the task, as a context variable: an address is dialled deep in the HTTP client, which hands
nothing through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from pixvec.fetch.backlog import Backlog


@dataclass(frozen=True, slots=True)
class Caller:
    """The account of one caller.

    Parameters
    ----------
    backlog
        Holds its requests back while too much is fetched and not kept.
    private_addresses, refused_addresses
        Those that were dialled for it and that only an option opens, and those of the user's own that were refused;
        see `AddressGuard`.
    """

    backlog: Backlog = field(default_factory=Backlog)
    private_addresses: set[str] = field(default_factory=set)
    refused_addresses: set[str] = field(default_factory=set)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Make what the current task fetches in the block this caller's."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Caller] = ContextVar("caller")


def current_caller() -> Caller:
    """Return the caller that the current task fetches for; one without limits where none has said so."""
    return _current.get(None) or Caller()
