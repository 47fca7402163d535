from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pixvec.columns import open_column
from pixvec.errors import UsageError

VECTORS = np.array([[1, 0], [np.nan, np.nan]], np.float32)
FAILED = np.array([False, True])


@pytest.mark.parametrize(
    "images",
    [
        ["https://a.example/1.jpg", None],
        ["https://a.example/1.jpg", float("nan")],
        np.array(["https://a.example/1.jpg", None], object),
        pd.Series(["https://a.example/1.jpg", pd.NA], dtype="string"),
        pd.Series(["https://a.example/1.jpg", pd.NaT], dtype=object),
        pd.Series(["https://a.example/1.jpg", None], dtype="category"),
    ],
    ids=["list", "list with NaN", "array", "series of strings", "series with NaT", "category"],
)
def test_every_family_gives_its_cells_with_one_null(images: object) -> None:
    assert open_column(images).cells == ["https://a.example/1.jpg", None]


def test_cells_of_any_kind_are_passed_on() -> None:
    cells = [b"\xff\xd8", 7, ["a"], "", Path("a.jpg")]
    assert open_column(cells).cells == cells


def test_an_array_of_text_is_a_column() -> None:
    assert open_column(np.array(["a", "b"])).cells == ["a", "b"]


def test_a_list_gives_a_list() -> None:
    vectors = open_column(["a", "b"]).wrap(VECTORS, FAILED)
    assert isinstance(vectors, list)
    np.testing.assert_array_equal(vectors[0], VECTORS[0])
    assert vectors[1] is None


def test_an_array_gives_an_array() -> None:
    assert open_column(np.array(["a", "b"])).wrap(VECTORS, FAILED) is VECTORS


def test_a_series_gives_a_series_with_its_index_and_name() -> None:
    series = open_column(pd.Series(["a", "b"], index=[5, 5], name="url")).wrap(VECTORS, FAILED)
    assert isinstance(series, pd.Series)
    assert (series.name, series.dtype, list(series.index)) == ("url", object, [5, 5])
    np.testing.assert_array_equal(series.iloc[0], VECTORS[0])
    assert series.iloc[1] is None


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("https://a.example/1.jpg", "put it in a list"),
        (b"\xff\xd8", "put it in a list"),
        (Path("a.jpg"), "put it in a list"),
        ({"a": 1}, "not dict"),
        (pd.DataFrame({"a": ["b"]}), "embed_table"),
        (pa.table({"a": ["b"]}), "embed_table"),
        (np.array([["a"]]), "this one is 2-D"),
        (np.array([1.5]), "float64"),
    ],
    ids=["text", "bytes", "path", "dict", "DataFrame", "Table", "2-D", "numbers"],
)
def test_what_is_no_column_is_refused_with_what_to_do(images: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_column(images)
