from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.errors import UsageError
from pixvec.tables.result_columns import (
    ResultOptions,
    read_provenance,
    read_vectors,
    replaced_columns,
    result_schema,
    result_table,
)
from pixvec.values import ImageFacts, Row

IMAGE = ImageFacts(b"\x07" * 32, "JPEG", width=640, height=480, frames=1, n_bytes=9_999, final_url="https://b.example/")
ROWS = [
    Row(vector=np.array([0.6, -0.8], np.float32), image=IMAGE),
    Row(error="http_404", detail="the server says that there is no such page"),
    Row(error="corrupt_image", detail="the file ends early"),
]


def make_results(rows: list[Row], options: ResultOptions | None = None) -> pa.Table:
    return result_table(rows, result_schema(2, options or ResultOptions(), provenance={"model": "demo"}))


def test_rows_become_four_columns() -> None:
    first, second, _ = make_results(ROWS).to_pylist()
    assert first["embedding"] == pytest.approx([0.6, -0.8])
    assert first["embedding_image"]["sha256"] == b"\x07" * 32
    assert first["embedding_error"] is first["embedding_detail"] is None
    assert second["embedding"] is second["embedding_image"] is None
    assert second["embedding_error"] == "http_404"


def test_columns_are_named_after_the_vector() -> None:
    options = ResultOptions(output_column="v", image_info=False)
    assert make_results(ROWS, options).column_names == ["v", "v_error", "v_detail"]


@pytest.mark.parametrize("rows", [ROWS, ROWS[1:], []], ids=["mixed", "all failed", "no rows"])
def test_parquet_keeps_results_and_provenance(rows: list[Row]) -> None:
    file = io.BytesIO()
    results = make_results(rows)
    pq.write_table(results, file)
    read = pq.ParquetFile(file).read()
    assert read.equals(results)
    assert read_provenance(read.schema, "embedding") == {"model": "demo"}


def test_a_column_without_provenance_has_none() -> None:
    assert read_provenance(pa.schema([("v", pa.list_(pa.float32(), 2))]), "v") is None


def test_vectors_are_read_back_with_nan_where_null() -> None:
    column = pa.chunked_array([make_results(ROWS).column("embedding").chunk(0).slice(0, 2)] * 2)
    expected = np.array([[0.6, -0.8], [np.nan, np.nan]] * 2, np.float32)
    np.testing.assert_array_equal(expected, read_vectors(column))


def test_an_existing_result_column_is_an_error_that_names_both_ways_out() -> None:
    with pytest.raises(UsageError, match=r"'v_error'.*`output_column`.*`replace_column=True`"):
        replaced_columns(["url", "v_error"], ResultOptions(output_column="v"))


def test_existing_result_columns_are_named_for_replacement() -> None:
    options = ResultOptions(output_column="v", replace_column=True)
    assert replaced_columns(["v_image", "url", "v"], options) == ["v_image", "v"]
