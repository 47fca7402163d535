"""How many requests a second a host bears, found out from its refusals."""

from __future__ import annotations

import math
from typing import Final

_SHORTEST_S, _LONGEST_S = 1.0, 60.0
"""Between two refusals that are compared: less may be a host's first burst, more holds times without requests."""
_KEPT_SHARE: Final = 0.9
_GROWTH: Final = 0.01
"""Each answer raises the rate by this much for every second since the last refusal: by a tenth after some 5 s."""
_SLOWEST_PER_SECOND: Final = 1.0
"""What is slower than this, back-offs and the pauses that a host asks for bring about."""
_SLACK_S: Final = 0.1
"""How far requests that are late may catch up: timers are late by a millisecond or two."""


class Pace:
    """The rate limit of one host; there is none before the second refusal.

    A refusal sets it to nine tenths of what the host has answered in a second since the refusal before, but to no less
    than half of the most that it answered within the last minute: some hosts refuse as many however few they are asked.
    Answers raise it, slowly at first, for as long as it is used up.
    """

    def __init__(self) -> None:
        self._per_second = math.inf
        self._next_at = -math.inf
        self._since = -math.inf
        self._n_answered = 0
        self._most, self._most_at = 0.0, -math.inf

    @property
    def per_second(self) -> float:
        """The limit; infinite where none is known."""
        return self._per_second

    @property
    def next_at(self) -> float:
        """When the next request may begin; the time may have passed."""
        return self._next_at

    def begin(self, now: float) -> None:
        """Take note that a request begins."""
        self._next_at = max(self._next_at, now - _SLACK_S) + 1 / self._per_second

    def answered(self, now: float) -> None:
        """Learn that a request was answered well."""
        self._n_answered += 1
        since_s = now - self._since
        if self._per_second * since_s < 2 * self._n_answered:  # else it is not what holds requests up
            self._per_second += _GROWTH * since_s

    def refused(self, now: float) -> None:
        """Learn that one was refused because there were too many."""
        since_s = now - self._since
        if since_s < _SHORTEST_S:
            return
        if since_s <= _LONGEST_S and self._n_answered:
            self._limit(self._n_answered / since_s, now)
        self._since, self._n_answered = now, 0

    def _limit(self, answered_per_second: float, now: float) -> None:
        if answered_per_second > self._most or now - self._most_at > _LONGEST_S:
            self._most, self._most_at = answered_per_second, now
        self._per_second = max(_KEPT_SHARE * answered_per_second, self._most / 2, _SLOWEST_PER_SECOND)
