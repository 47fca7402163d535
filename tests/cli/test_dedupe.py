"""`keep="best"` leaves each image once, in every kind of table; rows without a vector are counted apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli import WRONG_USE, execute

A, B = [1.0, 0.0], [0.0, 1.0]
VECTORS = [A, None, B, A, None, A]
BEST = [0, 1, 2, 4]
"""The rows that stay: the first of the three equal ones, the other, and the two without a vector."""


def write_table(path: Path) -> Path:
    table = pa.table({"id": list(range(6)), "embedding": pa.array(VECTORS, pa.list_(pa.float32(), 2))})
    pq.write_table(table, path)
    return path


@pytest.mark.parametrize(
    ("flags", "kept"),
    [
        ([], [0, 1, 2, 3, 4, 5]),
        (["--keep", "all"], [0, 1, 2, 3, 4, 5]),
        (["--keep", "best"], BEST),
        (["--keep", "best", "--drop-failed"], [0, 2]),
        (["--drop-failed"], [0, 2, 3, 5]),
    ],
    ids=str,
)
def test_the_output_has_the_rows_that_are_kept(
    flags: list[str], kept: list[int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "unique.parquet"
    assert execute(["dedupe", str(write_table(tmp_path / "t.parquet")), "-o", str(output), *flags]) == 0
    written = pq.read_table(output)
    assert written["id"].to_pylist() == kept
    assert written["duplicate_group"].to_pylist() == [0 if row in {0, 3, 5} else None for row in kept]
    assert capsys.readouterr().err == (
        "6 rows: 3 rows in 1 group of duplicates; 2 different images and 2 without a vector\n"
        f"wrote {output}: {len(kept)} rows\n"
    )


@pytest.mark.parametrize("flags", [["--keep", "best"], ["--drop-failed"], ["--replace-column"]], ids=str)
def test_what_is_for_an_output_is_refused_without_one(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["dedupe", str(write_table(tmp_path / "t.parquet")), *flags]) == WRONG_USE
    assert flags[0] in (said := capsys.readouterr().err)
    assert "name it with -o" in said


def test_the_cells_of_csv_keep_their_bytes(tmp_path: Path) -> None:
    lines = ['"0", a,"[1.0,0.0]"\r\n', '1,"b",""\n', '2, "c,"[0.0,1.0]"\n', '3,d,"[1.0, 0]"\n', '4,"e\nf",\n']
    lines += ['5,g,"[1.0,0.0]"']
    (tmp_path / "t.csv").write_text("".join(["id,x,v\n", *lines]), encoding="utf-8", newline="")
    command = ["dedupe", str(tmp_path / "t.csv"), "-o", str(tmp_path / "o.csv"), "--keep", "best"]
    assert execute(command) == 0
    expected = [line.rstrip("\r\n") for line in (lines[row] for row in BEST)]
    written = (tmp_path / "o.csv").read_text(encoding="utf-8")
    assert [cell in written for cell in expected] == [True] * 4
    assert written.splitlines()[0] == "id,x,v,duplicate_group,duplicate_best"
    assert "3,d" not in written
    assert "5,g" not in written


def test_the_lines_of_json_keep_their_text(tmp_path: Path) -> None:
    lines = [f'{{"id":  {row}, "v": {json.dumps(vector)}}}' for row, vector in enumerate(VECTORS)]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    command = ["dedupe", str(tmp_path / "t.jsonl"), "-o", str(tmp_path / "o.jsonl"), "--keep", "best"]
    assert execute(command) == 0
    written = (tmp_path / "o.jsonl").read_text(encoding="utf-8").splitlines()
    assert [line.partition(', "duplicate_group"')[0] for line in written] == [lines[row][:-1] for row in BEST]


def test_more_rows_than_are_written_at_once(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(1_200, 8)).astype(np.float32)
    vectors[600:] = vectors[:600]
    column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), 8)
    pq.write_table(pa.table({"id": list(range(1_200)), "embedding": column}), tmp_path / "t.parquet")
    command = ["dedupe", str(tmp_path / "t.parquet"), "-o", str(tmp_path / "o.parquet"), "--keep", "best"]
    assert execute([*command, "--threshold", "0.9999", "--quiet"]) == 0
    assert pq.read_table(tmp_path / "o.parquet")["id"].to_pylist() == list(range(600))


def test_frames_keep_their_index() -> None:
    vectors = [None if vector is None else np.array(vector, np.float32) for vector in VECTORS]
    frame = pd.DataFrame({"embedding": vectors}, index=list("abcdef"))
    assert pixvec.dedupe(frame, keep="best").index.tolist() == ["a", "b", "c", "e"]
    assert pixvec.dedupe(frame, keep="best", drop_failed=True).index.tolist() == ["a", "c"]
    assert pixvec.dedupe(frame).index.tolist() == list("abcdef")


def test_a_file_comes_back_with_the_rows_that_are_kept(tmp_path: Path) -> None:
    found = pixvec.dedupe(write_table(tmp_path / "t.parquet"), keep="best")
    assert found["id"].to_pylist() == BEST
    assert found["duplicate_best"].to_pylist() == [True] * 4


def test_a_table_without_duplicates_keeps_all_rows() -> None:
    table = pa.table({"embedding": pa.array([A, B], pa.list_(pa.float32(), 2))})
    assert pixvec.dedupe(table, keep="best").num_rows == 2
