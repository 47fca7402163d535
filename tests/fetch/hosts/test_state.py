"""What a host's answers say about it, second by second."""

from __future__ import annotations

import pytest

from pixvec.fetch import FetchOptions
from pixvec.fetch.hosts.state import HostState

NO_ANSWER = ["timeout", "connect_error", "dns_error", "host_not_found"]
TOO_BUSY = ["http_429", "http_503"]
ANSWERS = [None, "http_404", "http_500", "truncated_body", "bad_response", "too_many_bytes", "tls_error", "opt_out"]


def state(**options: float) -> HostState:
    return HostState(FetchOptions(**{"backoff_s": 0.0, **options}))  # type: ignore[arg-type]


def learn(state: HostState, *codes: str | None, since: float = 0.0, retry_after_s: float | None = None) -> None:
    """Let requests end one after the other, each a second long."""
    for second, code in enumerate(codes):
        state.learn(code, started=since + second, now=since + second + 1, retry_after_s=retry_after_s)


def test_it_bears_one_connection_more_with_each_round_of_good_answers() -> None:
    host = state()
    assert host.n_connections == 16
    learn(host, *[None] * 17)
    assert host.n_connections == 17
    learn(host, *[None] * 10_000)
    assert host.n_connections == 64


@pytest.mark.parametrize("code", ["http_500", "truncated_body", "bad_response"])
def test_bad_answers_win_it_nothing(code: str) -> None:
    host = state()
    learn(host, *[code] * 1000)
    assert (host.n_connections, host.down_as) == (16, None)


@pytest.mark.parametrize("code", ["http_429", *NO_ANSWER])
def test_a_push_back_halves_its_connections_down_to_one(code: str) -> None:
    host, borne = state(down_after=100), []
    for second in range(6):
        learn(host, code, since=second)
        borne.append(host.n_connections)
    assert borne == [8, 4, 2, 1, 1, 1]


def test_requests_that_were_under_way_together_tell_of_one_push_back() -> None:
    host = state()
    learn(host, None)
    for now in (3.0, 3.1, 3.2):
        host.learn("http_429", started=2.0, now=now)
    assert host.n_connections == 8


@pytest.mark.parametrize(("n_late_of_100", "least", "most"), [(1, 50, 64), (2, 40, 56), (10, 6, 14), (60, 1, 2)])
def test_time_outs_while_others_are_answered_bring_it_down_only_when_they_are_many(
    n_late_of_100: int, least: int, most: int
) -> None:
    host = state()
    for second in range(10_000):
        is_late = second * 37 % 100 < n_late_of_100  # spread evenly
        host.learn("timeout" if is_late else None, started=second - 20.0, now=float(second))
    assert least <= host.n_connections <= most
    assert host.down_as is None


@pytest.mark.parametrize("code", NO_ANSWER)
def test_a_host_that_never_answered_is_down_after_five_failures_at_once(code: str) -> None:
    host = state()
    for _ in range(4):
        host.learn(code, started=0.0, now=5.0)
    assert host.down_as is None
    host.learn(code, started=0.0, now=5.0)
    assert host.down_as == code


def test_a_rows_further_tries_slow_a_host_down_and_do_not_bring_it_down() -> None:
    host = state()
    for _ in range(3):
        host.learn("timeout", started=0.0, now=20.0)
        host.learn("timeout", started=20.0, now=40.0, is_retry=True)
    assert (host.n_connections, host.down_as) == (4, None)
    host.learn("timeout", started=0.0, now=20.0)
    host.learn("timeout", started=0.0, now=20.0)
    assert host.down_as == "timeout"


def test_time_outs_count_each_because_nothing_came_all_the_while() -> None:
    host = state()
    learn(host, None)
    for _ in range(5):
        host.learn("timeout", started=1.0, now=21.0)
    assert host.down_as == "timeout"


def test_an_outage_of_a_host_that_answered_is_one_failure_of_all_that_were_under_way() -> None:
    host = state()
    learn(host, None)
    for _ in range(16):
        host.learn("connect_error", started=1.0, now=2.0)
    assert host.down_as is None
    learn(host, *["connect_error"] * 4, since=2.0)
    assert host.down_as == "connect_error"


@pytest.mark.parametrize("answer", ANSWERS)
def test_any_answer_ends_the_run_of_failures(answer: str | None) -> None:
    host = state()
    learn(host, *["connect_error"] * 4, answer, *["connect_error"] * 4)
    assert host.down_as is None


def test_an_address_that_was_not_dialled_says_nothing_of_the_host() -> None:
    host = state()
    learn(host, *["address_blocked"] * 1000)
    assert (host.n_connections, host.down_as) == (16, None)


def test_of_a_host_that_is_down_one_request_in_thirty_seconds_gets_through() -> None:
    host = state()
    learn(host, *["timeout"] * 5)
    tried = [second for second in range(5, 120) if host.may_be_retried(float(second))]
    assert tried == [35, 65, 95]


def test_a_request_that_was_let_through_in_vain_leaves_it_down_with_what_it_said_last() -> None:
    host = state()
    learn(host, *["timeout"] * 5)
    assert host.may_be_retried(35.0)
    host.learn("connect_error", started=35.0, now=55.0)
    assert (host.down_as, host.may_be_retried(64.0), host.may_be_retried(65.0)) == ("connect_error", False, True)


def test_a_host_that_is_tried_again_is_no_longer_held() -> None:
    host = state(backoff_s=1000.0)
    learn(host, *["timeout"] * 5)
    assert host.may_be_retried(35.0)
    assert host.held_until <= 35.0


def test_an_answer_brings_a_host_up_again() -> None:
    host = state()
    learn(host, *["timeout"] * 5, None)
    assert host.down_as is None


@pytest.mark.parametrize(("code", "n_of_urls"), [("http_429", 0), ("http_503", 6)])
def test_a_host_that_is_only_busy_is_given_a_minute(code: str, n_of_urls: int) -> None:
    host = state()
    learn(host, *[code] * (n_of_urls + 60))
    assert host.down_as is None
    learn(host, code, since=n_of_urls + 60.0)
    assert host.down_as == code


URLS_OWN = ["http_503", "connect_error", "dns_error", "host_not_found"]


@pytest.mark.parametrize("code", URLS_OWN)
def test_a_failure_of_every_sixth_request_is_its_urls_own(code: str) -> None:
    host = state(backoff_s=1000.0)
    learn(host, *[*[None] * 5, code] * 20)
    assert host.n_connections >= 16
    assert (host.down_as, host.held_until < 100.0) == (None, True)


@pytest.mark.parametrize("code", URLS_OWN)
def test_a_failure_of_more_than_a_fifth_of_the_last_32_requests_is_the_hosts(code: str) -> None:
    host = state()
    learn(host, *[None] * 26, *[code] * 6)
    before = host.n_connections
    learn(host, code, since=32.0)
    assert host.n_connections == before // 2


def test_at_first_six_requests_say_nothing() -> None:
    host, borne = state(), []
    for second in range(9):
        learn(host, "http_503", since=second)
        borne.append(host.n_connections)
    assert borne == [16] * 6 + [8, 4, 2]


def test_what_fails_again_when_it_is_tried_again_says_nothing_of_the_host() -> None:
    host = state(backoff_s=1000.0)
    learn(host, *[None] * 26, *["http_503"] * 6)
    for second in range(100, 200):
        host.learn("http_503", started=second, now=second + 1, is_retry=True)
    assert (host.n_connections >= 16, host.held_until < 100.0) == (True, True)


@pytest.mark.parametrize(("code", "retry_after_s"), [("http_429", None), ("http_429", 1.0), ("http_503", 1.0)])
def test_a_request_to_wait_is_the_hosts_though_it_is_the_only_one(code: str, retry_after_s: float | None) -> None:
    host = state()
    learn(host, *[None] * 32)
    before = host.n_connections
    learn(host, code, since=32.0, retry_after_s=retry_after_s)
    assert host.n_connections == before // 2


def test_a_host_that_wants_to_be_left_alone_for_long_is_down_after_five_such_answers() -> None:
    host = state()
    learn(host, *["http_503"] * 4, retry_after_s=3600.0)
    assert (host.down_as, host.held_until < 5) == (None, True)
    learn(host, "http_503", since=4.0, retry_after_s=3600.0)
    assert host.down_as == "http_503"


@pytest.mark.parametrize(
    ("code", "retry_after_s", "held_until"),
    [
        ("http_429", 7.0, 8.0),
        ("http_503", 30.0, 31.0),
        ("http_500", 2.0, 3.0),
        ("http_404", 7.0, 0.0),
        (None, 7.0, 0.0),
    ],
)
def test_a_pause_that_is_asked_for_holds_the_host(code: str | None, retry_after_s: float, held_until: float) -> None:
    host = state()
    learn(host, code, retry_after_s=retry_after_s)
    assert max(host.held_until, 0.0) == held_until


def test_without_one_it_is_held_for_a_back_off_that_doubles() -> None:
    longest = []
    for n_before in range(10):
        pauses = []
        for _ in range(200):
            host = state(backoff_s=1.0, down_after=100)
            learn(host, *["http_429"] * n_before)
            host.learn("http_429", started=100.0, now=100.0)
            pauses.append(host.held_until - 100.0)
        longest.append(max(pauses))
    bounds = [2.0 ** min(n_before, 6) for n_before in range(10)]
    assert all(bound / 2 < most <= bound for most, bound in zip(longest, bounds, strict=True))
