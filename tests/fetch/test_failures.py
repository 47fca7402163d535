from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest

from pixvec.fetch.failures import _TABLE, as_fetch_error

# Raised by what a fetcher never does: web sockets, uploads, redirects of aiohttp's own.
UNUSED = {
    aiohttp.ClientError,
    aiohttp.RedirectClientError,
    aiohttp.NonHttpUrlClientError,
    aiohttp.NonHttpUrlRedirectClientError,
    aiohttp.client_exceptions.UploadAbortedError,
    aiohttp.WSMessageTypeError,
}


def family(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


@pytest.mark.parametrize("kind", sorted(set(family(aiohttp.ClientError)) - UNUSED, key=str))
def test_every_error_of_aiohttp_has_a_code(kind: type[Exception]) -> None:
    assert any(issubclass(kind, known) for known, _, _ in _TABLE)


@pytest.mark.parametrize("position", range(len(_TABLE)))
def test_no_class_stands_behind_its_base(position: int) -> None:
    assert not any(issubclass(_TABLE[position][0], earlier) for earlier, _, _ in _TABLE[:position])


@pytest.mark.parametrize("bug", [ValueError(), KeyError(), FileNotFoundError(2, "x"), aiohttp.ClientError()], ids=repr)
def test_what_nobody_foresaw_stays_a_bug(bug: Exception) -> None:
    assert as_fetch_error(bug) is None
