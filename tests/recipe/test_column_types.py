"""The types of columns, as recipes name them, found from Arrow's types and from cells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from pixvec.recipe.column_types import column_types
from pixvec.recipe.dataset import Dataset, open_in_memory
from pixvec.tables import Chunk, open_frame

URL, NO_URL = "https://a.example/b.jpg", "no URL"
VECTORS = [np.ones(2, np.float32), None]


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        (pa.array([True]), "boolean"),
        (pa.array([1]), "number"),
        (pa.array([1.5]), "number"),
        (pa.array([dt.date(2020, 1, 1)]), "date"),
        (pa.array(["a", "b"]), "text"),
        (pa.array([URL, URL, URL]).dictionary_encode(), "url"),
        (pa.array(["cat", "cat", "dog", "dog"]), "category"),
        (pa.array([[1.0]], pa.list_(pa.float32(), 1)), "list[number]"),
        (pa.array([[1]]), "list[number]"),
        (pa.array([["a"]]), "list[text]"),
        (pa.array([None, "[1, 2.5, -3e-8]", ""]), "list[number]"),
        (pa.array(["[1, 2", "[a]"]), "text"),
        (pa.array(["[" * 100_000, "b"]), "text"),
        (pa.array([{"a": 1}]), "struct"),
        (pa.array([b"a"]), "binary"),
        (pa.array([None, ""]), None),
        (pa.array([None]), None),
        (pa.array([[]]), None),
    ],
    ids=str,
)
def test_a_column_of_arrow(cells: pa.Array, type_: str | None) -> None:
    assert column_types(open_in_memory(pa.table({"a": cells})), ["a"]) == {"a": type_}


@pytest.mark.parametrize(
    ("cells", "type_"),
    [
        ([True, None], "boolean"),
        ([1, 2], "number"),
        ([1.5, None], "number"),
        (pd.to_datetime(["2020-01-01"]), "date"),
        (["a", None, "b"], "text"),
        (pd.Categorical(["a", "a", "b", "b"]), "category"),
        ([URL, float("nan")], "url"),
        (VECTORS, "list[number]"),
        ([[1.5, 2.0]], "list[number]"),
        ([b"a", "a"], "binary"),
        ([object()], None),
        ([None], None),
    ],
    ids=lambda case: str(case).partition(" at ")[0],
)
def test_a_column_of_pandas(cells: Any, type_: str | None) -> None:
    assert column_types(open_in_memory(pd.DataFrame({"a": cells})), ["a"]) == {"a": type_}


@pytest.mark.parametrize(("n_urls", "type_"), [(8, "url"), (7, "category")])
def test_four_in_five_of_the_cells_that_are_not_empty_make_a_column_of_urls(n_urls: int, type_: str) -> None:
    cells = [URL] * n_urls + [NO_URL] * (10 - n_urls) + [None, ""] * 10
    assert column_types(open_in_memory(pa.table({"a": cells})), ["a"]) == {"a": type_}


def test_all_cells_count_where_the_recipe_names_the_column() -> None:
    cells = [URL] * 1_000 + [NO_URL] * 1_000
    dataset = open_in_memory(pa.table({"named": cells, "other": cells}))
    assert column_types(dataset, {"named"}) == {"named": "category", "other": "url"}


def test_columns_are_suggested_in_the_order_of_the_table() -> None:
    dataset = open_in_memory(pa.table({"a": [1], "b": ["x"], "c": [2.5]}))
    assert list(column_types(dataset, {"c"})) == ["a", "b", "c"]


class Counted:
    """A table that counts how often it is read."""

    def __init__(self, table: pa.Table) -> None:
        self._table = open_frame(table)
        self.schema = table.schema
        self.n_rows = table.num_rows
        self.n_readings = 0

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        self.n_readings += 1
        return self._table.chunks(n_rows, columns=columns)


def test_a_table_is_read_twice_however_many_columns_it_has() -> None:
    table = Counted(pa.table({f"c{number}": ["a", "b"] * 600 for number in range(50)}))
    types = column_types(Dataset(table), ["c7", "c9"])
    assert set(types.values()) == {"category"}
    assert len(types) == 50
    assert table.n_readings == 2
