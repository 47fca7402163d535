"""What depends on time stands in the log, over all starts of a run; and no run is lost for want of one."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from pixvec.pipeline.report import Report
from pixvec.run.log import keeping_log
from tests.run.conftest import N_ROWS, Run, n_kept


def lines(run: Run) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "out.csv.log.jsonl").read_text().splitlines()]


def test_the_log_tells_of_every_start(run: Run) -> None:
    interrupt = run.stopped("out.csv", limit=N_ROWS // 2)
    run("out.csv")
    logged = lines(run)
    assert [(line["event"], line.get("outcome")) for line in logged] == [
        ("start", None),
        ("end", "interrupted"),
        ("start", None),
        ("end", "decided"),
    ]
    assert (logged[0]["t"], logged[0]["rows"], logged[2]["t"]) == (0, 0, 0)
    assert logged[2]["rows"] == n_kept(interrupt)
    assert {name: logged[-1][name] for name in ("rows", "vectors", "failed")} == {
        "rows": N_ROWS,
        "vectors": N_ROWS - 4,
        "failed": {"http_404": 4},
    }


def test_a_finished_output_adds_no_line(run: Run) -> None:
    run("out.csv")
    logged = lines(run)
    run("out.csv")
    assert lines(run) == logged


def test_a_restart_begins_the_log_anew(run: Run) -> None:
    run("out.csv")
    run("out.csv", restart=True)
    assert [line["event"] for line in lines(run)] == ["start", "end"]


def test_a_run_goes_on_without_a_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    (run.folder / "out.csv.log.jsonl").mkdir()
    with caplog.at_level(logging.WARNING, "pixvec"):
        assert run("out.csv").n_rows == N_ROWS
    assert [record.message.partition(", so ")[0] for record in caplog.records] == [
        f"{run.folder.resolve() / 'out.csv.log.jsonl'} cannot be written"
    ]


def test_no_log_is_begun_before_a_row_is_decided(run: Run) -> None:
    path = run.folder / "none.jsonl"
    with keeping_log(path, Report(), anew=False) as tell:
        tell(Report())
    assert not path.exists()
