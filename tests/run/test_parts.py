"""Which part a row belongs to, and when rows count as the same."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.run.digest import RowsDigest
from pixvec.run.parts import Part, Plan

bounds = st.lists(st.integers(0, 60), unique=True).map(sorted)


@given(bounds, st.lists(st.booleans(), min_size=60, max_size=60), st.integers(1, 25))
def test_every_row_has_one_part(bounds: list[int], are_finished: list[bool], part_rows: int) -> None:
    pairs = zip(pairwise(bounds), are_finished, strict=False)
    finished = [Part(start, stop, "hash") for (start, stop), is_finished in pairs if is_finished]
    plan = Plan(finished, part_rows)
    parts = [plan.part_of(row) for row in range(70)]
    assert all(part.start <= row < part.stop for row, part in enumerate(parts))
    assert {part for part in parts if part.is_finished} == set(finished)
    assert all(part.n_rows <= part_rows for part in parts if not part.is_finished)
    in_order = list(dict.fromkeys(parts))
    assert all(one.stop == other.start for one, other in pairwise(in_order))


@given(st.integers(0, 10**12 - 1), st.integers(0, 10**12 - 1))
def test_a_parts_name_says_its_rows(start: int, stop: int) -> None:
    assert Part.of_name(Part(start, stop).name) == Part(start, stop)


@pytest.mark.parametrize("name", ["part-1-2.parquet", "part-000000000000-000000000008.parquet.crc", "unfinished", ""])
def test_other_names_are_no_parts(name: str) -> None:
    assert Part.of_name(name) is None


ROWS = {
    "text": pa.array(["a", None, "", "ä", "b"]),
    "bytes": pa.array([b"a", None, b"", b"\0", b"b"]),
    "numbers": pa.array([1.0, None, float("nan"), -0.0, 2.0]),
    "flags": pa.array([True, None, False, True, True]),
    "nothing": pa.nulls(5),
    "lists": pa.array([[1], None, [], [1, None], [2]]),
    "structs": pa.array([{"a": 1}, None, {"a": None}, {"a": 2}, {"a": 3}]),
    "times": pa.array([1, None, 3, 4, 5], pa.timestamp("ns", "Europe/Vienna")),
    "spans": pa.array([1, None, 3, 4, 5], pa.duration("ns")),
    "words": pa.array(["a", None, "b", "d", "c"]).dictionary_encode(),
}


def digest(*tables: pa.Table) -> str:
    hashed = RowsDigest()
    for table in tables:
        hashed.add(table)
    return hashed.hexdigest()


@pytest.mark.parametrize("name", ROWS)
def test_equal_rows_are_the_same_wherever_they_come_from(name: str, tmp_path: Path) -> None:
    table = pa.table({name: ROWS[name]})
    pq.write_table(pa.concat_tables([table] * 3), tmp_path / "three.parquet", compression="gzip", row_group_size=4)
    read = pq.read_table(tmp_path / "three.parquet")
    assert digest(read.slice(5, 3)) == digest(read.slice(0, 3))


@pytest.mark.parametrize("name", [name for name in ROWS if name != "nothing"])
def test_other_rows_are_others(name: str) -> None:
    table = pa.table({name: ROWS[name]})
    digests = [digest(table.slice(start, n_rows)) for n_rows in (1, 2) for start in range(4)]
    assert len(set(digests)) == len(digests) - (name == "flags")  # True stands there twice


def test_names_and_types_count() -> None:
    tables = [
        pa.table({"a": ["1"]}),
        pa.table({"b": ["1"]}),
        pa.table({"a": [b"1"]}),
        pa.table({"a": ["1"], "b": ["1"]}),
    ]
    assert len({digest(table) for table in tables}) == 4
