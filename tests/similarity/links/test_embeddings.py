"""Columns of vectors in, columns of links out."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import pixvec
from pixvec.errors import UsageError
from pixvec.similarity.links import LinkOptions
from pixvec.similarity.links.embeddings import link_embeddings

CELLS = [[1.0, 0.0], None, [2.0, 2.0], [0.0, 0.0], [0.0, 1.0]]
TARGETS = [[2, 4], None, [0, 4], [], [2, 0]]
ARRAY = np.array([[np.nan] * 2 if cell is None else cell for cell in CELLS])
ARRAYS = [None if cell is None else np.array(cell, np.float32) for cell in CELLS]


def object_array(cells: list[Any]) -> np.ndarray[Any, Any]:
    return np.fromiter(cells, object, len(cells))


@pytest.mark.parametrize(
    "embeddings",
    [
        CELLS,
        ARRAYS,
        [CELLS[0], float("nan"), (2, 2), np.zeros(2, np.int8), [0, 1]],
        ARRAY,
        ARRAY.astype(np.float16),
        np.asfortranarray(ARRAY, dtype=np.float32),
        object_array(ARRAYS),
        pd.Series(ARRAYS, index=[3, 3, 1, 0, 9]),
        pd.Series(CELLS, dtype=pd.ArrowDtype(pa.list_(pa.float32()))),
        pa.array(CELLS, pa.list_(pa.float32(), 2)),
        pa.array(CELLS, pa.list_(pa.float64())),
        pa.array(CELLS, pa.large_list(pa.float16())),
        pa.array([[9.0, 9.0], *CELLS], pa.list_(pa.float32(), 2))[1:],
        pa.chunked_array(
            [pa.array(CELLS[:2], pa.list_(pa.float32(), 2)), pa.array(CELLS[2:], pa.list_(pa.float32(), 2))]
        ),
    ],
    ids=[
        *("lists", "arrays", "cells of all kinds", "array", "float16", "Fortran order", "object array"),
        *("Series", "Series of Arrow lists", "fixed-size lists", "Arrow lists", "large lists", "slice", "chunks"),
    ],
)
def test_every_family_is_linked(embeddings: object) -> None:
    targets, weights = link_embeddings(embeddings)
    assert [None if cell is None else [int(target) for target in cell] for cell in _listed(targets)] == TARGETS
    assert _listed(weights)[1] is None
    np.testing.assert_allclose(_listed(weights)[0], np.array([0.5**0.5, 0]), rtol=1e-6)


def _listed(column: Any) -> list[Any]:
    return column.to_pylist() if isinstance(column, pa.ListArray) else list(column)


def test_a_list_gives_lists_of_numbers() -> None:
    assert link_embeddings(CELLS).targets == TARGETS


def test_an_array_gives_arrays_even_where_all_are_of_one_length() -> None:
    targets, weights = link_embeddings(np.ones((3, 2)))
    assert (targets.shape, targets.dtype, targets[0].dtype, weights[0].dtype) == ((3,), object, np.int64, np.float32)


def test_a_series_gives_series_with_its_index() -> None:
    targets, weights = link_embeddings(pd.Series(ARRAYS, index=[3, 3, 1, 0, 9]))
    assert [*targets.index] == [*weights.index] == [3, 3, 1, 0, 9]
    assert (targets.name, weights.name) == ("targets", "weights")


def test_options_are_keywords() -> None:
    assert list(inspect.signature(link_embeddings).parameters) == ["embeddings", *(f.name for f in fields(LinkOptions))]
    assert link_embeddings(CELLS, n_nearest=1, similarity_min=0.5).targets == [[2], None, [0], [], [2]]
    assert link_embeddings(CELLS).recall is None


def test_it_is_found_in_the_package() -> None:
    assert pixvec.link_embeddings is link_embeddings


@pytest.mark.parametrize(
    "embeddings",
    [[], [None, None], [[], []], np.empty((0, 3)), pa.array([None], pa.list_(pa.float32())), pa.nulls(2)],
)
def test_a_column_without_vectors_has_no_links(embeddings: Any) -> None:
    assert _listed(link_embeddings(embeddings).targets) == [None] * len(embeddings)


@pytest.mark.parametrize("cells", [[[], [1.0, 0.0], [1.0, 0.0]], pa.array([[], [1.0, 0.0], [1.0, 0.0]])])
def test_an_empty_list_is_no_vector(cells: Any) -> None:
    assert _listed(link_embeddings(cells).targets) == [None, [2], [1]]


def test_what_float32_cannot_hold_is_no_vector() -> None:
    assert link_embeddings([[1e300, 1.0], [1.0, 1.0], [1.0, 2.0]]).targets == [None, [2], [1]]


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        ("abc", "not str"),
        (pd.DataFrame({"a": [1]}), "not DataFrame"),
        ([[1, 2], [1, 2, 3]], r"row 1 \(counted from 0\) of embeddings has 3 numbers, others 2"),
        ([[1, 2], "abc"], r"row 1 \(counted from 0\) of embeddings is no vector"),
        ([[1, 2], [[1, 2]]], r"row 1 \(counted from 0\) of embeddings is no vector"),
        ([3.5], r"row 0 \(counted from 0\) of embeddings is no vector"),
        ([[1, "a"]], r"row 0 \(counted from 0\) of embeddings is no vector"),
        ([["1", "2"]], r"row 0 \(counted from 0\) of embeddings is no vector of numbers but list, 1-D and <U1"),
        ([[1j, 2.0]], "no vector of numbers but list, 1-D and complex128"),
        (np.ones(3), "1-D and float64"),
        (np.array([["a"]]), "2-D and <U1"),
        (pa.array([1.0]), "this one is double"),
        (pa.array([["a"]]), "this one is list"),
        (pa.array([[1.0], [1.0, 2.0]]), "some have 1 numbers, some 2"),
    ],
)
def test_what_is_no_column_of_vectors_is_refused(embeddings: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        link_embeddings(embeddings)
