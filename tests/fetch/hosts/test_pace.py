"""The rate that a host bears, found out from what it refuses: by a clock of our own, against limits as servers keep."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pixvec.fetch.hosts.pace import Pace


def window(per_second: float) -> Callable[[float], bool]:
    """Let so many through in each second of the server's clock."""
    counts: dict[int, int] = {}

    def lets_through(now: float) -> bool:
        counts[int(now)] = counts.get(int(now), 0) + 1
        return counts[int(now)] <= per_second

    return lets_through


def bucket(per_second: float) -> Callable[[float], bool]:
    """Let through what flows in, and a second's worth that was saved up."""
    left, last = per_second, 0.0

    def lets_through(now: float) -> bool:
        nonlocal left, last
        left, last = min(per_second, left + (now - last) * per_second), now
        if left < 1:
            return False
        left -= 1
        return True

    return lets_through


def ask(lets_through: Callable[[float], bool], *, seconds: float, answer_s: float = 0.005) -> tuple[Pace, list[bool]]:
    """Ask one request after the other, as fast as the pace allows, half a second's back-off after each refusal."""
    pace, now, answers = Pace(), 0.5, []
    while now < seconds:
        now = max(now, pace.next_at)
        pace.begin(now)
        is_good = lets_through(now)
        now += answer_s
        answers.append(is_good)
        if is_good:
            pace.answered(now)
        else:
            pace.refused(now)
            now += 0.5
    return pace, answers


@pytest.mark.parametrize("limit", [window, bucket])
@pytest.mark.parametrize("per_second", [5, 20, 100])
def test_a_limit_is_found_out_and_kept(limit: Callable[[float], Callable[[float], bool]], per_second: float) -> None:
    _, answers = ask(limit(per_second), seconds=120)
    assert 0.7 * per_second < sum(answers) / 120 < 1.05 * per_second
    assert answers.count(False) < 0.1 * len(answers)


def test_a_host_that_refuses_none_has_no_limit() -> None:
    pace, answers = ask(lambda _: True, seconds=10)
    assert (pace.per_second, pace.next_at < 10.0, len(answers)) == (float("inf"), True, 1900)


def test_a_limit_that_is_lifted_is_forgotten() -> None:
    limited = bucket(20)
    pace, _ = ask(lambda now: now > 30 or limited(now), seconds=90)
    assert pace.per_second > 150


def test_a_host_that_refuses_one_in_ten_whatever_it_is_asked_is_not_asked_ever_more_slowly() -> None:
    numbers = iter(range(1_000_000))
    _, answers = ask(lambda _: next(numbers) % 10 > 0, seconds=60)
    assert sum(answers) > 60 * 5
