from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pixvec.errors import UsageError
from pixvec.tables import find_url_column, open_frame
from pixvec.tables.result_columns import ResultOptions, result_schema, result_table
from pixvec.values import ImageFacts, Row

RESULTS = result_table(
    [
        Row(vector=np.array([1, 0], np.float32), image=ImageFacts(b"\x01" * 32, "GIF", 1, 2, 3, 4)),
        Row(error="timeout", detail="too slow"),
    ],
    result_schema(2, ResultOptions(), provenance={"model": "demo"}),
)
URLS = ["https://a.example/1.jpg", None]


def looks_like_url(cell: str) -> bool:
    return cell.startswith("https://")


def test_a_pandas_frame_gets_objects_and_keeps_its_index() -> None:
    frame = pd.DataFrame({"url": URLS, "n": [1, 2]}, index=[7, 7])
    out = open_frame(frame).with_results(RESULTS)
    assert isinstance(out, pd.DataFrame)
    pd.testing.assert_frame_equal(out[["url", "n"]], frame)
    assert out["embedding"].iloc[0].dtype == np.float32
    assert out["embedding_image"].iloc[0]["format"] == "GIF"
    assert out.iloc[1, 2:].tolist() == [None, "timeout", "too slow", None]
    assert out["embedding_error"].iloc[0] is None
    assert list(frame.columns) == ["url", "n"]


def test_a_pyarrow_table_gets_the_arrow_columns() -> None:
    table = pa.table({"url": URLS}).replace_schema_metadata({"made by": "someone"})
    out = open_frame(table).with_results(RESULTS)
    assert isinstance(out, pa.Table)
    assert out.select(["url"]).equals(table, check_metadata=True)
    assert out.select(RESULTS.column_names).equals(RESULTS)
    assert out.schema.field("embedding").metadata == RESULTS.schema.field("embedding").metadata


@pytest.mark.parametrize(
    "make",
    [pd.DataFrame, pa.table, pl.DataFrame, datasets.Dataset.from_dict],
    ids=["pandas", "pyarrow", "polars", "datasets"],
)
def test_dropped_columns_make_room_for_new_ones(make: Callable[[object], object]) -> None:
    frame = open_frame(make({"embedding": [1, 2], "url": URLS}))
    out: Any = frame.with_results(RESULTS, dropped=["embedding"])
    assert list(out.columns if hasattr(out, "columns") and make is not pa.table else out.column_names) == [
        "url",
        *RESULTS.column_names,
    ]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"n": [1, 2], "where": URLS}),
        pl.DataFrame({"n": [None, None], "where": pl.Series(URLS, dtype=pl.Categorical)}),
        datasets.Dataset.from_dict({"n": [1, 2], "where": URLS}),
    ],
    ids=["polars", "polars categories", "datasets"],
)
def test_the_column_of_urls_is_found(frame: object) -> None:
    assert find_url_column(open_frame(frame), looks_like_url=looks_like_url) == "where"


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_the_column_of_urls_is_found_in_a_pandas_frame(dtype: object) -> None:
    frame = pd.DataFrame({"n": [1, 2], "mixed": [b"x", "\udc80"], "where": pd.Series(URLS, dtype=dtype), "t": pd.NaT})
    assert find_url_column(open_frame(frame), looks_like_url=looks_like_url) == "where"


def test_columns_go_by_name_whatever_their_labels_are() -> None:
    frame = open_frame(pd.DataFrame({0: ["x", "y"], 1: URLS}))
    assert frame.schema.names == ["0", "1"]
    column = frame.column("1")
    assert isinstance(column, pd.Series)
    assert column.iloc[0] == URLS[0]


def test_a_polars_frame_gets_an_array_and_keeps_its_columns() -> None:
    frame = pl.DataFrame({"url": URLS, "o": pl.Series([{1}, 2], dtype=pl.Object), "n": [1, 2]})
    out = open_frame(frame).with_results(RESULTS)
    assert isinstance(out, pl.DataFrame)
    assert out.schema["embedding"] == pl.Array(pl.Float32, 2)
    assert out["embedding"].to_list() == [[1.0, 0.0], None]
    assert out["embedding_error"].to_list() == [None, "timeout"]
    assert out["embedding_image"].struct.field("format").to_list() == ["GIF", None]
    assert out["o"].to_list() == [{1}, 2]


def test_a_dataset_gets_lists_and_keeps_its_features() -> None:
    features = datasets.Features({"url": datasets.Value("string"), "kind": datasets.ClassLabel(names=["a", "b"])})
    dataset = datasets.Dataset.from_dict({"url": URLS, "kind": [1, 0]}, features=features).select([1, 0])
    out = open_frame(dataset).with_results(RESULTS)
    assert isinstance(out, datasets.Dataset)
    assert out.features["kind"] == features["kind"]
    assert [out[0]["url"], out[0]["kind"], out[0]["embedding"]] == [None, 0, [1.0, 0.0]]
    assert out[1]["embedding_error"] == "timeout"


def test_a_dataset_without_rows_gets_the_columns() -> None:
    features = datasets.Features({"url": datasets.Value("string"), "kind": datasets.ClassLabel(names=["a", "b"])})
    dataset = datasets.Dataset.from_dict({"url": [], "kind": []}, features=features)
    out: Any = open_frame(dataset).with_results(RESULTS.slice(0, 0))
    assert out.column_names == ["url", "kind", *RESULTS.column_names]
    assert out.features["kind"] == features["kind"]
    assert out.num_rows == 0


def test_whatever_gives_a_stream_of_rows_becomes_an_arrow_table() -> None:
    class Rows:
        def __arrow_c_stream__(self, schema: object = None) -> object:
            return pa.table({"url": URLS}).__arrow_c_stream__(schema)

    out = open_frame(Rows()).with_results(RESULTS)
    assert isinstance(out, pa.Table)
    assert out.column_names == ["url", *RESULTS.column_names]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"url": URLS}, "not dict"),
        (pa.chunked_array([URLS]), "not ChunkedArray"),
        (pd.Series(URLS), "not Series"),
        (pl.DataFrame({"url": URLS}).lazy(), "not LazyFrame; collect it first"),
        (Path("photos.csv"), "not .*Path; files are for embed_file"),
        (datasets.DatasetDict(), "not DatasetDict; choose one of its splits"),
    ],
    ids=["dict", "pyarrow column", "pandas column", "lazy frame", "path", "splits"],
)
def test_anything_else_is_no_table(table: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_frame(table)
