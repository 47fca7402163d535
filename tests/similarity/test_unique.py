"""`unique=True` finds each image once, by its first row, and counts its copies, however the table is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tools.world import draw_scene, imagine

import pixvec
from pixvec.similarity.nearest import HashOf, nearest_images
from pixvec.testing.images import encode
from pixvec.values import Vectors

SCENES = [draw_scene(imagine(1_000_000 + seed), 64) for seed in range(3)]
JPEGS = [encode(scene) for scene in SCENES]


@pytest.fixture(scope="module")
def table() -> pa.Table:
    """Image 0 three times, image 1 twice, image 2 once, and a row without an image."""
    cells = pa.table({"photo": [JPEGS[number] for number in (0, 1, 0, 2, 1, 0)] + [None]})
    return pixvec.embed_table(cells, column="photo", model="demo", isolate="never")


def test_each_image_is_found_once_with_its_copies(table: pa.Table) -> None:
    found = pixvec.search(table, image=JPEGS[0], k=3, unique=True, isolate="never")
    assert found["photo"].to_pylist()[0] == JPEGS[0]
    assert sorted(found["copies"].to_pylist()) == [1, 2, 3]
    assert found["copies"][0].as_py() == 3
    assert "copies" not in pixvec.search(table, image=JPEGS[0], isolate="never").column_names


def test_copies_do_not_take_the_place_of_other_images(table: pa.Table) -> None:
    with_copies = pixvec.search(table, image=JPEGS[0], k=3, isolate="never")
    assert with_copies["photo"].to_pylist() == [JPEGS[0]] * 3
    once = pixvec.search(table, image=JPEGS[0], k=3, unique=True, isolate="never")
    assert set(once["photo"].to_pylist()) == set(JPEGS)


def test_without_hashes_equal_vectors_are_one_image(table: pa.Table) -> None:
    bare = table.drop_columns(["embedding_image"])
    found = pixvec.search(bare, image=JPEGS[0], k=9, unique=True, isolate="never")
    assert sorted(found["copies"].to_pylist()) == [1, 2, 3]


def test_a_frame_keeps_its_index_and_replaces_a_column_of_that_name(table: pa.Table) -> None:
    frame = pd.DataFrame({"copies": list("abcdefg"), "embedding": table["embedding"].to_pylist()}, index=range(10, 17))
    with pytest.warns(pixvec.PixvecWarning, match="nothing says what the vectors"):
        found = pixvec.search(frame, image=JPEGS[0], k=1, unique=True, isolate="never", model="demo")
    assert (found.index.tolist(), found["copies"].tolist()) == ([10], [3])


def test_one_file_with_vectors_of_two_precisions_is_one_image() -> None:
    """A folder of tables may hold the same file twice, embedded a little differently."""
    vectors = np.array([[1, 0], [0.99, 0.1], [0, 1]], np.float32)
    hits = nearest_images(iter([(vectors, (b"x", b"x", b"y").__getitem__)]), np.array([1.0, 0.0]), 3)
    assert hits.rows.tolist() == [0, 2]
    assert hits.copies is not None
    assert hits.copies.tolist() == [2, 1]


def test_a_row_joins_two_that_were_apart() -> None:
    vectors = np.array([[1, 0], [0, 1], [1, 0]], np.float32)
    hits = nearest_images(iter([(vectors, (b"x", b"y", b"y").__getitem__)]), np.array([1.0, 0.0]), 3)
    assert hits.copies is not None
    assert (hits.rows.tolist(), hits.copies.tolist()) == ([0], [3])


@given(st.lists(st.integers(0, 6), min_size=1, max_size=60), st.integers(1, 9), st.integers(1, 20))
def test_chunks_change_nothing(images: list[int], k: int, n_rows: int) -> None:
    """Whatever is read at a time, the images and their counts are those of all rows together."""
    angles = np.array(images) / 5
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    hits = nearest_images(_chunks(vectors, n_rows), np.array([1.0, 0.0]), k)
    expected = sorted(set(images))[:k]
    assert hits.rows.tolist() == [images.index(image) for image in expected]
    assert hits.copies is not None
    assert hits.copies.tolist() == [Counter(images)[image] for image in expected]


def _chunks(vectors: Vectors, n_rows: int) -> Iterator[tuple[Vectors, HashOf]]:
    for start in range(0, len(vectors), n_rows):
        yield vectors[start : start + n_rows], lambda _: None
