"""How often a row is tried, and how long it waits between."""

from __future__ import annotations

import pytest

from pixvec.fetch import FetchOptions
from pixvec.fetch.retries import Retries, read_retry_after


def n_tries(*codes: str, spent_s: float = 0.1, retry_after_s: float | None = None, **options: float) -> int:
    """Count the tries of a row that fails with these codes, and with the last one for ever."""
    retries = Retries(FetchOptions(**options))  # type: ignore[arg-type]
    for number in range(1, 100):
        code = codes[min(number, len(codes)) - 1]
        if retries.pause_s(code, spent_s=spent_s, retry_after_s=retry_after_s) is None:
            return number
    raise AssertionError("it never ends")


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["connect_error"], 3),
        (["truncated_body"], 3),
        (["bad_response"], 3),
        (["dns_error"], 3),
        (["http_500"], 3),
        (["http_429"], 3),
        (["timeout"], 2),
        (["timeout", "connect_error"], 3),
        (["connect_error", "timeout"], 3),
        (["http_404"], 1),
        (["http_403"], 1),
        (["tls_error"], 1),
        (["host_not_found"], 1),
        (["address_blocked"], 1),
        (["too_many_bytes"], 1),
        (["connect_error", "http_404"], 2),
    ],
)
def test_only_what_may_succeed_is_tried_again(codes: list[str], expected: int) -> None:
    assert n_tries(*codes) == expected


def test_tries_may_be_set() -> None:
    assert n_tries("http_503", tries=7) == 7


@pytest.mark.parametrize(("spent_s", "expected"), [(19.0, 3), (29.0, 3), (31.0, 2), (60.0, 1)])
def test_a_row_has_sixty_seconds(spent_s: float, expected: int) -> None:
    assert n_tries("http_500", spent_s=spent_s) == expected


def test_the_last_try_has_what_is_left_of_the_row() -> None:
    retries = Retries(FetchOptions(timeout_s=20.0, row_timeout_s=25.0, backoff_s=0.0))
    assert retries.try_timeout_s == 20.0
    retries.pause_s("http_500", spent_s=18.0, retry_after_s=None)
    assert retries.try_timeout_s == 7.0


@pytest.mark.parametrize(("retry_after_s", "expected"), [(2.0, 3), (29.0, 3), (30.0, 2), (31.0, 1), (86400.0, 1)])
def test_a_pause_that_is_asked_for_is_part_of_the_rows_time(retry_after_s: float, expected: int) -> None:
    assert n_tries("http_429", retry_after_s=retry_after_s) == expected


def test_the_longest_pause_doubles_and_the_others_lie_between() -> None:
    pauses: list[list[float]] = [[], []]
    for _ in range(500):
        retries = Retries(FetchOptions())
        for waits in pauses:
            pause_s = retries.pause_s("http_500", spent_s=0.0, retry_after_s=None)
            assert pause_s is not None
            waits.append(pause_s)
    assert 0.25 < max(pauses[0]) <= 0.5 < max(pauses[1]) <= 1.0
    assert min(pauses[0]) < 0.1
    assert min(pauses[1]) < 0.2


DATE = "Wed, 21 Oct 2015 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": "2"}, 2.0),
        ({"Retry-After": " 86400 "}, 86400.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "2.5"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": DATE}, 0.0),
        ({"Retry-After": DATE, "Date": "Wed, 21 Oct 2015 07:27:48 GMT"}, 12.0),
        ({"Retry-After": DATE, "Date": "Wed, 21 Oct 2015 09:27:48 +0200"}, 12.0),
        ({"Retry-After": DATE, "Date": "Wed, 21 Oct 2015 07:29:00 GMT"}, 0.0),
        ({"Retry-After": DATE, "Date": "today"}, 0.0),
        ({"Retry-After": "Wed, 99 Oct 2015 07:28:00 GMT"}, None),
    ],
    ids=str,
)
def test_a_servers_wish_is_read_as_seconds_or_as_a_date(headers: dict[str, str], expected: float | None) -> None:
    assert read_retry_after(headers) == expected
