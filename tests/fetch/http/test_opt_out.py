from __future__ import annotations

import pytest

from pixvec.errors import UsageError
from pixvec.fetch import FetchOptions
from pixvec.fetch.http.opt_out import parse_opt_out


@pytest.mark.parametrize(
    ("text", "expected"),
    [("none", set()), ("noai", {"noai"}), (" NoAI, noindex ", {"noai", "noindex"})],
)
def test_reads_the_directives_that_count(text: str, expected: set[str]) -> None:
    assert parse_opt_out(text) == expected


@pytest.mark.parametrize("text", ["", "all", "noai,none", "noai noindex", "noai,"])
def test_refuses_other_words(text: str) -> None:
    with pytest.raises(UsageError, match="expected none, or some of noai,noimageai,noindex,noimageindex"):
        FetchOptions(opt_out=text)
