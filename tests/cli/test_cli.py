"""The command line, run as a user runs it: exit status, one clear line, nothing half-written."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from pixvec.cli import execute
from pixvec.options import options_of
from pixvec.run import FileOptions
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

Finished = subprocess.CompletedProcess[str]


QUICK = ("--isolate", "never", "--batch-size", "1")
"""No decode workers to start, and a model that is compiled for one shape."""


class Pixvec(Protocol):
    """Runs `pixvec embed` with the tiny checkpoint and the local server allowed."""

    def __call__(self, table: Path, output: Path, *flags: str) -> Finished: ...


def run(*arguments: str | Path) -> Finished:
    """Give a command in this process: a start of its own takes longer than most of what is tested here."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with redirect_stdout(stdout), redirect_stderr(stderr):
        status = execute(list(map(str, arguments)))
    return Finished(arguments, status, stdout.getvalue(), stderr.getvalue())


def started(*arguments: str | Path) -> Finished:
    """Give a command in a process of its own."""
    command = [sys.executable, "-m", "pixvec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for seed in range(4):
            server.add(f"/{seed}.jpg", body=image_bytes(seed=seed))
        yield server


@pytest.fixture
def pixvec(checkpoint: str, site: ImageServer) -> Pixvec:
    return lambda table, output, *flags: run(
        "embed", table, "-o", output, "--model", checkpoint, "--allow-address", site.address, *QUICK, *flags
    )


@pytest.fixture
def photos(site: ImageServer, tmp_path: Path) -> Path:
    """A CSV of four images, a dead link and an empty cell."""
    lines = ["id,image_url,note", *(f'00{seed},{site.url(f"/{seed}.jpg")},"a ""b"", c"' for seed in range(4))]
    path = tmp_path / "photos.csv"
    path.write_text("\n".join([*lines, f"004,{site.url('/dead')},x", "005,,y"]) + "\n")
    return path


def test_csv_to_parquet(checkpoint: str, site: ImageServer, photos: Path, tmp_path: Path) -> None:
    flags = ["--model", checkpoint, "--allow-address", site.address]
    finished = started("embed", photos, "-o", tmp_path / "out.parquet", *flags)
    assert (finished.returncode, finished.stdout) == (0, "")
    assert "6 rows: 4 vectors, 2 without\nfailures: http_404 1, null_input 1\n" in finished.stderr
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["id"].to_pylist() == ["000", "001", "002", "003", "004", "005"]
    assert table["embedding_error"].to_pylist() == [None, None, None, None, "http_404", "null_input"]
    assert table["embedding"].is_valid().to_pylist() == [True, True, True, True, False, False]


def test_csv_to_csv_keeps_the_other_cells_as_they_were(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    assert pixvec(photos, tmp_path / "out.csv").returncode == 0
    before, after = photos.read_text().splitlines(), (tmp_path / "out.csv").read_text().splitlines()
    assert all(new.startswith(f"{old},") for old, new in zip(before, after, strict=True))


def test_parquet_to_parquet_keeps_types(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    table = pa.csv.read_csv(photos)
    pq.write_table(table, tmp_path / "in.parquet")
    assert pixvec(tmp_path / "in.parquet", tmp_path / "out.parquet").returncode == 0
    assert pq.read_table(tmp_path / "out.parquet").select(table.column_names).equals(table)


def test_two_runs_give_the_same_bytes(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    for name in ("one.parquet", "two.parquet"):
        assert pixvec(photos, tmp_path / name, "--batch-size", "2" if name == "one.parquet" else "32").returncode == 0
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


@pytest.mark.parametrize(("limit", "n_rows"), [("0", 0), ("3", 3), ("6", 6), ("100", 6)])
def test_limit_takes_the_first_rows(
    limit: str, n_rows: int, checkpoint: str, photos: Path, site: ImageServer, tmp_path: Path
) -> None:
    flags = ["-c", "image_url", "--limit", limit, "--model", checkpoint, "--allow-address", site.address, "--quiet"]
    for output in (tmp_path / "out.csv", tmp_path / "out.parquet"):
        assert execute(["embed", str(photos), "-o", str(output), *flags]) == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["id"].to_pylist() == [f"00{row}" for row in range(n_rows)]
    assert len((tmp_path / "out.csv").read_text().splitlines()) == 1 + n_rows


@pytest.mark.parametrize(
    ("flags", "status"), [(["--max-failed", "1"], 3), (["--max-failed", "2"], 0), (["--max-failed", "33%"], 3)]
)
def test_too_many_failures_are_an_exit_status(
    flags: list[str], status: int, pixvec: Pixvec, photos: Path, tmp_path: Path
) -> None:
    finished = pixvec(photos, tmp_path / "out.csv", *flags)
    assert finished.returncode == status
    assert "6 rows: 4 vectors, 2 without" in finished.stderr
    assert ("more than --max-failed " in finished.stderr) == (status == 3)
    assert (tmp_path / "out.csv").exists()


def test_quiet_says_nothing(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    finished = pixvec(photos, tmp_path / "out.csv", "--quiet")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_an_existing_output_is_replaced_only_when_asked(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    output.write_text("precious")
    finished = pixvec(photos, output)
    assert (finished.returncode, output.read_text()) == (2, "precious")
    assert "--restart" in finished.stderr
    assert pixvec(photos, output, "--restart").returncode == 0
    assert output.read_text().startswith("id,image_url,note,embedding,")


def test_output_columns_have_the_name_given(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    assert pixvec(photos, tmp_path / "out.parquet", "--output-column", "v").returncode == 0
    names = ["id", "image_url", "note", "v", "v_error", "v_detail", "v_image"]
    assert pq.read_schema(tmp_path / "out.parquet").names == names


def test_an_empty_table_gives_an_empty_table(pixvec: Pixvec, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,image_url\n")
    assert pixvec(tmp_path / "in.csv", tmp_path / "out.parquet").returncode == 0
    table = pq.read_table(tmp_path / "out.parquet")
    assert (table.num_rows, table.column_names[2:4]) == (0, ["embedding", "embedding_error"])
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 32)


@pytest.mark.parametrize(
    ("text", "flags", "message"),
    [
        (None, [], "there is no file"),
        ("id,url\n1,x\n", [], "none of the columns 'id', 'url' holds URLs"),
        ("id,url\n1,x\n", ["-c", "nope"], "there is no column 'nope'; expected one of 'id', 'url'"),
        ("a,b\nhttp://x.y/,http://x.y/\n", [], "several columns hold URLs: 'a', 'b'"),
        ("id,embedding,image_url\n1,2,http://x.y/\n", [], "--replace-column"),
        ("image_url\nhttp://x.y/\n", ["--allow-address", "localhost:80"], "localhost"),
        ("image_url\nhttp://x.y/\n", ["--max-failed", "many"], "expected a number of rows"),
        ("image_url\nhttp://x.y/\n", ["--batch-size", "0"], "expected at least 1"),
        ("image_url\nhttp://x.y/\n", ["--precision", "fp8"], "fp8"),
        ("image_url\nhttp://x.y/\n", ["--model", "./nowhere"], "there is no folder './nowhere'"),
        ("image_url\nhttp://x.y/\n", ["--nope"], "--nope"),
        ("", [], "is empty"),
    ],
)
def test_wrong_use_is_one_clear_line(
    text: str | None, flags: list[str], message: str, pixvec: Pixvec, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / "in.csv").write_text(text)
    finished = pixvec(tmp_path / "in.csv", tmp_path / "out.csv", *flags)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name != "in.csv"] == []


def test_what_is_found_wrong_on_the_way_breaks_the_run(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    many = f"006,,{'x' * 2_000}\n" * 1_000  # what is wrong stands where no look before the work comes to
    photos.write_text(f"{photos.read_text()}{many}ragged\n")
    finished = pixvec(photos, tmp_path / "out.csv", "-c", "image_url")
    assert (finished.returncode, len(finished.stderr.splitlines())) == (1, 1)
    assert "photos.csv, line 1008: cells: 1, columns in the header: 3" in finished.stderr
    assert not (tmp_path / "out.csv").exists()


def test_what_a_csv_was_made_with_stands_beside_it(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    pixvec(photos, tmp_path / "out.csv", "--no-normalize")
    facts = json.loads((tmp_path / "out.csv.provenance.json").read_text())
    assert (facts["dim"], facts["normalize"], facts["embedding_version"]) == (32, False, 2)


def test_a_link_stays_a_link(pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    assert pixvec(photos, tmp_path / "link.csv").returncode == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "target.csv").read_text().startswith("id,image_url,note,embedding,")


def test_what_somebody_else_writes_meanwhile_is_left_alone(
    checkpoint: str, server: ImageServer, tmp_path: Path
) -> None:
    slow = server.add("/slow", body=image_bytes(), delay_s=1.0)
    (tmp_path / "in.csv").write_text(f"image_url\n{slow}\n")
    flags = ["-o", str(tmp_path / "out.csv"), "--model", checkpoint, "--allow-address", server.address]
    command = [sys.executable, "-m", "pixvec", "embed", str(tmp_path / "in.csv"), *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not server.requests:
            time.sleep(0.05)
        (tmp_path / "out.csv").write_text("precious")
        _, stderr = process.communicate(timeout=30)
    assert (process.returncode, (tmp_path / "out.csv").read_text()) == (1, "precious")
    assert (tmp_path / f"out.{process.pid}.csv").exists()
    assert "was left alone" in stderr


def test_nobody_on_stderr_is_no_reason_to_stop(
    checkpoint: str, photos: Path, site: ImageServer, tmp_path: Path
) -> None:
    flags = ["-o", str(tmp_path / "out.csv"), "--model", checkpoint, "--allow-address", site.address]
    command = [sys.executable, "-m", "pixvec", "embed", str(photos), *flags]
    closed = subprocess.run(["bash", "-c", 'exec "$@" 2>&-', "bash", *command], timeout=60, check=False)
    assert (closed.returncode, (tmp_path / "out.csv").exists()) == (0, True)


@pytest.mark.parametrize(
    ("shell", "status", "stderr"),
    [
        ('"$@" > /dev/full', 1, "pixvec: stdout cannot be written to: No space left on device\n"),
        ('"$@" >&-', 1, "pixvec: stdout cannot be written to: it is closed\n"),
        ('"$@" | true; exit ${PIPESTATUS[0]}', 141, ""),
    ],
    ids=["full", "closed", "no reader"],
)
def test_a_result_that_cannot_be_printed_is_an_exit_status(shell: str, status: int, stderr: str) -> None:
    command = ["bash", "-c", shell, "bash", sys.executable, "-m", "pixvec", "models"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (finished.returncode, finished.stderr) == (status, stderr)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how far a start has come is read from /proc")
def test_an_interrupt_while_it_starts_is_no_traceback() -> None:
    command = [sys.executable, "-m", "pixvec", "embed", "--help"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while "numpy" not in Path(f"/proc/{process.pid}/maps").read_text():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert "pixvec" not in stderr.removeprefix("pixvec: interrupted")


@pytest.mark.parametrize("name", ["out.xyz", "no/folder/out.csv", "photos.csv", f"{'o' * 300}.csv"])
def test_an_output_that_cannot_be_is_named(name: str, pixvec: Pixvec, photos: Path, tmp_path: Path) -> None:
    finished = pixvec(photos, tmp_path / name)
    assert finished.returncode == 2
    assert len(finished.stderr.splitlines()) == 1
    assert Path(name).name in finished.stderr


def test_a_full_disk_is_one_clear_line(checkpoint: str, photos: Path, site: ImageServer, tmp_path: Path) -> None:
    limited = ["bash", "-c", 'ulimit -f 1; trap "" XFSZ; exec "$@"', "bash", sys.executable, "-m", "pixvec", "embed"]
    flags = ["--model", checkpoint, "--allow-address", site.address, "-o", str(tmp_path / "out.parquet")]
    finished = subprocess.run(
        [*limited, str(photos), "-c", "image_url", *flags], capture_output=True, text=True, timeout=60, check=False
    )
    assert (finished.returncode, len(finished.stderr.splitlines())) == (1, 1)
    assert "out.parquet cannot be written" in finished.stderr
    assert "File too large" in finished.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet.log.jsonl", "photos.csv"]


def test_an_interrupted_run_leaves_nothing(checkpoint: str, server: ImageServer, tmp_path: Path) -> None:
    silent = server.add_raw("/silent", [], end="silence")
    (tmp_path / "in.csv").write_text(f"image_url\n{silent}\n")
    flags = [
        "-c",
        "image_url",
        "-o",
        str(tmp_path / "out.csv"),
        "--model",
        checkpoint,
        "--allow-address",
        server.address,
    ]
    command = [sys.executable, "-m", "pixvec", "embed", str(tmp_path / "in.csv"), *flags]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        while not server.requests:
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=10)
    assert (process.returncode, stderr.strip()) == (130, "pixvec: interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_two_runs_on_one_output_do_not_mix(
    checkpoint: str, pixvec: Pixvec, server: ImageServer, tmp_path: Path
) -> None:
    silent = server.add_raw("/silent", [], end="silence")
    (tmp_path / "in.csv").write_text(f"image_url\n{silent}\n")
    flags = ["-o", str(tmp_path / "out.csv"), "--model", checkpoint, "--allow-address", server.address]
    command = [sys.executable, "-m", "pixvec", "embed", str(tmp_path / "in.csv"), *flags]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as first:
        while not server.requests:
            time.sleep(0.05)
        second = pixvec(tmp_path / "in.csv", tmp_path / "out.csv")
        first.kill()
    assert (second.returncode, second.stderr.count("\n")) == (2, 1)
    assert "another run is writing" in second.stderr
    server.add("/silent", body=image_bytes())
    assert pixvec(tmp_path / "in.csv", tmp_path / "out.csv", "--allow-address", server.address).returncode == 0


def test_every_option_is_a_flag_with_its_help() -> None:
    text = " ".join(run("embed", "--help").stdout.split())
    for known in options_of(FileOptions):
        assert "--" + known.name.replace("_", "-") in text
        assert str(known.help) in text


def test_a_table_without_a_header_is_embedded_whole_and_gone_on_with(
    pixvec: Pixvec, site: ImageServer, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"{site.url('/0.jpg')}\n{site.url('/later.jpg')}\n")
    refused = pixvec(tmp_path / "in.csv", tmp_path / "out.csv")
    assert refused.returncode == 2
    assert "without a header" in refused.stderr
    assert pixvec(tmp_path / "in.csv", tmp_path / "out.csv", "--no-header").returncode == 0
    assert "was finished already" in pixvec(tmp_path / "in.csv", tmp_path / "out.csv", "--no-header").stderr
    site.add("/later.jpg", body=image_bytes(seed=1))
    assert pixvec(tmp_path / "in.csv", tmp_path / "out.csv", "--no-header", "--retry-codes", "http_404").returncode == 0
    table = pa.csv.read_csv(tmp_path / "out.csv", parse_options=pa.csv.ParseOptions(newlines_in_values=True))
    assert table.column_names[:3] == ["column_1", "embedding", "embedding_error"]
    assert table["column_1"].to_pylist() == [site.url("/0.jpg"), site.url("/later.jpg")]
    assert table["embedding"].null_count == 0
