"""A run that was stopped goes on, and ends with the table of one that was not; or it says in one line what differs."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.pipeline.report import Report
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from tests.run.conftest import N_ROWS, PART_ROWS, Run, contents, csv_lines, n_kept

OUTPUTS = pytest.mark.parametrize("output", ["out.csv", "out/"])


def refusal(call: Callable[[], object]) -> str:
    """Return the one line with which a call is refused."""
    with pytest.raises(pixvec.UsageError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out/"])
def test_a_stopped_run_goes_on_to_the_same_bytes(output: str, run: Run, whole: dict[str, bytes]) -> None:
    interrupt = run.stopped(output)
    n_requests = len(run.site.requests)
    report = run(output)
    assert (report.n_resumed, report.n_rows, report.n_failed) == (n_kept(interrupt), N_ROWS, 4)
    assert n_kept(interrupt) >= PART_ROWS
    assert len(run.site.requests) - n_requests == N_ROWS - n_kept(interrupt)
    made = contents(run.folder)
    assert made == {name: whole[name] for name in made}
    assert any(name.startswith(output.rstrip("/")) for name in made)


@OUTPUTS
def test_rows_beside_a_slow_one_are_kept(output: str, run: Run, server: ImageServer) -> None:
    slow = server.add_raw("/slow", [], end="silence")
    run.options["allow_address"] += (server.address,)
    lines = csv_lines(run.site)
    run.write([lines[0], f"00,{slow},", *lines[2:]])

    def interrupt(report: Report) -> None:
        if report.n_rows == N_ROWS - 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        run(output, progress=interrupt)
    work = run.folder.resolve() / f".{output.rstrip('/')}.pixvec"
    kept_in = work if output == "out.csv" else f"{run.folder.resolve() / 'out'} and {work}"
    assert caught.value.__notes__ == [
        f"{N_ROWS - 1} rows are kept in {kept_in}, 1 will be fetched again: the same command goes on"
    ]
    server.add("/slow", body=image_bytes())
    n_requests = len(run.site.requests)
    assert run(output).n_resumed == N_ROWS - 1
    assert len(run.site.requests) == n_requests
    assert run.leftovers() == []


@OUTPUTS
def test_a_run_that_is_stopped_before_its_first_row_leaves_nothing(output: str, run: Run, server: ImageServer) -> None:
    run.options["allow_address"] += (server.address,)
    run.write(["image_url", server.add_raw("/slow", [], end="silence")])
    interrupt = run.stopped(output, after=0)
    assert getattr(interrupt, "__notes__", []) == []
    assert [path.name for path in run.folder.iterdir()] == ["in.csv"]


@OUTPUTS
def test_parts_of_any_size_go_together(output: str, run: Run, whole: dict[str, bytes]) -> None:
    run.stopped(output, part_rows=3, limit=10)
    run.stopped(output, part_rows=7, limit=20, after=len(run.parts(output)) + 1)
    run(output, part_rows=100)
    if output == "out/":
        assert pq.read_table(run.folder / "out")["id"].to_pylist() == [f"0{row}" for row in range(N_ROWS)]
    else:
        assert (run.folder / output).read_bytes() == whole[output]


@OUTPUTS
def test_a_finished_output_is_left_as_it_is(output: str, run: Run) -> None:
    run(output)
    before, n_requests = contents(run.folder), len(run.site.requests)
    report = run(output)
    assert (report.was_finished, report.n_rows, report.n_failed) == (True, N_ROWS, 4)
    assert (contents(run.folder), len(run.site.requests)) == (before, n_requests)


@OUTPUTS
def test_what_was_made_otherwise_is_refused(output: str, run: Run) -> None:
    for begin in (run.stopped, run):
        begin(output)
        before = contents(run.folder)
        message = refusal(lambda: run(output, normalize=False))
        assert "normalize (True then, False now)" in message
        assert "`restart=True`" in message
        assert contents(run.folder) == before


def test_everything_that_decides_rows_is_compared(run: Run) -> None:
    run.stopped("out.csv", decode="full", formats="+tiff", opt_out="noai")
    others: list[tuple[dict[str, Any], str]] = [
        ({"decode": "reference"}, "decode (full then, reference now)"),
        ({"max_pixels": 5}, "max_pixels (100000000 then, 5 now)"),
        ({"max_bytes": 5}, "max_bytes (33554432 then, 5 now)"),
        ({"max_redirects": 1}, "max_redirects (10 then, 1 now)"),
        ({"formats": ""}, "formats (AVIF,BMP,GIF,JPEG,PNG,TIFF,WEBP then, AVIF,BMP,GIF,JPEG,PNG,WEBP now)"),
        ({"opt_out": "noai,noindex"}, "opt_out (noai then, noai,noindex now)"),
        ({"allow_address": ()}, f"allow_address ({run.site.address} then, none now)"),
        ({"model": "demo"}, "the model's weights ("),
        ({"output_column": "v"}, "output_column (embedding then, v now)"),
        ({"image_info": False}, "image_info (True then, False now)"),
    ]
    for options, differing in others:
        given = {"decode": "full", "formats": "+tiff", "opt_out": "noai", **options}
        assert differing in refusal(lambda: run("out.csv", **given))  # noqa: B023 (called at once)


@pytest.mark.parametrize(
    ("file", "key", "value", "differing"),
    [
        (
            "preprocessor_config.json",
            "image_mean",
            [0.5, 0.5, 0.5],
            "processor.mean ([0.48145466, 0.4578275, 0.40821073]",
        ),
        ("preprocessor_config.json", "resample", 2, "processor.resample (3 then, 2 now)"),
        ("config.json", "hidden_act", "gelu", "vision.hidden_act (quick_gelu then, gelu now)"),
    ],
)
def test_weights_that_are_read_in_another_way_are_another_model(
    file: str, key: str, value: object, differing: str, run: Run, tmp_path: Path
) -> None:
    run.options["model"] = str(make_checkpoint(tmp_path / "model"))
    run.stopped("out.csv")
    run("finished.csv", limit=1)
    rewrite(tmp_path / "model" / file, key, value)
    retry = partial(run, "finished.csv", retry_failed=True)
    for again in (partial(run, "out.csv"), partial(run, "finished.csv", limit=1), retry):
        message = refusal(again)
        assert differing in message
        assert message.count(" then, ") == 1


def rewrite(path: Path, key: str, value: object) -> None:
    """Change a setting of a checkpoint."""
    settings = json.loads(path.read_text())
    settings.get("vision_config", settings)[key] = value
    path.write_text(json.dumps(settings))


def test_what_decides_no_row_may_change(run: Run, whole: dict[str, bytes]) -> None:
    run.stopped("out.csv")
    run("out.csv", batch_size=3, connections=2, quiet=True)
    assert (run.folder / "out.csv").read_bytes() == whole["out.csv"]


def test_a_changed_input_is_named_before_any_work(run: Run) -> None:
    run.stopped("out.csv", after=2)
    lines = csv_lines(run.site)
    run.write([*lines[:10], lines[10].replace("/9.png", "/45.png"), *lines[11:]])
    n_requests = len(run.site.requests)
    assert "in.csv has changed since rows 8 to 15 (counted from 0) were embedded" in refusal(lambda: run("out.csv"))
    assert len(run.site.requests) == n_requests


def test_a_changed_cell_of_another_column_matters_to_whole_rows_only(run: Run) -> None:
    lines = csv_lines(run.site)
    run.stopped("out.csv", after=2)
    run.stopped("out/", after=2)
    run.write([*lines[:10], lines[10].replace("a, b", "new"), *lines[11:]])
    assert "has changed since rows 8 to 15" in refusal(lambda: run("out/"))
    run("out.csv")
    assert '"new","[' in (run.folder / "out.csv").read_text()


@OUTPUTS
def test_a_shorter_input_is_refused(output: str, run: Run) -> None:
    run.stopped(output, after=3)
    for n_rows in (20, 16, 0):
        run.write(csv_lines(run.site, n_rows))
        assert "in.csv is shorter than when row" in refusal(lambda: run(output))


@OUTPUTS
def test_an_input_that_only_grew_goes_on(output: str, run: Run, tmp_path: Path) -> None:
    run.stopped(output, after=3)
    n_requests = len(run.site.requests)
    run.write(csv_lines(run.site, N_ROWS + 5))
    report = run(output)
    assert report.n_rows == N_ROWS + 5
    assert len(run.site.requests) - n_requests == report.n_new
    if output == "out.csv":
        run("again.csv")
        assert (run.folder / "again.csv").read_bytes() == (run.folder / output).read_bytes()


def test_a_finished_folder_grows_with_its_input(run: Run) -> None:
    run.write(csv_lines(run.site, 12))
    run("out/")
    run.write(csv_lines(run.site, 20))
    assert run("out/").n_new == 8
    assert pq.read_table(run.folder / "out")["id"].to_pylist() == [f"0{row}" for row in range(20)]
    assert [name[5:30] for name in run.parts("out/")] == [
        f"{start:012}-{stop:012}" for start, stop in [(0, 8), (8, 12), (12, 16), (16, 20)]
    ]


def test_a_finished_file_does_not_take_a_changed_input(run: Run) -> None:
    run("out.parquet")
    run.write(csv_lines(run.site, N_ROWS + 1))
    assert "out.parquet is finished, and was made otherwise: the input (" in refusal(lambda: run("out.parquet"))


def test_an_input_that_changes_under_way_breaks_the_run(run: Run) -> None:
    run.stopped("out.csv", after=5)
    lines = csv_lines(run.site)
    swapped = [*lines[:4], lines[5], lines[4], *lines[6:]]

    def swap(_: object) -> None:
        run.write(swapped)

    with pytest.raises(pixvec.PixvecError, match=r"in.csv (has )?changed"):
        run("out.csv", progress=swap, restart=True)
    assert not (run.folder / "out.csv").exists()


@OUTPUTS
def test_torn_parts_are_made_again(output: str, run: Run, whole: dict[str, bytes]) -> None:
    run.stopped(output, after=4)
    for n_bytes, torn in zip([0, 3, 200, -1], run.folder.rglob("part-*"), strict=False):
        torn.write_bytes(torn.read_bytes()[:n_bytes])
    run(output)
    made = contents(run.folder)
    assert made == {name: whole[name] for name in made}


def test_a_part_with_a_flipped_bit_is_found_and_made_again(run: Run, whole: dict[str, bytes]) -> None:
    run.stopped("out.csv")
    part = next(run.folder.rglob("part-000000000000-*"))
    content = bytearray(part.read_bytes())
    content[60] ^= 1
    part.write_bytes(content)
    with pytest.raises(pixvec.RunError, match="was damaged, and is removed: the same command makes it again"):
        run("out.csv")
    run("out.csv")
    assert (run.folder / "out.csv").read_bytes() == whole["out.csv"]


@OUTPUTS
def test_a_strangers_part_is_refused(output: str, run: Run) -> None:
    run.stopped(output)
    pq.write_table(pa.table({"a": [1]}), next(run.folder.rglob("part-000000000000-*")))
    assert "is no part of pixvec's: move it away" in refusal(lambda: run(output))


@OUTPUTS
def test_overlapping_parts_are_refused(output: str, run: Run) -> None:
    run.stopped(output, part_rows=4)
    part = next(run.folder.rglob("part-000000000000-*"))
    run("other/", part_rows=6, limit=6)
    strange = next((run.folder / "other").glob("part-*"))
    strange.rename(part.with_name(strange.name))
    assert "have rows in common: remove one" in refusal(lambda: run(output))


def test_what_is_not_ours_stays(run: Run) -> None:
    run.stopped("out.csv")
    note = run.folder / ".out.csv.pixvec" / "notes.txt"
    note.write_text("precious")
    run("out.csv")
    assert sorted(path.name for path in note.parent.iterdir()) == ["notes.txt", "pixvec.txt"]
    assert run("out.csv").was_finished
    (run.folder / "full").mkdir()
    (run.folder / "full" / "notes.txt").write_text("precious")
    for restart in (False, True):
        assert "full holds notes.txt" in refusal(lambda: run("full", restart=restart))  # noqa: B023 (called at once)


@OUTPUTS
def test_a_restart_keeps_the_old_output_until_the_new_one_is_whole(output: str, run: Run) -> None:
    run(output)
    old = contents(run.folder)
    interrupt = run.stopped(output, after=2 + len(run.parts(output)), restart=True, normalize=False)
    assert {name: data for name, data in contents(run.folder).items() if name in old} == old
    assert "the same command without `restart=True` goes on" in interrupt.__notes__[-1]
    n_requests = len(run.site.requests)
    report = run(output, normalize=False)
    assert report.n_resumed >= PART_ROWS
    assert len(run.site.requests) - n_requests == report.n_new
    new = contents(run.folder)
    assert set(new) == set(old)
    assert all(new[name] != old[name] for name in old)
    assert run.leftovers() == []


def test_a_restart_throws_finished_parts_away(run: Run, whole: dict[str, bytes]) -> None:
    run.stopped("out.csv", normalize=False)
    assert run("out.csv", restart=True).n_resumed == 0
    assert (run.folder / "out.csv").read_bytes() == whole["out.csv"]


def test_a_full_disk_keeps_finished_parts(run: Run, whole: dict[str, bytes]) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest_part_bytes = len(whole["out.csv"]) // 2
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_part_bytes, hard))
    try:
        with pytest.raises(pixvec.RunError, match=r"out\.csv cannot be written") as caught:
            run("out.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert n_kept(caught.value) == N_ROWS
    assert run.leftovers() == [".out.csv.pixvec"]
    assert run("out.csv").n_new == 0
    assert (run.folder / "out.csv").read_bytes() == whole["out.csv"]


def test_a_limit_can_be_raised_while_the_run_is_unfinished(run: Run, whole: dict[str, bytes]) -> None:
    run.stopped("out.csv", limit=20)
    run("out.csv")
    assert (run.folder / "out.csv").read_bytes() == whole["out.csv"]


def test_a_finished_output_says_what_limit_it_had(run: Run) -> None:
    run("out.csv", limit=10)
    assert "limit (10 then, None now)" in refusal(lambda: run("out.csv"))


@pytest.mark.parametrize("output", ["out.parquet", "out/"])
def test_a_table_without_rows_is_finished_too(output: str, run: Run) -> None:
    run.write(["id,image_url"])
    run(output)
    table = pq.read_table(run.folder / output.rstrip("/"))
    assert (table.num_rows, table.column_names[:3]) == (0, ["id", "image_url", "embedding"])
    assert run(output).was_finished


def test_progress_begins_where_the_last_run_ended(run: Run) -> None:
    run.stopped("out.csv")
    told: list[tuple[int, int]] = []
    run("out.csv", progress=lambda report: told.append((report.n_rows, report.n_new)))
    assert all(n_rows - n_new >= PART_ROWS for n_rows, n_new in told)
    assert told[-1][0] == N_ROWS


def test_rows_without_urls_count_too(run: Run, server: ImageServer) -> None:
    run.write(["image_url", *["", "http://"] * 10])
    run.stopped("out.csv")
    report = run("out.csv", max_failed="100%")
    assert report.failures == {"null_input": 10, "invalid_url": 10}
