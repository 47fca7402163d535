"""Rows that are decided are kept while their part waits for a slow one, however the run ends."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.pipeline.report import Report
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from tests.run.conftest import N_ROWS, Run, contents, csv_lines, n_kept, run_options

OUTPUTS = pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out/"])
SLOW_ROW = 5


@pytest.fixture
def run(run: Run, server: ImageServer) -> Run:
    """A command on one part of forty rows, of which one is not answered."""
    run.options |= {"allow_address": (run.site.address, server.address), "part_rows": N_ROWS}
    lines = csv_lines(run.site)
    lines[1 + SLOW_ROW] = f"0{SLOW_ROW},{server.add_raw('/slow', [], end='silence')},"
    run.write(lines)
    return run


def stopped(run: Run, output: str, *, n_rows: int = N_ROWS - 1, **options: object) -> KeyboardInterrupt:
    """Begin, and interrupt it when so many rows are decided."""

    def interrupt(report: Report) -> None:
        if report.n_rows >= n_rows:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(output, progress=interrupt, **options)
    return caught.value


def heal(server: ImageServer) -> None:
    server.add("/slow", body=image_bytes("PNG", size=(40, 40), seed=SLOW_ROW))


def pieces(run: Run) -> list[Path]:
    return sorted(run.folder.rglob("piece-*"))


@OUTPUTS
def test_a_run_goes_on_with_all_rows_that_were_decided(output: str, run: Run, server: ImageServer) -> None:
    assert n_kept(stopped(run, output)) == N_ROWS - 1
    heal(server)
    n_requests = len(run.site.requests)
    assert run(output).n_resumed == N_ROWS - 1
    assert (len(run.site.requests), server.n_requests("/slow")) == (n_requests, 2)
    assert run.leftovers() == []
    made = contents(run.folder)
    run(output, restart=True)
    assert contents(run.folder) == made


@OUTPUTS
def test_an_output_folder_holds_nothing_but_parts(output: str, run: Run) -> None:
    stopped(run, output)
    work = f".{output.rstrip('/')}.pixvec"
    assert {path.parent.name for path in pieces(run)} == {work}
    assert {path.name for path in run.folder.iterdir() if path.is_dir()} == {work}


@pytest.mark.parametrize("damage", ["empty", "head", "half", "cut", "flipped"])
def test_what_is_torn_is_made_again(damage: str, run: Run, server: ImageServer) -> None:
    stopped(run, "out.csv")
    for piece in pieces(run):
        content = bytearray(piece.read_bytes())
        half = len(content) // 2
        content[half] ^= damage == "flipped"
        n_bytes = {"empty": 0, "head": 6, "half": half, "cut": -1}.get(damage)
        piece.write_bytes(content[:n_bytes])
    heal(server)
    report = run("out.csv")
    assert report.n_resumed < N_ROWS - 1
    again = contents(run.folder)["out.csv"]
    run("out.csv", restart=True)
    assert contents(run.folder)["out.csv"] == again


def test_a_row_whose_cell_changed_is_named(run: Run) -> None:
    stopped(run, "out.csv")
    lines = csv_lines(run.site)
    run.write([*lines[:10], lines[10].replace("/9.png", "/45.png"), *lines[11:]])
    with pytest.raises(pixvec.UsageError, match=r"in\.csv has changed since row 9 \(counted from 0\) was embedded"):
        run("out.csv")


def test_a_row_that_is_no_longer_there_is_named(run: Run) -> None:
    stopped(run, "out.csv")
    run.write(csv_lines(run.site, SLOW_ROW))
    with pytest.raises(pixvec.UsageError, match=rf"in\.csv is shorter than when row {N_ROWS - 1} \(counted from 0\)"):
        run("out.csv")


def test_rows_that_were_made_otherwise_are_refused(run: Run) -> None:
    stopped(run, "out.csv")
    before = contents(run.folder)
    with pytest.raises(pixvec.UsageError, match=r"holds parts of a run that differs: normalize \(True then"):
        run("out.csv", normalize=False)
    assert contents(run.folder) == before


def test_rows_that_a_wider_option_may_lift_are_made_again(run: Run, server: ImageServer) -> None:
    with ImageServer() as other:
        lines = run.input.read_text().splitlines()
        run.write([*lines[:8], f"07,{other.add('/a.png', body=image_bytes())},", *lines[9:]])
        stopped(run, "out.csv")
        heal(server)
        wider = (*run.options["allow_address"], other.address)
        report = run("out.csv", allow_address=wider)
    assert (report.n_resumed, report.n_new, set(report.failures)) == (N_ROWS - 2, 2, {"http_404"})


@OUTPUTS
def test_a_restart_throws_them_away(output: str, run: Run, server: ImageServer) -> None:
    stopped(run, output, normalize=False)
    heal(server)
    assert run(output, restart=True).n_resumed == 0
    assert run.leftovers() == []


@OUTPUTS
def test_a_stopped_restart_goes_on(output: str, run: Run, server: ImageServer) -> None:
    heal(server)
    run(output, normalize=False)
    old = contents(run.folder)
    server.add_raw("/slow", [], end="silence")
    interrupt = stopped(run, output, restart=True)
    assert interrupt.__notes__[-1].endswith(": the same command without `restart=True` goes on")
    assert contents(run.folder).items() >= old.items()
    heal(server)
    assert run(output).n_resumed == N_ROWS - 1
    assert set(contents(run.folder)) == set(old)


@OUTPUTS
def test_parts_may_have_another_size_at_the_next_start(output: str, run: Run, server: ImageServer) -> None:
    stopped(run, output, limit=20, n_rows=19)
    stopped(run, output, part_rows=7)
    heal(server)
    assert run(output, part_rows=3).n_new == 1
    assert run.leftovers() == []
    if output != "out/":
        made = contents(run.folder)
        run(output, restart=True)
        assert contents(run.folder) == made


@OUTPUTS
def test_a_stopped_retry_keeps_what_is_decided(
    output: str, tmp_path: Path, server: ImageServer, checkpoint: str
) -> None:
    run = Run(tmp_path, server, {**run_options(server, checkpoint), "backoff_s": 0.0, "max_failed": "100%"})
    paths = [f"/{row}.png" for row in range(12)]
    run.write(["image_url", *(server.add(path, status=500) for path in paths)])
    run(output)
    for row, path in enumerate(paths[:-1]):
        server.add(path, body=image_bytes("PNG", size=(40, 40), seed=row))
    server.add_raw(paths[0], [], end="silence")
    stopped(run, output, n_rows=11, retry_failed=True)
    assert run(output).was_finished
    server.add(paths[0], body=image_bytes("PNG", size=(40, 40)))
    n_requests = len(server.requests)
    report = run(output, retry_failed=True)
    assert (report.n_vectors, report.failures) == (11, {"http_500": 1})
    assert len(server.requests) - n_requests == 1
    assert run.leftovers() == []


def test_texts_are_kept_too(run: Run) -> None:
    run.options = {"model": "demo", "texts": "note", "batch_size": 1}
    run.write(["note", *(f"image {row}" for row in range(N_ROWS))])
    run("whole.parquet")
    interrupt = stopped(run, "out.parquet", n_rows=10)
    assert n_kept(interrupt) >= 9
    assert run("out.parquet").n_resumed == n_kept(interrupt)
    assert pq.read_table(run.folder / "out.parquet").equals(pq.read_table(run.folder / "whole.parquet"))
