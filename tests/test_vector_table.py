"""The column of vectors is found, and read as one array, from every kind of table."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.errors import UsageError
from pixvec.result_columns import PROVENANCE_KEY
from pixvec.table import TableReader, open_frame, open_table
from pixvec.vector_table import find_vector_column, read_vector_column, vector_chunks

NAN = float("nan")
ROWS = [[1.0, 2.0], None, [0.5, -0.25]]
FIXED, LISTS = pa.list_(pa.float32(), 2), pa.list_(pa.float64())


def table_of(**columns: pa.Array) -> TableReader:
    return open_frame(pa.table(columns))


def csv_of(folder: Path, text: str) -> TableReader:
    path = folder / "t.csv"
    path.write_text(text, encoding="utf-8")
    return open_table(path)


@pytest.mark.parametrize(
    "type_",
    [FIXED, LISTS, pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float16())],
    ids=str,
)
def test_lists_of_floats_become_one_array(type_: pa.DataType) -> None:
    table = table_of(v=pa.array(ROWS, type_))
    column = read_vector_column(table, find_vector_column(table), path=None)
    np.testing.assert_array_equal(column.vectors, np.array([[1, 2], [NAN, NAN], [0.5, -0.25]], np.float32))
    assert (column.vectors.dtype.name, column.provenance) == ("float32", None)


def test_text_is_read_as_json_and_what_cannot_be_read_is_no_vector(tmp_path: Path) -> None:
    table = csv_of(
        tmp_path, 'title,v\na,"[1,2]"\nb,\nc,"[0.5,-2.5e-1]"\n' + 'd,"[1,1]"\n' * 20 + 'e,oops\nf,"[1,""x""]"\n'
    )
    assert find_vector_column(table) == "v"
    vectors = read_vector_column(table, "v", path=None).vectors
    np.testing.assert_array_equal(vectors[:3], np.array([[1, 2], [NAN, NAN], [0.5, -0.25]], np.float32))
    assert np.isnan(vectors[-2:]).all()


@pytest.mark.parametrize("type_", [FIXED, LISTS], ids=str)
def test_a_table_without_any_vector_has_none(type_: pa.DataType) -> None:
    vectors = read_vector_column(table_of(v=pa.array([None, None], type_)), "v", path=None).vectors
    assert len(vectors) == 2
    assert np.isnan(vectors).all(axis=1).all()
    assert len(read_vector_column(table_of(v=pa.array([], type_)), "v", path=None).vectors) == 0


def test_a_list_with_a_hole_is_no_vector_and_an_empty_one_neither() -> None:
    table = table_of(v=pa.array([[], [1.0, None], [1.0, 2.0]], LISTS))
    np.testing.assert_array_equal(
        read_vector_column(table, "v", path=None).vectors, np.array([[NAN, NAN], [1, NAN], [1, 2]], np.float32)
    )


@pytest.mark.parametrize("n_before", [1, 5_000], ids=["in the first chunk", "in a later chunk"])
def test_a_vector_of_another_length_is_named_by_its_row(n_before: int) -> None:
    table = table_of(v=pa.array([[1.0, 2.0]] * n_before + [[1.0]], LISTS))
    with pytest.raises(UsageError, match=rf"'v': row {n_before:,} \(counted from 0\) has 1 numbers, .* first vector 2"):
        read_vector_column(table, "v", path=None)


def test_chunks_are_the_rows_in_order() -> None:
    numbers = np.arange(20_000, dtype=np.float32).reshape(-1, 2)
    table = table_of(v=pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), 2))
    chunks = list(vector_chunks(table, "v"))
    assert len(chunks) > 1
    np.testing.assert_array_equal(np.concatenate(chunks), numbers)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"title": pa.array(["a"]), "v": pa.array([[1.0]])}, "v"),
        ({"weights": pa.array([[1.0]]), "embedding": pa.array([[1.0]])}, "embedding"),
        ({"weights": pa.array([[1.0]]), "v": pa.array([[1.0]], pa.list_(pa.float32(), 1))}, "v"),
        ({"targets": pa.array([[1]]), "v": pa.array([[1.0]])}, "v"),
    ],
    ids=["the only one", "the usual name", "lists of one length", "integers are none"],
)
def test_the_column_is_found(columns: dict[str, pa.Array], expected: str) -> None:
    assert find_vector_column(table_of(**columns)) == expected


@pytest.mark.parametrize(
    ("columns", "name", "message"),
    [
        ({"title": pa.array(["a"])}, None, "none of the columns 'title' holds vectors.*pixvec embed"),
        ({"a": pa.array([[1.0]]), "b": pa.array([[1.0]])}, None, "several columns hold vectors: 'a', 'b'.*--vectors"),
        ({"a": pa.array([[1.0]])}, "b", "there is no column 'b'; the columns are: 'a'"),
        ({"a": pa.array([1])}, "a", "'a' holds no vectors"),
        ({"a": pa.array(["[1, 2"])}, "a", "'a' holds no vectors"),
        ({"a": pa.array([[1]])}, "a", "'a' holds no vectors"),
    ],
    ids=["none", "several", "misspelt", "numbers", "text", "integers"],
)
def test_what_is_no_column_of_vectors_is_said(columns: dict[str, pa.Array], name: str | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find_vector_column(table_of(**columns), name)


def test_a_repeated_name_is_an_error() -> None:
    table = open_frame(pa.Table.from_arrays([pa.array([[1.0]])] * 2, ["v", "v"]))
    with pytest.raises(UsageError, match="2 columns are called 'v'"):
        find_vector_column(table, "v")


def test_provenance_is_read_from_the_field(tmp_path: Path) -> None:
    field = pa.field("v", FIXED, metadata={PROVENANCE_KEY: json.dumps({"model": "demo"})})
    pq.write_table(pa.table([pa.array(ROWS, FIXED)], schema=pa.schema([field])), tmp_path / "t.parquet")
    table = open_table(tmp_path / "t.parquet")
    assert read_vector_column(table, "v", path=None).provenance == {"model": "demo"}


@pytest.mark.parametrize("said", ["no json", "[1]"])
def test_what_is_no_provenance_is_none(said: str) -> None:
    field = pa.field("v", FIXED, metadata={PROVENANCE_KEY: said})
    table = open_frame(pa.table([pa.array(ROWS, FIXED)], schema=pa.schema([field])))
    assert read_vector_column(table, "v", path=None).provenance is None


@given(st.lists(st.none() | st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3), min_size=1))
def test_vectors_come_back_as_they_were(rows: list[list[float] | None]) -> None:
    expected = np.array([[NAN] * 3 if row is None else row for row in rows], np.float32).reshape(-1, 3)
    vectors = read_vector_column(table_of(v=pa.array(rows, pa.list_(pa.float32()))), "v", path=None).vectors
    if any(rows):
        np.testing.assert_array_equal(vectors, expected)
    assert len(vectors) == len(rows)
