from __future__ import annotations

import csv
import json
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec.errors import UsageError
from pixvec.tables import ReadOptions, create_table, open_table
from pixvec.tables.formats.json_values import MAX_DEPTH, MAX_FIELDS
from pixvec.tables.result_columns import ResultOptions, result_schema, result_table
from pixvec.values import ImageFacts, Row

RESULTS = result_schema(2, ResultOptions(), provenance={})
FAILED = Row(error="timeout", detail="too slow")
NEW = '"embedding": null, "embedding_error": "timeout", "embedding_detail": "too slow", "embedding_image": null'

scalars = st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=5)
values = st.recursive(scalars, lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=3), some))
records = st.lists(st.dictionaries(st.sampled_from(["a", "b", "é"]), values), max_size=6)


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "in.jsonl"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def embed(path: Path, ending: str = ".jsonl", *, dropped: tuple[str, ...] = (), row: Row = FAILED) -> Path:
    """Pass a file through, each of its rows having the same outcome."""
    source = open_table(path)
    out = path.with_name(f"out{ending}")
    with create_table(out, source, RESULTS, ending=ending, dropped=dropped) as writer:
        for chunk in source.chunks(2):
            writer.write(chunk, result_table([row] * chunk.table.num_rows, RESULTS))
    return out


def types_of(folder: Path, *cells: str) -> pa.DataType:
    path = write(folder, "".join(f'{{"a": {cell}}}\n' for cell in cells))
    return open_table(path).schema.field("a").type


def test_a_number_of_more_digits_than_python_reads_is_text(tmp_path: Path) -> None:
    digits = "9" * 5_000
    path = write(tmp_path, f'{{"a": {digits}, "b": [1, {digits}], "c": 7}}\n')
    (chunk,) = open_table(path).chunks(2)
    assert chunk.table.to_pylist() == [{"a": digits, "b": ["1", digits], "c": 7}]
    assert embed(path).read_text() == f'{{"a": {digits}, "b": [1, {digits}], "c": 7, {NEW}}}\n'


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"a": 1.50, "b": "\\u00e9"}\n', f'{{"a": 1.50, "b": "\\u00e9", {NEW}}}\n'),
        ('{"a":1}', f'{{"a":1, {NEW}}}'),
        (' { "a" : "}" } \r\n', f' {{ "a" : "}}", {NEW} }} \r\n'),
        ("{}\n", f"{{{NEW}}}\n"),
        ('\ufeff{"a": 12345678901234567890123}\n', f'\ufeff{{"a": 12345678901234567890123, {NEW}}}\n'),
        ('{"a": "中\u2028"}\n', f'{{"a": "中\u2028", {NEW}}}\n'),
    ],
    ids=["escapes and digits", "no last break", "white space", "empty object", "mark and long number", "separators"],
)
def test_an_object_keeps_its_very_text_and_gets_new_members(tmp_path: Path, line: str, expected: str) -> None:
    assert embed(write(tmp_path, line)).read_bytes() == expected.encode()


def test_members_that_are_replaced_leave_the_others_as_they_are_written(tmp_path: Path) -> None:
    line = '{"embedding" : [1, "}"], "a": 1.0, "n": {"embedding": 2} , "embedding_error":null}\n'
    out = embed(write(tmp_path, line + '{"a": 2}\n'), dropped=("embedding", "embedding_error"))
    first = f'{{ "a": 1.0, "n": {{"embedding": 2}}, {NEW} }}'
    assert out.read_text() == f'{first}\n{{"a": 2, {NEW}}}\n'


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1", "null", "-3"], pa.int64()),
        (["1"] * 3_000 + ["2.5"], pa.float64()),
        (["null"] * 3_000 + ['"x"'], pa.string()),
        (["true", "false"], pa.bool_()),
        (["true", "1"], pa.string()),
        (["9223372036854775807"], pa.int64()),
        (["9223372036854775808"], pa.string()),
        (["9007199254740993", "0.5"], pa.string()),
        (["[1]", "[null]", "[]"], pa.list_(pa.int64())),
        (['{"x": 1}', '{"y": [true]}'], pa.struct([("x", pa.int64()), ("y", pa.list_(pa.bool_()))])),
        (["[1]", "2"], pa.string()),
        (["{}"], pa.string()),
        (["[" * 99 + "]" * 99], reduce(lambda type_, _: pa.list_(type_), range(MAX_DEPTH - 1), pa.string())),
        (["{" + ",".join(f'"{i}": 1' for i in range(MAX_FIELDS + 1)) + "}"], pa.string()),
        (["null"], pa.null()),
    ],
    ids=[
        *("integers", "late float", "late text", "booleans", "boolean and number", "long", "longer", "float and long"),
        *("lists", "objects", "list and number", "no keys", "deep", "many keys", "nulls"),
    ],
)
def test_types_are_settled_over_all_rows(tmp_path: Path, cells: list[str], expected: pa.DataType) -> None:
    type_ = types_of(tmp_path, *cells)
    assert type_ == expected


def test_what_has_no_common_type_is_text(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a": 1}\n{"a": "1"}\n\n{"a": {"é": [true]}}\n{"b": 123456789012345678901234567890}\n')
    table = pq.read_table(embed(path, ".parquet"))
    assert table["a"].to_pylist() == ["1", "1", '{"é": [true]}', None]
    assert table["b"].to_pylist() == [None] * 3 + ["123456789012345678901234567890"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}\n\n{"a": }\n', "line 3: no JSON"),
        ('{"a": 1}\n[1]\n', "line 2: an object was expected, and this is a list"),
        ("[" * 100_000, "line 1: no JSON"),
        ('{"a": "\n"}\n', "line 1: no JSON"),
        (b'{"a": 1}\n{"a": "caf\xe9"}\n', "line 2: not UTF-8"),
    ],
    ids=["broken", "list", "deep", "over two lines", "latin-1"],
)
def test_a_line_that_is_no_object_is_an_error_with_its_number(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_table(write(tmp_path, text))


def test_half_a_surrogate_pair_does_no_harm(tmp_path: Path) -> None:
    line = '{"a": "\\ud83d", "b\\udc00": "\\ud83d\\ude00"}\n'
    path = write(tmp_path, line)
    assert pq.read_table(embed(path, ".parquet")).select([0, 1]).to_pylist() == [{"a": "?", "b?": "😀"}]
    assert embed(path).read_text().startswith(line[:-2])


def test_typed_columns_become_json(tmp_path: Path) -> None:
    table = pa.table(
        {
            "n": pa.array([1, None]),
            "x": pa.array([0.5, float("nan")]),
            "yes": [True, None],
            "text": ['"é"', None],
            "when": pa.array([0, None], pa.timestamp("s", "UTC")),
            "raw": [b"\xff", None],
            "tags": [["é", None], None],
            "who": [{"age": 3}, None],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    lines = embed(tmp_path / "in.parquet").read_text().splitlines()
    first = '{"n": 1, "x": 0.5, "yes": true, "text": "\\"é\\"", "when": "1970-01-01 00:00:00+00:00", "raw": "ff", '
    assert lines[0] == first + f'"tags": ["é", null], "who": {{"age": 3}}, {NEW}}}'
    assert json.loads(lines[1]) == dict.fromkeys(table.column_names) | json.loads(f"{{{NEW}}}")


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
def test_nanoseconds_and_numbers_that_are_not_finite_become_json(ending: str, tmp_path: Path) -> None:
    stamps = pa.array([1, None], pa.timestamp("ns", "UTC"))
    nested = {
        "times": pa.array([[1], None], pa.list_(pa.time64("ns"))),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.timestamp("ns"))),
        "record": pa.StructArray.from_arrays([stamps, pa.array([float("nan"), float("inf")])], names=["at", "x"]),
    }
    flat = {"time": pa.array([1, None], pa.time64("ns")), "took": pa.array([1, None], pa.duration("ns"))}
    pq.write_table(pa.table({**flat, **nested}), tmp_path / "in.parquet")
    text = embed(tmp_path / "in.parquet", ending).read_text()
    row = json.loads(text.splitlines()[0]) if ending == ".jsonl" else next(csv.DictReader(text.splitlines()))
    assert [row[name] for name in flat] == ["00:00:00.000000001", "1"]
    assert [json.loads(row[name]) if ending == ".csv" else row[name] for name in nested] == [
        ["00:00:00.000000001"],
        [["k", "1970-01-01 00:00:00.000000001"]],
        {"at": "1970-01-01 00:00:00.000000001Z", "x": None},
    ]


def test_runs_intervals_and_unions_become_json(tmp_path: Path) -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["p"]))
    spans = pa.array([(1, 2, 3), None], pa.month_day_nano_interval())
    union = pa.UnionArray.from_sparse(pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["x", "y"])])
    table = pa.table({"run": runs, "span": spans, "union": union})
    with pa.ipc.new_file(tmp_path / "in.arrow", table.schema) as file:
        file.write_table(table)
    first, second = map(json.loads, embed(tmp_path / "in.arrow").read_text().splitlines())
    assert [(row["run"], row["span"], row["union"]) for row in (first, second)] == [
        ("p", [1, 2, 3], 1),
        ("p", None, "y"),
    ]
    assert embed(tmp_path / "in.arrow", ".csv").read_text().splitlines()[1].startswith('p,"[1, 2, 3]",')


def test_vectors_and_facts_are_json(tmp_path: Path) -> None:
    vector = np.array([1 / 3, -1e-10], np.float32)
    row = Row(vector=vector, image=ImageFacts(b"\xab" * 32, "PNG", 2, 3, 1, 77))
    read = json.loads(embed(write(tmp_path, '{"a": 1}\n'), row=row).read_text())
    np.testing.assert_array_equal(np.array(read["embedding"], np.float32), vector)
    assert read["embedding_image"]["sha256"] == "ab" * 32
    assert read["embedding_error"] is None


@settings(max_examples=50)
@given(records=records)
def test_what_python_writes_passes_through(records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    with TemporaryDirectory() as folder:
        path = write(Path(folder), text)
        lines = embed(path).read_text().splitlines()
        table = pq.read_table(embed(path, ".parquet"))
    assert [json.loads(line) for line in lines] == [record | json.loads(f"{{{NEW}}}") for record in records]
    assert table.num_rows == len(records)
    for record, row in zip(records, table.to_pylist(), strict=True):
        assert {name for name, value in record.items() if value is not None} == {
            name for name in ("a", "b", "é") if row.get(name) is not None
        }


def test_another_encoding_is_kept(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a": "café"}\n'.encode("latin-1"))
    source = open_table(path, ReadOptions(encoding="latin-1"))
    with create_table(tmp_path / "out.jsonl", source, RESULTS, ending=".jsonl") as writer:
        for chunk in source.chunks(2):
            writer.write(chunk, result_table([Row(error="timeout", detail="中")], RESULTS))
    out = (tmp_path / "out.jsonl").read_text(encoding="latin-1")
    assert out.startswith('{"a": "café", ')
    assert json.loads(out)["embedding_detail"] == "中"
