"""A real server that misbehaves, one that nobody may connect to, and a fetcher between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

import pixvec
from pixvec.errors import FetchError
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import Fetch, canary, failure, fetch, server

__all__ = ["Codes", "Outcome", "canary", "failure", "fetch", "server"]

Outcome: TypeAlias = Callable[..., str]
Codes: TypeAlias = Callable[..., list[str]]


@pytest.fixture
def outcome(fetch: Fetch) -> Outcome:
    """Fetch one cell; say ``ok``, or the code that it failed with."""

    def run(cell: str, **options: Any) -> str:
        try:
            fetch(cell, **options)
        except FetchError as error:
            return error.code
        return "ok"

    return run


@pytest.fixture
def codes(checkpoint: str, server: ImageServer) -> Codes:
    """Embed a column; ``ok`` or a code for each row."""

    def run(cells: list[object], **options: Any) -> list[str]:
        with pixvec.Embedder(model=checkpoint, allow_address=(server.address,), tries=1, **options) as embedder:
            return [error or "ok" for error in embedder.embed(cells).errors]

    return run
