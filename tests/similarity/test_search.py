"""Words and images find the rows that are nearest, in tables of every kind, and only among vectors of one model."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, cast

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.world import describe, draw_scene, imagine

import pixvec
from pixvec.errors import PixvecWarning, UsageError
from pixvec.similarity.nearest import nearest_rows
from pixvec.testing.images import encode

N = 24


def pickle_and_back(frame: pd.DataFrame) -> pd.DataFrame:
    return cast("pd.DataFrame", pickle.loads(pickle.dumps(frame)))


def parquet_and_back(frame: pd.DataFrame) -> pd.DataFrame:
    file = io.BytesIO()
    frame.drop(columns="image").to_parquet(file)
    return pd.read_parquet(file)


@pytest.fixture(scope="module")
def images() -> list[bytes]:
    return [encode(draw_scene(imagine(1_000_000 + seed), 96)) for seed in range(N)]


@pytest.fixture(scope="module")
def table(images: list[bytes]) -> pa.Table:
    titles = [describe(imagine(1_000_000 + seed)) for seed in range(N)]
    cells = pa.table({"title": [*titles, "nothing"], "image": [*images, None]})
    return pixvec.embed_table(cells, column="image", model="demo", isolate="never").drop_columns(["image"])


@pytest.fixture(scope="module")
def forgetful(table: pa.Table) -> pa.Table:
    """The table as a tool rewrites it that keeps no metadata."""
    plain = [pa.field(field.name, field.type) for field in table.schema]
    return pa.Table.from_arrays(table.columns, schema=pa.schema(plain))


def test_a_text_finds_the_images_that_show_it(table: pa.Table) -> None:
    found = pixvec.search(table, "a house", k=2)
    assert all("house" in title for title in found["title"].to_pylist())
    assert found["similarity"].to_pylist() == sorted(found["similarity"].to_pylist(), reverse=True)


def test_an_image_finds_itself_and_rows_without_a_vector_are_near_to_nothing(
    table: pa.Table, images: list[bytes]
) -> None:
    found = pixvec.search(table, image=images[3], k=N + 5, isolate="never")
    assert found.num_rows == N
    assert found["title"][0] == table["title"][3]
    assert found["similarity"][0].as_py() == pytest.approx(1)


def test_an_image_may_be_a_file(table: pa.Table, images: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "query.jpg").write_bytes(images[5])
    found = pixvec.search(table, image=str(tmp_path / "query.jpg"), k=1, isolate="never")
    assert found["title"][0] == table["title"][5]


def test_what_is_taken_away_moves_the_query(table: pa.Table) -> None:
    house = pixvec.search(table, "a house", k=N)["title"].to_pylist()
    best = house[0]
    less = pixvec.search(table, "a house", minus=best, k=N)["title"].to_pylist()
    assert less.index(best) > 0


def test_several_texts_are_one_query(table: pa.Table) -> None:
    with pixvec.Embedder(model="demo") as embedder:
        mean = embedder.embed_query(["a house", "a boat"]).astype(np.float64).mean(axis=0)
    expected = nearest_rows(iter([_vectors(table)]), mean / np.linalg.norm(mean), 5)
    found = pixvec.search(table, ["a house", "a boat"], k=5)
    assert found["title"].to_pylist() == table["title"].take(expected.rows).to_pylist()


def test_a_data_frame_keeps_its_index_and_a_file_gives_a_table(
    table: pa.Table, forgetful: pa.Table, tmp_path: Path
) -> None:
    pq.write_table(table, tmp_path / "t.parquet")
    expected = pixvec.search(table, "a house", k=3)
    assert pixvec.search(tmp_path / "t.parquet", "a house", k=3) == expected
    frame = forgetful.to_pandas().set_index(pd.Index(range(100, 100 + N + 1)))
    with pytest.warns(PixvecWarning):
        found = pixvec.search(frame, "a house", k=3, model="demo")
    assert found["title"].tolist() == expected["title"].to_pylist()
    assert frame.loc[found.index, "title"].tolist() == found["title"].tolist()
    assert found["similarity"].tolist() == expected["similarity"].to_pylist()


@pytest.mark.filterwarnings("ignore::pixvec.PixvecWarning")
@pytest.mark.parametrize("make", [pl.from_arrow, datasets.Dataset], ids=["polars", "datasets"])
def test_other_frames_come_back_as_they_were_with_their_similarities(forgetful: pa.Table, make: Any) -> None:
    frame = make(forgetful.select(["title", "embedding"]))
    found = pixvec.search(pixvec.search(frame, "a house", k=3, model="demo"), "a house", k=2, model="demo")
    expected = pixvec.search(forgetful, "a house", k=2, model="demo")
    assert isinstance(found, type(frame))
    assert list(found["title"]) == expected["title"].to_pylist()
    assert list(found["similarity"]) == expected["similarity"].to_pylist()


@pytest.fixture(scope="module")
def frame(images: list[bytes]) -> pd.DataFrame:
    cells = pd.DataFrame({"image": images, "number": range(N)})
    table: pd.DataFrame = pixvec.embed_table(cells, column="image", model="demo", isolate="never")
    return table


@pytest.mark.parametrize(
    "change",
    [
        lambda frame: frame,
        lambda frame: frame[frame.index > 3],
        lambda frame: frame.iloc[2:].reset_index(drop=True),
        lambda frame: pd.concat([frame, frame]),
        lambda frame: pixvec.search(frame, "a boat", k=9),
        pickle_and_back,
        parquet_and_back,
    ],
    ids=["as it came", "filtered", "sliced", "doubled", "found", "pickled", "through Parquet"],
)
def test_a_data_frame_says_what_its_vectors_were_made_with(change: Any, frame: pd.DataFrame) -> None:
    assert len(pixvec.search(change(frame), "a house", k=2)) == 2


def test_what_a_data_frame_says_is_believed_only_where_it_is_ours(frame: pd.DataFrame) -> None:
    other = frame.drop(columns="image")
    for said in ("no JSON", "[]", 7, None):
        other.attrs["pixvec"] = said
        with pytest.raises(UsageError, match="model"):
            pixvec.search(other, "a house")


def test_a_data_frames_own_attributes_stay(images: list[bytes]) -> None:
    cells = pd.DataFrame({"image": images[:1]})
    cells.attrs["source"] = "a camera"
    table = pixvec.embed_table(cells, column="image", model="demo", isolate="never")
    assert (table.attrs["source"], list(cells.attrs)) == ("a camera", ["source"])
    assert pd.concat([table, table]).attrs == table.attrs


def test_vectors_of_another_model_are_refused_and_the_right_one_named(table: pa.Table, checkpoint: str) -> None:
    with pytest.raises(UsageError, match=r"of another model than .*: they need 'demo'"):
        pixvec.search(table, "a house", model=checkpoint)


def test_vectors_of_unknown_origin_are_taken_with_a_warning_and_need_a_model(forgetful: pa.Table) -> None:
    with pytest.raises(UsageError, match="`model`"):
        pixvec.search(forgetful, "a house")
    with pytest.warns(PixvecWarning, match="taken as those of demo"):
        assert pixvec.search(forgetful, "a house", k=1, model="demo").num_rows == 1


def test_vectors_of_another_length_are_refused() -> None:
    table = pa.table({"v": pa.array([[1.0, 2.0]])})
    with pytest.warns(PixvecWarning), pytest.raises(UsageError, match="'v' have 2 numbers, and the model's 128"):
        pixvec.search(table, "a house", model="demo")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to search for"),
        ({"text": "a house", "k": 0}, "k=0: expected a whole number, at least 1"),
        ({"text": "a house", "minus": "a house"}, "cancels itself out"),
        ({"image": "http://127.0.0.1:9/a.jpg"}, "http://127.0.0.1:9/a.jpg' has no vector: address_blocked"),
        ({"image": "no-such-file.jpg"}, "no-such-file.jpg' has no vector: invalid_url"),
        ({"image": b"junk"}, "bytes has no vector: not_an_image"),
        ({"text": "a house", "vectors": "title"}, "'title' holds no vectors"),
        ({"text": "a house", "colour": 1}, "no option 'colour'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_searched_for_is_said(table: pa.Table, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pixvec.search(table, **arguments)


def test_equally_near_rows_come_by_their_numbers() -> None:
    vectors = np.tile(np.array([0.3, 0.7, -0.2], np.float32), (10_000, 1))
    found = nearest_rows(iter([vectors[:4_097], vectors[4_097:]]), np.array([0.0, 1.0, 0.0]), 5)
    assert found.rows.tolist() == [0, 1, 2, 3, 4]


def test_zero_vectors_have_no_direction() -> None:
    vectors = np.array([[0, 0], [np.nan, 1], [np.inf, 1], [0, 2]], np.float32)
    assert nearest_rows(iter([vectors]), np.array([0.0, 1.0]), 5).rows.tolist() == [3]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_the_nearest_of_all_chunks_are_the_nearest(n: int, k: int, chunk: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).integers(-2, 3, (n, 3)).astype(np.float32)
    direction = np.array([0.6, 0.8, 0.0])
    found = nearest_rows((vectors[start : start + chunk] for start in range(0, n, chunk)), direction, k)
    lengths = np.linalg.norm(vectors, axis=1)
    cosines = {row: np.float32(vectors[row] @ direction / lengths[row]) for row in np.flatnonzero(lengths)}
    np.testing.assert_allclose(found.similarities, sorted(cosines.values(), reverse=True)[:k], atol=1e-6)
    assert len(set(found.rows.tolist())) == len(found.rows) == min(k, len(cosines))


def _vectors(table: pa.Table) -> np.ndarray[Any, np.dtype[np.float32]]:
    rows = table["embedding"].to_pylist()
    return np.array([row or [np.nan] * 128 for row in rows], np.float32)
