"""Rows in progress are given out as they are decided, in bounds, and a bug is raised in its turn."""

from __future__ import annotations

from concurrent.futures import Future

import pytest

from pixvec.pipeline.window import WAITING_CELL_BYTES, WAITING_ROWS, InProgress, Window, stage_of
from pixvec.values import Row


def begin(window: Window, n: int, *, n_bytes: int = 0) -> list[Future[Row]]:
    rows: list[Future[Row]] = [Future() for _ in range(n)]
    for number, row in enumerate(rows):
        window.add(InProgress(number, f"row {number}".__str__, row, n_bytes=n_bytes))
    return rows


def test_rows_are_given_out_as_they_are_decided() -> None:
    window = Window()
    rows = begin(window, 3)
    assert not window.has_done
    for number in (2, 0, 1):
        rows[number].set_result(Row(error=f"code_{number}"))
    assert [(number, row.error) for _ in rows for number, row in window.take()] == [
        (2, "code_2"),
        (0, "code_0"),
        (1, "code_1"),
    ]
    assert len(window) == 0


def test_a_decided_row_keeps_its_place_until_those_before_it_are_decided() -> None:
    window = Window()
    first, second = begin(window, 2)
    second.set_result(Row())
    assert [number for number, _ in window.take()] == [1]
    assert len(window) == 2
    first.set_result(Row())
    assert [number for number, _ in window.take()] == [0]
    assert len(window) == 0


def test_a_bug_is_raised_after_all_rows_before_it_and_says_where_it_was_met() -> None:
    window = Window()
    first, second = begin(window, 2)
    second.set_exception(ZeroDivisionError("oops"))
    assert list(window.take()) == []
    first.set_result(Row())
    taken = window.take()
    assert next(taken)[0] == 0
    with pytest.raises(ZeroDivisionError, match="oops") as caught:
        next(taken)
    assert caught.value.__notes__ == ["pixvec: this is a bug, met at row 1, in pixvec.pipeline.window"]


@pytest.mark.parametrize(
    ("n", "n_bytes", "is_full"),
    [
        (WAITING_ROWS - 1, 0, False),
        (WAITING_ROWS, 0, True),
        (2, WAITING_CELL_BYTES // 2, False),
        (3, WAITING_CELL_BYTES // 2, True),
    ],
)
def test_it_is_full_of_rows_or_of_bytes(n: int, n_bytes: int, is_full: bool) -> None:
    window = Window()
    rows = begin(window, n, n_bytes=n_bytes)
    assert window.is_full is is_full
    rows[0].set_result(Row())
    assert [number for number, _ in window.take()] == [0]
    assert not window.is_full


def test_progress_is_told_while_a_row_is_waited_for() -> None:
    told: list[str] = []
    window = Window(lambda: told.append("once more") if len(told) < 2 else row.set_result(Row()))
    (row,) = begin(window, 1)
    assert [number for number, _ in window.take()] == [0]
    assert told == ["once more"] * 2


def test_a_bug_that_came_from_nowhere_is_met_in_the_library() -> None:
    assert stage_of(ValueError("never raised")) == "pixvec"
