"""`-` is stdin and stdout: nothing but the table goes to stdout, and nothing stays behind."""

from __future__ import annotations

import csv
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.cli import execute
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

Finished = subprocess.CompletedProcess[bytes]
Process: TypeAlias = subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for seed in range(3):
            server.add(f"/{seed}.jpg", body=image_bytes(seed=seed))
        yield server


@pytest.fixture
def text(site: ImageServer) -> bytes:
    """A CSV of two images and a cell without one."""
    return f"id,image_url\n1,{site.url('/0.jpg')}\n2,{site.url('/1.jpg')}\n3,n/a\n".encode()


@pytest.fixture
def pixvec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]) -> Any:
    """Run a command with bytes on stdin; its temporary files are in a folder of their own."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    def run(*arguments: str | Path, stdin: bytes = b"") -> Finished:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        status = execute(list(map(str, arguments)))
        assert list(scratch.iterdir()) == []
        return Finished(arguments, status, *capsysbinary.readouterr())

    return run


@pytest.fixture
def flags(checkpoint: str, site: ImageServer) -> list[str]:
    return ["--model", checkpoint, "--allow-address", site.address, "--isolate", "never", "--batch-size", "1"]


def vectors_of(table: pa.Table) -> list[bool]:
    return list(table["embedding"].is_valid().to_pylist())


def test_csv_goes_in_and_comes_out(pixvec: Any, flags: list[str], text: bytes) -> None:
    ended = pixvec("embed", "-", "-o", "-", *flags, stdin=text)
    assert ended.returncode == 0
    rows = list(csv.DictReader(io.StringIO(ended.stdout.decode())))
    assert [row["id"] for row in rows] == ["1", "2", "3"]
    assert [row["embedding_error"] for row in rows] == ["", "", "invalid_url"]
    said = ended.stderr.decode()
    assert "stdout: the table is written there at the end, and a stopped run cannot be resumed" in said
    assert "stdin: a stopped run can only be resumed by sending the same bytes again" in said
    assert "wrote stdout.csv" in said
    assert "scratch" not in said


def test_quiet_says_nothing(pixvec: Any, flags: list[str], text: bytes) -> None:
    ended = pixvec("embed", "-", "-o", "-", "--quiet", *flags, stdin=text)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_parquet_and_arrow_and_arrays_go_through_pipes(
    pixvec: Any, flags: list[str], text: bytes, tmp_path: Path
) -> None:
    made = pixvec("embed", "-", "-o", "-", "--format", "parquet", *flags, stdin=text).stdout
    assert vectors_of(pq.read_table(io.BytesIO(made))) == [True, True, False]
    again = ["embed", "-", "-o", "-", "--replace-column", *flags]
    arrow = pixvec(*again, "--format", "arrow", stdin=made).stdout
    assert vectors_of(pa.ipc.open_file(io.BytesIO(arrow)).read_all()) == [True, True, False]
    array = np.load(io.BytesIO(pixvec(*again, "--format", "npy", stdin=arrow).stdout))
    assert np.isnan(array).all(axis=1).tolist() == [False, False, True]


def test_every_command_reads_stdin_and_writes_stdout(pixvec: Any, flags: list[str], text: bytes) -> None:
    made = pixvec("embed", "-", "-o", "-", "--format", "parquet", *flags, stdin=text).stdout
    linked = pixvec("link", "-", "-o", "-", "--to", "edges", stdin=made)
    assert linked.stdout.decode().splitlines()[0] == "source,target,weight"
    unique = pixvec("dedupe", "-", "-o", "-", "--format", "jsonl", stdin=made)
    assert len(unique.stdout.splitlines()) == 3
    found = pixvec("search", "-", "-k", "1", "--image", "-", *flags[:2], stdin=made)
    assert found.returncode == 2  # there is no such image, and the table was read
    assert b"stdin.parquet: 3 rows, 2 vectors" in pixvec("report", "-", stdin=made).stdout
    graph = pixvec("link", "-", "-o", "-", "--format", "graphml", stdin=made)
    assert graph.stdout.startswith(b"<?xml")


def test_a_recipe_reads_stdin_and_writes_stdout(pixvec: Any, flags: list[str], text: bytes, tmp_path: Path) -> None:
    (tmp_path / "r.txt").write_text("embed_images(ds.image_url) -> (ds.v)")
    ended = pixvec("run", "r.txt", "-", "-o", "-", *flags, stdin=text)
    assert ended.stdout.decode().splitlines()[0] == "id,image_url,v,v_error,v_detail,v_image"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["embed", "t.csv", "-o", "o.csv", "--input-format", "tsv"], "--input-format is for stdin, -"),
        (["embed", "t.csv", "-o", "o.csv", "--format", "tsv"], "--format is for stdout, -"),
        (["embed", "-", "-o", "o.csv", "--input-format", "npy"], "'npy' is not one of"),
        (["link", "-", "-o", "-", "--format", "npy"], "'npy' is not one of"),
        (["embed", "-", "-o", "o.csv"], "stdin.csv, line 2: cells: 1, columns in the header: 2"),
        (["embed", "-", "-o", "o.csv", "--input-format", "parquet"], "stdin.parquet begins like text"),
        (["embed", "-", "-o", "-", "--thumbnails"], "--thumbnails keeps a file beside the output: give -o a file"),
        (["embed", "-", "-o", "-", "--retry-failed"], "--retry-failed completes an output that is there: give -o"),
        (["embed", "-", "-o", "-", "--retry-codes", "timeout"], "--retry-codes completes an output that is there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_one_line_that_shows_no_temporary_file(pixvec: Any, arguments: list[str], said: str) -> None:
    ended = pixvec(*arguments, "--quiet", stdin=b"a,b\n1\n")
    assert (ended.returncode, ended.stdout) == (2, b"")
    assert said in ended.stderr.decode()
    assert "scratch" not in ended.stderr.decode()


def test_a_table_of_which_too_many_rows_failed_is_written_all_the_same(
    pixvec: Any, flags: list[str], text: bytes
) -> None:
    ended = pixvec("embed", "-", "-o", "-", "--max-failed", "0", *flags, stdin=text)
    assert ended.returncode == 3
    assert len(ended.stdout.splitlines()) == 4


@contextmanager
def started(flags: list[str], temporary: Path, *, stdin: bytes) -> Iterator[tuple[Process, IO[bytes], IO[bytes]]]:
    """Start a run from stdin to stdout, which are read here; its temporary files lie in a folder of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "pixvec", "embed", "-", "-o", "-", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(stdin)
        process.stdin.close()
        yield process, process.stdout, process.stderr


def test_a_reader_that_leaves_ends_it_quietly(flags: list[str], text: bytes, tmp_path: Path) -> None:
    body = text + text.splitlines(keepends=True)[1] * 2_000
    with started(["--quiet", *flags], tmp_path, stdin=body) as (process, stdout, stderr):
        stdout.read(1)
        stdout.close()
        assert stderr.read() == b""
        assert process.wait(60) == 141
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("signal_", [signal.SIGINT, signal.SIGTERM], ids=lambda signal_: signal_.name)
def test_a_stop_leaves_nothing_and_promises_nothing(
    flags: list[str], site: ImageServer, tmp_path: Path, signal_: signal.Signals
) -> None:
    slow = site.add(f"/slow-{signal_.name}.jpg", body=image_bytes(seed=1), delay_s=30)
    table = f"image_url\n{site.url('/0.jpg')}\n{slow}\n".encode()
    with started(["--part-rows", "1", *flags], tmp_path, stdin=table) as (process, stdout, stderr):
        until = time.monotonic() + 60
        while not list(tmp_path.rglob("part-*.parquet")) and time.monotonic() < until:
            time.sleep(0.05)
        process.send_signal(signal_)
        said = stderr.read().decode()
        assert (process.wait(60), stdout.read()) == (130, b"")
    assert said.splitlines()[-1] == "pixvec: interrupted"
    assert list(tmp_path.iterdir()) == []
