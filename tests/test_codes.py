"""Each code says in one sentence what happened and in one what helps; a status says what it means itself."""

from __future__ import annotations

import re

import pytest

from pixvec.codes import CODES, STATUSES, code_of

SENTENCES = [
    *((code.name, text) for code in CODES.values() for text in (code.meaning, code.advice)),
    *((statuses[0], text) for statuses, *texts in STATUSES for text in texts),
]


@pytest.mark.parametrize(("name", "text"), SENTENCES)
def test_a_sentence_is_one(name: str, text: str) -> None:
    assert re.fullmatch(r"[A-Z](?:`[^`]*`|[^.`]|\d\.\d)*\.", text), name


@pytest.mark.parametrize(
    ("codes", "word"),
    [
        (["http_401", "http_403"], "header"),
        (["http_404", "http_410"], "new URL"),
        (["http_408"], "less busy"),
        (["http_425", "http_429"], "connections"),
        (["http_500", "http_503", "http_599"], "owner"),
        (["http_204", "http_302", "http_418"], "browser"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_each_status_has_advice_of_its_own(codes: list[str], word: str) -> None:
    advice = {known.advice for known in map(code_of, codes) if known}
    assert [word in text for text in advice] == [True]


def test_a_status_may_succeed_later_as_it_says() -> None:
    codes = ["http_404", "http_408", "http_425", "http_429", "http_500"]
    assert [known.retryable for known in map(code_of, codes) if known] == [False, True, True, True, True]
