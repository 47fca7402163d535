"""What the local image server lacks: answers that change from time to time, and hosts that are not there."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final, Self

_N_TO_FILL: Final = 4
"""Connections that fill the queue of a listener that never accepts; Linux takes one or two more than it is told."""


@dataclass(slots=True)
class InTurn:
    """Pieces for `ImageServer.add_raw` that differ from request to request; the last ones stay.

    Examples
    --------
    >>> answers = InTurn([b"first"], [b"second"])
    >>> list(answers), list(answers), list(answers)
    ([b'first'], [b'second'], [b'second'])
    """

    answers: list[Iterable[bytes]]

    def __init__(self, *answers: Iterable[bytes]) -> None:
        self.answers = list(answers)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


@dataclass(slots=True)
class RateLimit:
    """A limit of so many answers a second, with a second's worth that may be saved up; beyond it comes another answer.

    Parameters
    ----------
    per_second
        How many requests are answered.
    refusal
        What the others get.

    Attributes
    ----------
    n_answered, n_refused
        How many there were of each.
    """

    per_second: float
    refusal: bytes
    n_answered: int = field(default=0, init=False)
    n_refused: int = field(default=0, init=False)
    _left: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)

    def guard(self, answer: bytes) -> RateLimited:
        """Return pieces for `ImageServer.add_raw`: of the answer, or of the refusal."""
        return RateLimited(self, answer)

    def take(self) -> bool:
        """Count a request; tell whether it is answered."""
        now = time.monotonic()
        self._left, self._last = min(self.per_second, self._left + (now - self._last) * self.per_second), now
        if self._left < 1:
            self.n_refused += 1
            return False
        self._left -= 1
        self.n_answered += 1
        return True


@dataclass(frozen=True, slots=True)
class RateLimited:
    """An answer under a limit that it shares with others."""

    limit: RateLimit
    answer: bytes

    def __iter__(self) -> Iterator[bytes]:
        return iter([self.answer if self.limit.take() else self.limit.refusal])


@dataclass(slots=True)
class BlackHole:
    """An address at which nobody ever answers a connection, from ``with`` to the end of its block.

    A listener whose queue is full: the system drops whoever else knocks, as a firewall does.

    Parameters
    ----------
    host
        An address of this machine.
    """

    host: str = "127.0.0.1"
    port: int = field(default=0, init=False)
    _sockets: ExitStack = field(default_factory=ExitStack, init=False)

    def __enter__(self) -> Self:
        listener = self._sockets.enter_context(socket.socket())
        listener.bind((self.host, 0))
        listener.listen(0)
        self.port = listener.getsockname()[1]
        for _ in range(_N_TO_FILL):
            filler = self._sockets.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex((self.host, self.port))
        return self

    def __exit__(self, *_: object) -> None:
        self._sockets.close()

    @property
    def address(self) -> str:
        """``ADDRESS:PORT``, as ``allow_address`` takes it."""
        return f"{self.host}:{self.port}"

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://{self.address}{path}"
