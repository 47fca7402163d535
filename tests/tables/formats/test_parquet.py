from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.errors import UsageError
from pixvec.tables import create_table, open_table
from pixvec.tables.formats.row_groups import ROW_GROUP_ROWS
from pixvec.tables.result_columns import ResultOptions, read_provenance, result_schema, result_table
from pixvec.values import Row

RESULTS = result_schema(2, ResultOptions(), provenance={"model": "demo"})
ROW = Row(vector=np.array([1, 0], np.float32))


def embed(source: Path, target: Path, n_rows: int) -> None:
    """Pass a table through, each of its rows getting the same vector."""
    table = open_table(source)
    with create_table(target, table, RESULTS, ending=".parquet") as writer:
        for chunk in table.chunks(n_rows):
            writer.write(chunk, result_table([ROW] * chunk.table.num_rows, RESULTS))


@given(
    numbers=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=20),
    texts=st.lists(st.none() | st.text(st.characters(codec="utf-8")), max_size=20),
    n_rows=st.integers(1, 7),
)
def test_values_pass_through_in_order(numbers: list[int | None], texts: list[str | None], n_rows: int) -> None:
    n = min(len(numbers), len(texts))
    table = pa.table({"n": pa.array(numbers[:n], pa.int64()), "t": pa.array(texts[:n], pa.string())})
    with TemporaryDirectory() as folder:
        source, target = Path(folder) / "in.parquet", Path(folder) / "out.parquet"
        pq.write_table(table, source, row_group_size=3)
        embed(source, target, n_rows)
        assert pq.ParquetFile(target).read().select(["n", "t"]).equals(table)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(["a", "b", "a"]).dictionary_encode(),
        pa.array(["a", None, "c"], pa.large_string()),
        pa.array([[1, None], [], None], pa.list_(pa.int16())),
        pa.array([{"x": 1, "y": [b"z"]}, None, {"x": None, "y": None}]),
        pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        pa.array([1, 2, None], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([1, 2, None], pa.duration("us")),
        pa.array([None, None, None]),
    ],
    ids=lambda column: str(column.type).replace(" ", "")[:20],
)
def test_types_pass_through(tmp_path: Path, column: pa.Array) -> None:
    table = pa.table({"column": column})
    pq.write_table(table, tmp_path / "in.parquet")
    embed(tmp_path / "in.parquet", tmp_path / "out.parquet", n_rows=2)
    read = pq.read_table(tmp_path / "out.parquet")
    assert read.select([0]).equals(table)
    assert read_provenance(read.schema, "embedding") == {"model": "demo"}


def test_pandas_finds_its_index_and_categories_again(tmp_path: Path) -> None:
    kind = pd.Categorical(["x", "y", "x"], categories=["y", "x", "z"], ordered=True)
    frame = pd.DataFrame({"url": ["a", "b", "c"], "kind": kind}, index=pd.Index([5, 5, 7], name="key"))
    frame.to_parquet(tmp_path / "in.parquet")
    embed(tmp_path / "in.parquet", tmp_path / "out.parquet", n_rows=2)
    read = pd.read_parquet(tmp_path / "out.parquet")
    pd.testing.assert_frame_equal(read[["url", "kind"]], frame)


def test_small_chunks_become_row_groups_of_a_useful_size(tmp_path: Path) -> None:
    n = ROW_GROUP_ROWS + 1_000
    pq.write_table(pa.table({"n": range(n)}), tmp_path / "in.parquet", row_group_size=500)
    embed(tmp_path / "in.parquet", tmp_path / "out.parquet", n_rows=512)
    metadata = pq.ParquetFile(tmp_path / "out.parquet").metadata
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [ROW_GROUP_ROWS, 1_000]


def test_a_csv_file_becomes_text_columns(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("id,url\n00123,\n")
    embed(tmp_path / "in.csv", tmp_path / "out.parquet", n_rows=2)
    read = pq.read_table(tmp_path / "out.parquet").select(["id", "url"])
    assert read.equals(pa.table({"id": ["00123"], "url": [""]}))


def test_a_damaged_page_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"n": range(9_999)}), path)
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"in\.parquet cannot be read as Parquet"):
        list(open_table(path).chunks(10))
