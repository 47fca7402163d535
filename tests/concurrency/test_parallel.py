"""Work on many items at a time."""

from __future__ import annotations

import threading
import time

import pytest

from pixvec.concurrency.parallel import parallel_map
from pixvec.concurrency.stop import StoppedError


def test_results_have_the_items_order() -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.05 if item == 0 else 0)
        return item * item

    assert parallel_map(slow_at_first, iter(range(100))) == [item * item for item in range(100)]


def test_no_items_are_no_results() -> None:
    assert parallel_map(str, []) == []


def test_what_work_raises_is_raised_and_the_rest_is_not_begun() -> None:
    begun: list[int] = []

    def fail_at_three(item: int) -> None:
        begun.append(item)
        if item == 3:
            raise StopIteration("at three")
        time.sleep(0.001)

    with pytest.raises(StopIteration, match="at three"):
        parallel_map(fail_at_three, range(10_000))
    assert len(begun) < 1000


def test_it_stops_when_asked() -> None:
    stop = threading.Event()
    with pytest.raises(StoppedError):
        parallel_map(lambda item: stop.set() if item == 3 else None, range(10_000), stop)
