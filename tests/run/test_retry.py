"""Rows that failed are embedded again in a finished output; every other cell stays as it was."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from tests.run.conftest import Run, contents, run_options

N_ROWS = 20
ILL = {2: 500, 5: 403, 11: 500, 12: 403}
OUTPUTS = pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out/"])


def heal(server: ImageServer) -> None:
    for row in range(N_ROWS):
        server.add(f"/{row}.png", body=image_bytes("PNG", size=(40, 40), seed=row))


@pytest.fixture
def run(tmp_path: Path, server: ImageServer, checkpoint: str) -> Run:
    """Twenty rows in three parts, on a server that is ill: four of them fail."""
    heal(server)
    for row, status in ILL.items():
        server.add(f"/{row}.png", status=status)
    run = Run(tmp_path, server, run_options(server, checkpoint))
    run.write(["id,image_url,note", *(f'0{row},{server.url(f"/{row}.png")},"a, b"' for row in range(N_ROWS))])
    return run


def table(run: Run, output: str) -> pa.Table:
    return pq.read_table(run.folder / output.rstrip("/"))


@OUTPUTS
def test_what_failed_for_now_is_filled_in(output: str, run: Run, server: ImageServer) -> None:
    run(output)
    heal(server)
    n_requests = len(server.requests)
    report = run(output, retry_failed=True)
    assert (report.n_new, report.n_rows, report.failures) == (2, N_ROWS, {"http_403": 2})
    assert run(output, retry_codes="http_404, http_403").n_failed == 0
    assert len(server.requests) - n_requests == 4
    assert run.leftovers() == []
    retried, again = contents(run.folder), {}
    run(f"again{output[3:]}")
    again = {name.replace("again", "out"): data for name, data in contents(run.folder).items() if "again" in name}
    if output == "out.csv":
        assert retried == again
    else:
        assert table(run, output).equals(table(run, f"again{output[3:]}"), check_metadata=output == "out.parquet")


@OUTPUTS
def test_other_rows_and_columns_stay_as_they_were(output: str, run: Run, server: ImageServer) -> None:
    run(output)
    before = contents(run.folder)
    heal(server)
    server.add("/0.png", body=image_bytes("PNG", size=(40, 40), seed=99))
    run(output, retry_failed=True)
    after = contents(run.folder)
    if output == "out.csv":
        changed = [
            row
            for row, (old, new) in enumerate(
                zip(before[output].split(b"\n")[1:], after[output].split(b"\n")[1:], strict=True)
            )
            if old != new
        ]
        assert changed == [2, 11]
    if output == "out/":
        assert [name for name in before if before[name] == after[name]] == [
            "out/part-000000000016-000000000020.parquet"
        ]


@OUTPUTS
def test_a_retry_tells_how_many_rows_there_are(output: str, run: Run) -> None:
    run(output)
    told: list[int | None] = []
    run(output, retry_failed=True, progress=lambda report: told.append(report.n_expected))
    assert told[-1] == N_ROWS


@OUTPUTS
def test_a_retry_of_nothing_touches_nothing(output: str, run: Run, server: ImageServer) -> None:
    run(output)
    before, n_requests = contents(run.folder), len(server.requests)
    assert run(output, retry_codes="http_404").was_finished
    assert (contents(run.folder), len(server.requests)) == (before, n_requests)


@OUTPUTS
def test_a_retried_output_is_still_the_commands_own(output: str, run: Run, server: ImageServer) -> None:
    run(output)
    heal(server)
    run(output, retry_failed=True)
    report = run(output)
    assert (report.was_finished, report.failures) == (True, {"http_403": 2})


def test_a_stopped_retry_goes_on(run: Run, server: ImageServer) -> None:
    run("out.csv")
    heal(server)
    before = contents(run.folder)
    run.stopped("out.csv", retry_failed=True, part_rows=1)
    assert contents(run.folder).items() > before.items()
    assert run("out.csv").was_finished
    with pytest.raises(pixvec.UsageError, match=r"retry \(failed then, http_403 now\); go on with what it was$"):
        run("out.csv", retry_codes="http_403")
    n_requests = len(server.requests)
    assert run("out.csv", retry_failed=True, part_rows=1).n_failed == 2
    assert len(server.requests) - n_requests <= 1  # a row that was decided before the stop is not asked for again
    assert run.leftovers() == []


@OUTPUTS
def test_other_settings_are_refused(output: str, run: Run) -> None:
    run(output)
    before = contents(run.folder)
    with pytest.raises(pixvec.UsageError, match=r"normalize \(True then, False now\)"):
        run(output, retry_failed=True, normalize=False)
    assert contents(run.folder) == before


def test_rows_that_fail_again_say_why_now(run: Run, server: ImageServer) -> None:
    run("out.parquet")
    server.add("/2.png", status=503)
    assert run("out.parquet", retry_failed=True).failures == {"http_403": 2, "http_500": 1, "http_503": 1}
    assert table(run, "out.parquet")["embedding_error"][2].as_py() == "http_503"


def test_there_must_be_something_to_retry(run: Run) -> None:
    for output in ("out.csv", "out/"):
        with pytest.raises(pixvec.UsageError, match=r"there is nothing in .* to retry"):
            run(output, retry_failed=True)
    (run.folder / "out.csv").write_text("image_url\nhttp://a.example/\n")
    with pytest.raises(pixvec.UsageError, match="does not say what its vectors were made with"):
        run("out.csv", retry_failed=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry_codes": "http_404,tiemout"}, "there is no code 'tiemout'"),
        ({"retry_codes": ""}, "there is no code ''"),
        ({"retry_failed": True, "restart": True}, "choose one"),
    ],
)
def test_wrong_use_is_named(options: dict[str, object], message: str, run: Run) -> None:
    with pytest.raises(pixvec.UsageError, match=message):
        run("out.csv", **options)


@OUTPUTS
def test_a_retry_opens_no_folder_that_only_the_table_names(output: str, run: Run, server: ImageServer) -> None:
    run(output)
    heal(server)
    folder = run.options.pop("model")
    with pytest.raises(pixvec.ModelError, match="neither demo nor in the hub's cache"):
        run(output, retry_failed=True)
    assert run(output, retry_failed=True, model=folder).n_new == 2
    with pytest.raises(pixvec.UsageError, match="the model's weights"):
        run(output, retry_codes="http_403", model="demo")
