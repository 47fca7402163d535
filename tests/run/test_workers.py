"""A run and its decode workers: what it says of them in its log, and what happens when it loses them."""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pixvec.errors import RunError
from pixvec.images.sandbox import LAYERS
from pixvec.pipeline.report import Report
from tests.run.conftest import N_ROWS, Run, contents

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process's children are read from /proc")


def end_workers() -> None:
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            for child in children.read_text().split():
                if b"pixvec.images.decode_worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)


@pytest.mark.parametrize("keep_going", [False, True])
def test_a_run_that_can_start_no_worker_any_more_ends_and_goes_on(
    keep_going: bool, run: Run, whole: dict[str, bytes]
) -> None:
    with pytest.MonkeyPatch.context() as patched:

        def lose_workers(report: Report) -> None:
            if report.n_vectors:
                patched.setattr(sys, "executable", "/no/such/python")
                end_workers()

        with pytest.raises(RunError, match="no decode worker can be started any more") as caught:
            run("out.csv", isolate="auto", keep_going=keep_going, max_worker_wait_s=0.1, progress=lose_workers)
    assert "goes on" in caught.value.__notes__[-1]
    assert "bug" not in "".join(caught.value.__notes__)
    assert run("out.csv").n_rows == N_ROWS
    assert contents(run.folder)["out.csv"] == whole["out.csv"]


@pytest.mark.parametrize(
    ("isolate", "machine", "lacks"),
    [("never", "", ["workers"]), ("always", "", []), ("always", "riscv64", ["seccomp"])],
    ids=["without workers", "whole", "another processor"],
)
def test_the_log_says_once_what_the_sandbox_lacks(
    isolate: str, machine: str, lacks: list[str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import os\nif {machine!r}: os.uname = lambda: os.uname_result(('Linux', 'host', '6', '1', {machine!r}))\n"
    (run.folder / "packages").mkdir()
    (run.folder / "packages" / "pillow_heif.py").write_text(f"{code}class options: DECODE_THREADS = 4\n")
    monkeypatch.syspath_prepend(str(run.folder / "packages"))
    run("out.csv", isolate=isolate, formats="+heic", limit=4)
    lines = [json.loads(line) for line in (run.folder / "out.csv.log.jsonl").read_text().splitlines()]
    start, end = (line.get("sandbox_lacks") for line in lines)
    assert start is None
    assert set(lacks) <= set(end) <= {*LAYERS, *lacks}
