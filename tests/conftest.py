"""What most tests stand on: a tiny checkpoint and a local server; and how many run at once, and what may be skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import HealthCheck, settings

from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.server import ImageServer

_MAX_WORKERS: Final = 8
_MISSING: Final = "could not import"
"""How the reason begins where a package is not installed; other reasons are those of the machine."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--forbid-missing", action="store_true", help="fail if a test is skipped for want of a package")


def pytest_xdist_auto_num_workers() -> int:
    """Run two tests for each core: most of them wait for servers and processes half of their time."""
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(n_cores, min(2 * n_cores, _MAX_WORKERS))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--forbid-missing"):
        return
    reasons = [report.longrepr[2].removeprefix("Skipped: ") for report in reporter.stats.get("skipped", [])]
    if missing := [reason for reason in reasons if reason.startswith(_MISSING)]:
        reporter.write_line(f"skipped where everything should run: {missing}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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
