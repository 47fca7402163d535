from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pixvec.errors import UsageError
from pixvec.result_columns import ResultOptions, result_schema, result_table
from pixvec.table import find_url_column, open_frame
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


@pytest.mark.parametrize("make", [pd.DataFrame, pa.table], ids=["pandas", "pyarrow"])
def test_dropped_columns_make_room_for_new_ones(make: type) -> None:
    frame = open_frame(make({"embedding": [1, 2], "url": URLS}))
    out = frame.with_results(RESULTS, dropped=["embedding"])
    assert list(out.columns if isinstance(out, pd.DataFrame) else out.column_names) == [  # type: ignore[attr-defined]
        "url",
        *RESULTS.column_names,
    ]


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


def test_a_pyarrow_column_comes_as_a_list() -> None:
    assert open_frame(pa.table({"url": pa.array(URLS).dictionary_encode()})).column("url") == URLS


def test_anything_else_is_no_table() -> None:
    with pytest.raises(UsageError, match="not dict"):
        open_frame({"url": URLS})
