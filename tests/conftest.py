"""What most tests stand on: a tiny checkpoint, and a local server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.server import ImageServer

# No test is timed: how long an example takes says how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a tiny checkpoint of random weights."""
    return str(make_checkpoint(tmp_path_factory.mktemp("checkpoint")))


@pytest.fixture
def server() -> Iterator[ImageServer]:
    """A local image server."""
    with ImageServer() as server:
        yield server
