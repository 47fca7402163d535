"""Ctrl-C and SIGTERM on the command line, bugs that are kept as rows, and what a run that breaks has to say."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pixvec.model.checkpoint import load
from pixvec.pipeline.report import BugsMetError
from pixvec.run import raise_outcome
from pixvec.run.job import Job
from pixvec.run.options import FileOptions
from pixvec.run.to_file import embed_to_file
from pixvec.run.work_folder import work_folder
from pixvec.tables import open_table
from pixvec.testing.images import encode
from pixvec.testing.server import ImageServer
from pixvec.values import Crops, Vectors
from tests.run.conftest import PART_ROWS, Run, csv_lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_command_soon_and_says_how_to_go_on(
    number: signal.Signals, run: Run, server: ImageServer
) -> None:
    silent = server.add_raw("/silent", [], end="silence")
    run.write([*csv_lines(run.site, PART_ROWS), f"99,{silent},"])
    flags = ["--model", run.options["model"], "--allow-private", "--part-rows", str(PART_ROWS), "-c", "image_url"]
    command = [sys.executable, "-m", "pixvec", "embed", str(run.input), "-o", str(run.folder / "out.csv"), *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not run.parts("out.csv"):
            time.sleep(0.05)
        asked = time.monotonic()
        process.send_signal(number)
        _, stderr = process.communicate(timeout=30)
    assert time.monotonic() - asked < 10
    assert process.returncode == 130
    work = run.folder.resolve() / ".out.csv.pixvec"
    kept = f"{PART_ROWS} rows are kept in {work}, 1 will be fetched again"
    assert stderr == f"pixvec: interrupted; {kept}: the same command goes on\n"


def test_an_interrupt_at_any_moment_says_so_and_nothing_else(run: Run) -> None:
    flags = ["--model", run.options["model"], "--allow-address", run.site.address, "-c", "image_url"]
    moments = random.Random(0)
    for number in range(6):
        paths = [str(run.input), "-o", str(run.folder / f"out{number}.csv")]
        command = [sys.executable, "-W", "error", "-m", "pixvec", "embed", *paths, *flags, "--quiet"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(moments.uniform(0.05, 3))
            process.send_signal(moments.choice([signal.SIGINT, signal.SIGTERM]))
            _, stderr = process.communicate(timeout=60)
        assert process.returncode in {0, 130, -signal.SIGINT, -signal.SIGTERM}
        assert re.fullmatch(r"(pixvec: interrupted.*\n)?", stderr)


DROPPED = "--bounding-set=-dac_override,-dac_read_search"
"""What lets root write where it may not."""


@pytest.mark.skipif(not shutil.which("setpriv"), reason="setpriv, which takes root's privileges, is not there")
def test_a_folder_that_cannot_be_written_to_is_one_line(run: Run) -> None:
    (run.folder / "closed").mkdir(mode=0o555)
    command = [sys.executable, "-m", "pixvec", "embed", str(run.input), "-o", str(run.folder / "closed" / "out.csv")]
    as_root = ["setpriv", DROPPED] if os.geteuid() == 0 else []
    finished = subprocess.run([*as_root, *command], capture_output=True, text=True, timeout=60, check=False)
    assert finished.stderr == f"pixvec: the folder {run.folder / 'closed'} cannot be written to\n"
    assert finished.returncode == 2


BROKEN = """
import sys
from pixvec.cli import execute
from pixvec.model import ClipModel

def embed_crops(self, crops, *, stop=None):
    raise ZeroDivisionError

ClipModel.embed_crops = embed_crops
sys.exit(execute(sys.argv[1:]))
"""


def test_a_bug_that_is_kept_as_a_row_is_an_exit_status(run: Run) -> None:
    flags = ["--keep-going", "--quiet", "--limit", "2", "-c", "image_url", "--model", run.options["model"]]
    paths = [str(run.input), "-o", str(run.folder / "out.parquet"), "--allow-address", run.site.address]
    command = [sys.executable, "-c", BROKEN, "embed", *paths, *flags]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 1
    assert finished.stderr.endswith("a bug of pixvec's was met in 2 of its rows: please report it\n")
    assert pq.read_table(run.folder / "out.parquet")["embedding_error"].to_pylist() == ["internal_error"] * 2


OUT_OF_MEMORY = """
import resource, sys
from pathlib import Path
from pixvec.cli import execute, load
load(sys.argv[2])
n_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
sys.exit(execute(sys.argv[2:]))
"""


def with_memory(n_bytes: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Give a command that gets no more memory than this, beside what its imports have taken."""
    command = [sys.executable, "-c", OUT_OF_MEMORY, str(n_bytes), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_too_little_memory_is_one_line(run: Run) -> None:
    run.write([*csv_lines(run.site), *[f"1,{'x' * 1000},"] * 20_000])
    finished = with_memory(0, "embed", str(run.input), "-o", str(run.folder / "out.csv"))
    assert (finished.returncode, finished.stderr) == (1, "pixvec: there is not enough memory\n")


@pytest.mark.parametrize("n_bytes", [20 << 20, 120 << 20], ids=["to load it", "to compile for it"])
def test_too_little_memory_for_the_engine_is_one_line(n_bytes: int, checkpoint: str) -> None:
    finished = with_memory(n_bytes, "models", "check", checkpoint)
    assert (finished.returncode, finished.stderr) == (1, "pixvec: there is not enough memory\n")


class MoodyModel:
    """A model with a bug: it cannot bear black images."""

    dim, precision, image_size = 4, "fp32", 32

    def __init__(self, checkpoint: str | os.PathLike[str]) -> None:
        self.checkpoint = load(str(checkpoint))

    def embed_crops(self, crops: Crops, *, stop: threading.Event | None = None) -> Vectors:
        if not crops.any():
            raise ZeroDivisionError
        return np.ones((len(crops), self.dim), np.float32)


@pytest.fixture
def job(run: Run, server: ImageServer, checkpoint: str) -> Job:
    """A table whose tenth row meets a bug."""
    black = server.add("/black.png", body=encode(Image.new("RGB", (40, 40)), "PNG"))
    lines = csv_lines(run.site, 20)
    run.write([*lines[:10], f"9,{black},", *lines[11:]])
    options = FileOptions(**{**run.options, "allow_address": (run.site.address, server.address)})
    job = Job(
        input=run.input,
        output=run.folder / "out.csv",
        source=open_table(run.input),
        column="image_url",
        dropped=(),
        options=options,
    )
    vars(job)["model"] = MoodyModel(checkpoint)
    return job


def test_a_bug_ends_the_run_after_the_parts_before_it_are_safe(job: Job, run: Run) -> None:
    with pytest.raises(ZeroDivisionError) as caught, work_folder(job.output) as work:
        embed_to_file(job, work, job.output)
    assert run.parts("out.csv") == ["part-000000000000-000000000008.parquet"]
    met, row = caught.value.__notes__
    assert met.endswith("/black.png, in pixvec.pipeline.batcher")
    assert row == f"pixvec: it is row 9 (counted from 0) of {run.input}"


def test_a_bug_may_be_kept_as_a_row(job: Job, run: Run) -> None:
    job = replace(job, options=replace(job.options, keep_going=True))
    vars(job)["model"] = MoodyModel(job.options.model)
    with work_folder(job.output) as work:
        embed_to_file(job, work, job.output)
    assert job.report.failures == {"http_404": 2, "internal_error": 1}
    assert "ZeroDivisionError in pixvec.pipeline.batcher" in (run.folder / "out.csv").read_text().splitlines()[10]
    with pytest.raises(BugsMetError, match=r"a bug of pixvec's was met in 1 of its rows"):
        raise_outcome(job.report, job.output, job.options)
