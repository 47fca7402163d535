"""What a host's answers say about it: how many connections it bears, whether it wants a pause, whether it is down.

Codes and times go in.
"""

from __future__ import annotations

import math
import random
from collections import deque
from typing import Final

from pixvec.codes import is_retryable
from pixvec.fetch.hosts.pace import Pace
from pixvec.fetch.options import FetchOptions

_NO_ANSWER: Final = frozenset({"timeout", "connect_error", "dns_error", "host_not_found"})
_TOO_BUSY: Final = frozenset({"http_429", "http_503"})
_MAY_BE_THE_URLS: Final = frozenset({"http_503", "connect_error", "dns_error", "host_not_found"})
_N_RECENT: Final = 32
_MOST_OF_URLS: Final = _N_RECENT // 5
"""A host of whose last 32 rows a fifth or less failed so is well, and those URLs are not."""
_NOT_ASKED: Final = frozenset({"address_blocked"})
_MAX_DOUBLINGS: Final = 6


class HostState:
    """One host, as its answers show it; times are those of the event loop's clock.

    The number of connections grows by one with each round of good answers, and is halved when the host pushes back.
    Requests that were in progress together tell of one push only: it is news if the request began after the last one.
    429 and whatever comes with Retry-After is the host's. A 503 without it, and a lost connection to a host that has
    answered before, are their URL's own unless more than a fifth of the last 32 rows failed so. A time-out while others
    were answered costs one connection: few such make no difference, many add up.

    A host that is too busy is asked more slowly too, as `Pace` finds out: one that answers fast refuses more requests
    than a single connection brings.

    A host is down when it has pushed back `down_after` times running, each time another row: a row's further tries slow
    the host down and count no more, or a few slow pages would speak for all others. Two things make that milder. Once a
    host has answered, news only is counted, time-outs aside, so that a short outage under many requests is one push.
    And a host that says it is busy (429, 503) answers, after a fashion: it is given as long as a row has.

    Parameters
    ----------
    options
        The limits; `FetchOptions` says what they mean.
    """

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._window = float(min(options.first_connections_per_host, options.connections_per_host))
        self._held_until = -math.inf
        self._down_as: str | None = None
        self._retry_at = -math.inf
        self._n_pushes = 0
        self._pushing_since = -math.inf
        self._slowed_at = -math.inf
        self._answered_at = -math.inf
        self._pace = Pace()
        self._recent: deque[bool] = deque(maxlen=_N_RECENT)
        """Of the last requests, whether each failed in a way that may be its URL's own."""

    @property
    def n_connections(self) -> int:
        """How many connections it bears at once."""
        return int(self._window)

    @property
    def held_until(self) -> float:
        """When it may be asked again; the time may have passed."""
        return max(self._held_until, self._pace.next_at)

    @property
    def per_second(self) -> float:
        """How many requests it bears in a second; infinite where it has not refused any."""
        return self._pace.per_second

    @property
    def down_as(self) -> str | None:
        """The code that its rows are decided with while it is down."""
        return self._down_as

    def may_be_retried(self, now: float) -> bool:
        """Let one request through, every so often, while it is down."""
        if now < self._retry_at:
            return False
        self._retry_at = now + self._options.down_retry_s
        self._held_until = now
        return True

    def begin(self, now: float) -> None:
        """Take note that a request begins."""
        self._pace.begin(now)

    def learn(
        self,
        code: str | None,
        *,
        started: float,
        now: float,
        retry_after_s: float | None = None,
        is_retry: bool = False,
    ) -> None:
        """Learn from a request that has ended.

        Parameters
        ----------
        code
            What it failed with; None where it succeeded.
        started, now
            When it began and when it ended.
        retry_after_s
            How long a pause the host asked for, if it did.
        is_retry
            Whether its row had been tried before.
        """
        if code in _NOT_ASKED:
            return
        may_be_the_urls = code in _MAY_BE_THE_URLS and retry_after_s is None
        if not is_retry:  # what failed once is likely to fail again
            self._recent.append(may_be_the_urls)
        if may_be_the_urls and self._is_well(code):
            if code in _TOO_BUSY:
                self._be_answered(code, now)
        elif code in _NO_ANSWER or code in _TOO_BUSY:
            self._be_pushed(code, started, now, retry_after_s or 0.0, is_retry=is_retry)
        else:
            self._be_answered(code, now)
        if retry_after_s is not None and code is not None and is_retryable(code) and self._is_bearable(retry_after_s):
            self._held_until = max(self._held_until, now + retry_after_s)

    def _is_well(self, code: str | None) -> bool:
        has_answered = code in _TOO_BUSY or self._answered_at > -math.inf
        return has_answered and sum(self._recent) <= _MOST_OF_URLS

    def _be_answered(self, code: str | None, now: float) -> None:
        if code is None or not is_retryable(code):
            self._pace.answered(now)
            self._window = min(float(self._options.connections_per_host), self._window + 1 / self._window)
        self._n_pushes = 0
        self._answered_at = now
        self._down_as = None

    def _be_pushed(self, code: str, started: float, now: float, retry_after_s: float, *, is_retry: bool) -> None:
        if code == "timeout" and self._answered_at > started:
            self._window = max(1.0, self._window - 1)  # others were answered meanwhile, so that it may be the URL's own
            return
        is_news = started >= self._slowed_at
        if is_news:
            self._slow_down(now)
            if code in _TOO_BUSY:
                self._pace.refused(now)
        if not is_retry and (is_news or code == "timeout" or self._answered_at == -math.inf):
            self._count_push(code, now, bears_waiting=code in _TOO_BUSY and self._is_bearable(retry_after_s))

    def _is_bearable(self, pause_s: float) -> bool:
        return pause_s <= self._options.max_retry_after_s

    def _slow_down(self, now: float) -> None:
        self._slowed_at = now
        self._window = max(1.0, self._window / 2)
        longest_s = self._options.backoff_s * 2 ** min(self._n_pushes, _MAX_DOUBLINGS)
        self._held_until = max(self._held_until, now + random.uniform(0, longest_s))  # noqa: S311 (for pacing only)

    def _count_push(self, code: str, now: float, *, bears_waiting: bool) -> None:
        if not self._n_pushes:
            self._pushing_since = now
        self._n_pushes += 1
        patience_s = self._options.row_timeout_s if bears_waiting else 0.0
        has_had_enough = self._n_pushes >= self._options.down_after and now - self._pushing_since >= patience_s
        if has_had_enough:
            if self._down_as is None:
                self._retry_at = now + self._options.down_retry_s
            self._down_as = code  # what it said last
