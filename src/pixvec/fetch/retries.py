"""The tries of one row: whether there is another, and after what pause."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from pixvec.codes import is_retryable
from pixvec.fetch.options import FetchOptions

_TRIES_AFTER_TIMEOUTS: Final = 2
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class Retries:
    """Counts the tries of one row, and the time they take.

    Parameters
    ----------
    options
        The limits; `FetchOptions` says what they mean.
    """

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._n_tries = 0
        self._n_timeouts = 0
        self._left_s = options.row_timeout_s

    @property
    def try_timeout_s(self) -> float:
        """How long the next try may take."""
        return min(self._options.timeout_s, self._left_s)

    def may_go_on(self, spent_s: float) -> bool:
        """Count the time of a try that was ended for the sake of others, and no try; tell whether there is any left."""
        self._left_s -= spent_s
        return self._left_s > 0

    def pause_s(self, code: str, *, spent_s: float, retry_after_s: float | None) -> float | None:
        """Return how long to wait before the next try; None where there is none.

        Parameters
        ----------
        code
            What the last try failed with.
        spent_s
            How long it took.
        retry_after_s
            How long the host asked to wait, if it did.
        """
        self._n_tries += 1
        self._n_timeouts += code == "timeout"
        pause_s = max(self._backoff_s(), retry_after_s or 0.0)
        self._left_s -= spent_s + pause_s
        return pause_s if self._is_worth_a_try(code, retry_after_s or 0.0) else None

    def _backoff_s(self) -> float:
        longest_s = self._options.backoff_s * 2 ** (self._n_tries - 1)
        return random.uniform(0, longest_s)  # noqa: S311 (nobody gains by guessing it)

    def _is_worth_a_try(self, code: str, retry_after_s: float) -> bool:
        return (
            is_retryable(code)
            and self._n_tries < self._options.tries
            and self._n_timeouts < _TRIES_AFTER_TIMEOUTS
            and retry_after_s <= self._options.max_retry_after_s
            and self._left_s > 0
        )


def read_retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait: given as such or as a date; None where it asks for nothing."""
    text = headers.get("Retry-After")
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()):
        return float(text)
    until = _read_date(text)
    if until is None:
        return None
    # By the server's own clock where it tells the time: ours may be minutes off.
    now = _read_date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _read_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
