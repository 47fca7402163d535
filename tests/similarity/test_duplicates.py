"""Rows that show the same image are one group, however many they are, and the best of each is marked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import pixvec
from pixvec.errors import UsageError
from pixvec.similarity.duplicates import join, strong_links
from pixvec.values import Vectors

DIM = 32


def directions(n: int, *, seed: int = 0) -> Vectors:
    vectors = np.random.default_rng(seed).normal(size=(n, DIM))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def table_of(vectors: Vectors, images: Sequence[dict[str, Any] | None] | None = None) -> pa.Table:
    rows = [None if np.isnan(vector).any() else vector for vector in vectors]
    table = pa.table({"embedding": pa.array(rows, pa.list_(pa.float32(), vectors.shape[1]))})
    return table if images is None else table.append_column("embedding_image", pa.array(images))


def groups(table: object, **options: Any) -> list[int | None]:
    found: list[int | None] = pixvec.dedupe(table, **options)["duplicate_group"].to_pylist()
    return found


def test_near_rows_are_a_group_and_the_others_are_none() -> None:
    a, b, c = directions(3)
    table = table_of(np.stack([a, b, a + 0.01 * b, c, a]))
    found = pixvec.dedupe(table)
    assert found["duplicate_group"].to_pylist() == [0, None, 0, None, 0]
    assert found["duplicate_best"].to_pylist() == [True, True, False, True, False]
    assert found.column_names == ["embedding", "duplicate_group", "duplicate_best"]


def test_a_chain_of_strong_links_is_one_group() -> None:
    angles = np.radians([0, 10, 20, 30, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    assert groups(table_of(vectors), threshold=float(np.cos(np.radians(11)))) == [0, 0, 0, 0, None]


def test_rows_without_a_vector_and_zero_vectors_are_nobodys_duplicate() -> None:
    vectors = np.stack([np.full(DIM, np.nan, np.float32)] * 2 + [np.zeros(DIM, np.float32)] * 2)
    found = pixvec.dedupe(table_of(vectors))
    assert found["duplicate_group"].to_pylist() == [None] * 4
    assert found["duplicate_best"].to_pylist() == [True] * 4


@pytest.mark.parametrize("n_rows", [0, 1])
def test_a_table_of_hardly_any_rows_has_no_groups(n_rows: int) -> None:
    assert groups(table_of(directions(n_rows))) == [None] * n_rows


def test_a_thousand_equal_rows_are_one_group() -> None:
    vectors = directions(1_100)
    vectors[50:1_050] = vectors[7]
    assert groups(table_of(vectors)).count(7) == 1_001


def test_a_dense_group_is_not_cut_by_the_number_of_neighbours() -> None:
    """Two crowds, each with more members than a row's nearest, hang together by weaker links than those inside."""
    a, b = directions(2)
    noise = np.random.default_rng(1).normal(size=(120, DIM)).astype(np.float32) * 1e-4
    vectors = np.concatenate([a + noise[:60], a + 0.15 * b + noise[60:], directions(40, seed=2)])
    assert groups(table_of(vectors)) == [0] * 120 + [None] * 40


def test_equal_files_are_the_same_image_whatever_their_vectors() -> None:
    images = [{"sha256": name, "width": 9, "height": 9, "n_bytes": 9} for name in (b"x", b"y", b"x")]
    assert groups(table_of(directions(3), images)) == [0, None, 0]


@pytest.mark.parametrize(
    ("sizes", "best"),
    [
        ([(10, 10, 900), (20, 20, 100), (20, 19, 999)], 1),
        ([(10, 10, 900), (10, 10, 901), (10, 10, 899)], 1),
        ([(10, 10, 900), (10, 10, 900), (10, 10, 900)], 0),
        ([None, (1, 1, 1), (1, 1, 1)], 1),
    ],
    ids=["pixels", "bytes", "rows", "unknown is worst"],
)
def test_the_best_has_most_pixels_then_bytes_then_the_lowest_row(sizes: list[Any], best: int) -> None:
    images = [
        size and {"sha256": bytes([row]), "width": size[0], "height": size[1], "n_bytes": size[2]}
        for row, size in enumerate(sizes)
    ]
    found = pixvec.dedupe(table_of(directions(1).repeat(3, axis=0), images))
    assert found["duplicate_best"].to_pylist() == [row == best for row in range(3)]


def test_a_csv_file_says_in_json_what_images_were_embedded(tmp_path: Path) -> None:
    images = ['{"sha256": "aa", "width": 9, "height": 9, "n_bytes": 1}', "", "oops", '{"width": "x"}', "[1]"]
    cells = [f'"[1.0,0.{row}]","{image.replace(chr(34), chr(34) * 2)}"' for row, image in enumerate(["", *images])]
    (tmp_path / "t.csv").write_text("\n".join(["v,v_image", *cells]), encoding="utf-8")
    with_junk = pixvec.dedupe(tmp_path / "t.csv", threshold=0.5)["duplicate_best"].to_pylist()
    (tmp_path / "t.csv").write_text("\n".join(["v,v_image", *cells[:3]]), encoding="utf-8")
    without = pixvec.dedupe(tmp_path / "t.csv", threshold=0.5)["duplicate_best"].to_pylist()
    assert (without, with_junk) == ([False, True, False], [True, *[False] * 5])


def test_facts_that_are_no_numbers_decide_nothing() -> None:
    images = [{"sha256": None, "width": "wide", "height": "high", "n_bytes": "many"}] * 2
    assert pixvec.dedupe(table_of(directions(1).repeat(2, axis=0), images))["duplicate_best"].to_pylist() == [
        True,
        False,
    ]


def test_frames_come_back_as_they_were_and_files_as_tables(tmp_path: Path) -> None:
    table = table_of(np.stack([*directions(2), directions(1)[0]]))
    pq.write_table(table, tmp_path / "t.parquet")
    frame = pd.DataFrame({"v": list(np.stack([*directions(2), directions(1)[0]]))}, index=["a", "b", "c"])
    expected = pixvec.dedupe(table)
    found = pixvec.dedupe(frame)
    assert pixvec.dedupe(tmp_path / "t.parquet") == expected
    assert found.index.tolist() == ["a", "b", "c"]
    assert found["duplicate_best"].tolist() == expected["duplicate_best"].to_pylist()
    assert found[~found["duplicate_best"]].index.tolist() == ["c"]


def test_columns_that_exist_are_replaced_only_when_asked() -> None:
    table = pixvec.dedupe(table_of(directions(3)))
    with pytest.raises(UsageError, match=r"already has 'duplicate_group', 'duplicate_best'.*`replace_column=True`"):
        pixvec.dedupe(table)
    assert pixvec.dedupe(table, replace_column=True) == table


@pytest.mark.parametrize("threshold", [1.5, float("nan"), -2])
def test_a_threshold_that_is_no_cosine_is_refused(threshold: float) -> None:
    with pytest.raises(UsageError, match="threshold="):
        pixvec.dedupe(table_of(directions(2)), threshold=threshold)


@given(st.integers(1, 60), st.lists(st.tuples(st.integers(0, 59), st.integers(0, 59)), max_size=80))
def test_joined_rows_are_connected_components(n: int, pairs: list[tuple[int, int]]) -> None:
    edges = [(left % n, right % n) for left, right in pairs]
    graph = nx.Graph(edges)
    graph.add_nodes_from(range(n))
    expected = {row: min(component) for component in nx.connected_components(graph) for row in component}
    left, right = np.array(edges, np.int64).reshape(-1, 2).T
    assert join(np.arange(n), (left, right)).tolist() == [expected[row] for row in range(n)]


def test_strong_links_connect_what_all_pairs_connect() -> None:
    centers = directions(6)
    noise = np.random.default_rng(3).normal(size=(300, DIM)) * 0.04
    vectors = np.asarray(centers[np.arange(300) % 6] + noise, np.float32)
    assert _components(*strong_links(vectors, 0.95)[0]) == _components(*_all_pairs(vectors, 0.95))


def _all_pairs(vectors: Vectors, threshold: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    left, right = np.nonzero(np.triu(units @ units.T >= threshold, 1))
    return left, right


def _components(left: NDArray[np.int64], right: NDArray[np.int64]) -> set[frozenset[int]]:
    graph = nx.Graph(zip(left.tolist(), right.tolist(), strict=True))
    return {frozenset(component) for component in nx.connected_components(graph)}
