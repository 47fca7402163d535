"""A run that ends at any moment, without a chance to tidy up, is gone on with to the very table that it was for."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from tests.run.conftest import N_ROWS, Run, contents, csv_lines, run_options

Crashing: TypeAlias = Callable[..., int]

KILLED = -signal.SIGKILL
FEW_ROWS = 8
HALF = FEW_ROWS // 2
MANY_ROWS = 600


@pytest.fixture(scope="module")
def crashing() -> Iterator[Crashing]:
    """Give a command in a process that ends at its n-th change of the file system, or after a time."""
    program = Path(__file__).with_name("crashing.py")
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def crash(run: Run, output: str, *, n_changes: int = 0, kill_after_s: float | None = None, **more: Any) -> int:
            paths = {"input": str(run.input), "output": f"{run.folder}/out/{output}"}
            asked = {**paths, "n_changes": n_changes, "kill_after_s": kill_after_s, "options": {**run.options, **more}}
            requests.write(json.dumps(asked) + "\n")
            requests.flush()
            return int(answers.readline())

        yield crash
        requests.close()


@pytest.fixture
def run(run: Run) -> Run:
    """A command on two small parts, whose output has a folder of its own: it is given once for each change."""
    (run.folder / "out").mkdir()
    run.write(csv_lines(run.site, FEW_ROWS))
    run.options["part_rows"] = HALF
    return run


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, site: ImageServer, checkpoint: str) -> dict[str, bytes]:
    """The files that the same commands give when nothing ends them."""
    run = Run(tmp_path_factory.mktemp("whole"), site, {**run_options(site, checkpoint), "part_rows": HALF})
    run.write(csv_lines(site, FEW_ROWS))
    for output in ("out.csv", "out.parquet", "out/"):
        run(output)
    return contents(run.folder)


@pytest.mark.parametrize("output", ["out.csv", pytest.param("out/", marks=pytest.mark.long)])
def test_an_end_at_each_change_of_the_file_system(
    output: str, run: Run, crashing: Crashing, whole: dict[str, bytes]
) -> None:
    n_changes = 1
    while crashing(run, output, n_changes=n_changes) == KILLED:
        n_changes += 1
        assert visible(run).items() <= whole.items()
    assert n_changes > 6
    assert left(run) == {name: data for name, data in whole.items() if name.startswith(output)}


@pytest.mark.long
@pytest.mark.parametrize("output", ["out.csv", "out/"])
def test_an_end_at_each_change_of_a_run_that_keeps_thumbnails(output: str, run: Run, crashing: Crashing) -> None:
    n_changes, thumbnails = 1, f"{output.rstrip('/')}.thumbnails.parquet"
    while crashing(run, output, n_changes=n_changes, thumbnails=16) == KILLED:
        n_changes += 1
        if output in visible(run):
            assert thumbnails in visible(run)
    killed = left(run)
    assert len(killed[thumbnails]) > 0
    assert crashing(run, output, restart=True, thumbnails=16) == 0
    assert killed == left(run)


@pytest.mark.parametrize("output", ["out.parquet", pytest.param("out/", marks=pytest.mark.long)])
def test_an_end_at_each_change_while_an_output_is_replaced(
    output: str, run: Run, crashing: Crashing, whole: dict[str, bytes]
) -> None:
    assert crashing(run, output, normalize=False) == 0
    old, n_changes, status = visible(run), 1, KILLED
    replacement = run.folder / "out" / f".{output.rstrip('/')}.pixvec" / "replacement"
    while status == KILLED:
        is_begun = replacement.exists() or visible(run) != old
        status = crashing(run, output, n_changes=n_changes, restart=not is_begun)
        n_changes += 1
        assert visible(run).items() <= whole.items() or visible(run).items() <= old.items()
    assert status == 0
    assert left(run) == {name: data for name, data in whole.items() if name.startswith(output)}


def test_an_end_at_each_change_of_a_retry(run: Run, server: ImageServer, crashing: Crashing) -> None:
    run.options |= {"allow_address": (server.address,), "max_failed": "100%"}
    paths = [f"/{row}.png" for row in range(4)]
    run.write(["image_url", *(server.add(path, status=500) for path in paths)])
    assert crashing(run, "out.csv") == 0
    for path in paths:
        server.add(path, body=image_bytes("PNG", size=(40, 40)))
    n_changes = 1
    while crashing(run, "out.csv", n_changes=n_changes, retry_failed=True, part_rows=2) == KILLED:
        n_changes += 1
    retried = left(run)
    assert crashing(run, "out.csv", restart=True) == 0
    assert retried == left(run)


def test_kills_at_random_moments(run: Run, crashing: Crashing) -> None:
    run.write(csv_lines(run.site))
    moments = random.Random(0)
    n_asked, n_requests = 0, len(run.site.requests)
    for _ in range(12):
        n_asked += N_ROWS - n_safe(run)
        crashing(run, "out.csv", kill_after_s=moments.uniform(0.1, 0.8), part_rows=2)
    n_asked += N_ROWS - n_safe(run)
    assert crashing(run, "out.csv", part_rows=2) == 0
    assert len(run.site.requests) - n_requests <= n_asked
    killed = left(run)
    assert crashing(run, "out.csv", restart=True, part_rows=20) == 0
    assert killed == left(run)


def test_kills_cost_little_though_each_part_has_a_slow_row(run: Run, server: ImageServer, crashing: Crashing) -> None:
    """Of one host: what is asked for twice is what was in progress, and no more than a hundred rows."""
    run.options |= {"allow_address": (server.address,), "part_rows": 100}
    for row in range(MANY_ROWS):
        is_slow = row % 100 == 50
        server.add(f"/{row}.png", body=image_bytes("PNG", size=(8, 8), seed=row), delay_s=1.0 if is_slow else 0.005)
    run.write(["image_url", *map(server.url, (f"/{row}.png" for row in range(MANY_ROWS)))])
    moments, n_kills, status = random.Random(0), 0, KILLED
    while status == KILLED:
        after_s = moments.uniform(0.2, 1.0) if n_kills < 5 else None
        status = crashing(run, "out.csv", kill_after_s=after_s)
        n_kills += status == KILLED
    assert status == 0
    assert len(server.requests) <= MANY_ROWS + 100 * n_kills
    killed = left(run)
    assert crashing(run, "out.csv", restart=True) == 0
    assert killed == left(run)


def left(run: Run) -> dict[str, bytes]:
    """Read everything that runs have left, hidden files included."""
    return {name.removeprefix("out/"): data for name, data in contents(run.folder).items()}


def visible(run: Run) -> dict[str, bytes]:
    """Read what a reader of tables sees."""
    return {name: data for name, data in left(run).items() if not name.startswith(".") and not name.endswith(".json")}


def n_safe(run: Run) -> int:
    """Count the rows that are in finished parts, or in the output."""
    names = [path.name for path in (run.folder / "out").rglob("part-*")]
    finished = sum(int(name[18:30]) - int(name[5:17]) for name in names)
    return N_ROWS if (run.folder / "out" / "out.csv").exists() else finished
