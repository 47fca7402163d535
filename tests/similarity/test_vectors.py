"""The column of vectors is found, and read as one array, from every kind of table."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.errors import UsageError
from pixvec.pipeline.provenance import provenance_path, provenance_text
from pixvec.similarity.vectors import (
    find_vector_column,
    provenance_beside,
    read_vector_column,
    vector_chunks,
    vector_provenance,
)
from pixvec.tables import TableReader, open_frame, open_table
from pixvec.tables.result_columns import PROVENANCE_KEY

NAN = float("nan")
Facts: TypeAlias = dict[str, Any]
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
        ({"a": pa.array([[1.0]]), "b": pa.array([[1.0]])}, None, "several columns hold vectors: 'a', 'b'.*`vectors`"),
        ({"a": pa.array([[1.0]])}, "b", "there is no column 'b'; expected one of 'a'"),
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


def folder_of(folder: Path, *provenances: Facts | None) -> TableReader:
    """A table of several files, each with what it says of its vectors."""
    for number, facts in enumerate(provenances):
        field = pa.field("v", FIXED, metadata={PROVENANCE_KEY: json.dumps(facts)} if facts else None)
        pq.write_table(pa.table([pa.array(ROWS, FIXED)], schema=pa.schema([field])), folder / f"{number}.parquet")
    return open_table(folder)


def test_of_files_of_one_model_it_is_known_what_all_of_them_say(tmp_path: Path) -> None:
    table = folder_of(tmp_path, *({"model": "demo", "limit": limit} for limit in (3, 4)))
    assert vector_provenance(table, "v", path=tmp_path) == {"model": "demo"}


def test_vectors_of_which_a_file_says_nothing_are_of_unknown_origin(tmp_path: Path) -> None:
    table = folder_of(tmp_path, {"model": "demo", "weights_sha256": "a"}, None)
    assert vector_provenance(table, find_vector_column(table), path=tmp_path) is None


@pytest.mark.parametrize("name", [None, "v"])
def test_vectors_of_several_models_are_refused_and_their_files_named(tmp_path: Path, name: str | None) -> None:
    table = folder_of(tmp_path, *({"model": model, "weights_sha256": model} for model in ("demo", "a/b")))
    with pytest.raises(UsageError, match=r"several models, 'demo' in .*0\.parquet and 'a/b' in .*1\.parquet"):
        find_vector_column(table, name)


@pytest.mark.parametrize("models", [("demo", "demo"), ("demo", "a/b")], ids=["one", "two"])
def test_what_stands_beside_the_files_of_a_folder_is_read(models: tuple[str, str], tmp_path: Path) -> None:
    for number, model in enumerate(models):
        table = tmp_path / f"{number}.csv"
        table.write_text(f'v,n\n"[{number}.0]",1\n')
        facts = {"model": model, "weights_sha256": model}
        told = {"output_column": "v", **facts, "table_sha256": sha256(table.read_bytes()).hexdigest()}
        provenance_path(table).write_text(provenance_text(told))
    if models[0] == models[1]:
        known = vector_provenance(open_table(tmp_path), "v", path=tmp_path)
        assert known is not None
        assert known["model"] == "demo"
    else:
        with pytest.raises(UsageError, match=r"several models, 'demo' in .*0\.csv and 'a/b' in .*1\.csv"):
            find_vector_column(open_table(tmp_path))


def test_of_several_columns_it_is_the_one_that_says_what_it_was_made_with() -> None:
    known = pa.field("b", LISTS, metadata={PROVENANCE_KEY: json.dumps({"model": "demo"})})
    schema = pa.schema([pa.field("a", LISTS), known])
    assert find_vector_column(open_frame(pa.table([pa.array(ROWS, LISTS)] * 2, schema=schema))) == "b"


@pytest.mark.parametrize(
    "facts",
    [{"output_column": "v", "model": "demo"}, {"model": "demo", "columns": {"v": {"model": "demo"}}}],
    ids=["of one column", "of columns by name"],
)
def test_what_a_file_beside_the_table_says_holds_for_the_column_it_names(tmp_path: Path, facts: Facts) -> None:
    table = csv_of(tmp_path, 'v,w\n"[1,2]","[3,4]"\n')
    path = tmp_path / "t.csv"
    told = {**facts, "table_sha256": sha256(path.read_bytes()).hexdigest()}
    provenance_path(path).write_text(json.dumps(told), encoding="utf-8")
    (v, w) = (vector_provenance(table, name, path=path) for name in ("v", "w"))
    assert (v is not None and v["model"], w) == ("demo", None)


@pytest.mark.parametrize("told", ["no json", "[1]", '{"table_sha256": "of another"}'])
def test_a_file_beside_the_table_that_is_not_its_own_says_nothing(tmp_path: Path, told: str) -> None:
    csv_of(tmp_path, 'v\n"[1,2]"\n')
    provenance_path(tmp_path / "t.csv").write_text(told, encoding="utf-8")
    assert provenance_beside(tmp_path / "t.csv") == {}


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
