from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image

from pixvec.errors import ImageError, UsageError
from pixvec.tables.columns import open_column

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
        ("https://a.example/1.jpg", None),
        pl.Series(["https://a.example/1.jpg", None]),
        pl.Series(["https://a.example/1.jpg", None], dtype=pl.Categorical),
        pl.Series(["https://a.example/1.jpg", None], dtype=pl.Object),
        pa.array(["https://a.example/1.jpg", None]),
        pa.chunked_array([["https://a.example/1.jpg"], [None]]).dictionary_encode(),
        datasets.Dataset.from_dict({"u": [None, "https://a.example/1.jpg"]}).select([1, 0])["u"],
        datasets.Dataset.from_dict({"a": [{"u": "https://a.example/1.jpg"}, {"u": None}]})["a"]["u"],
    ],
    ids=[
        *("list", "list with NaN", "array", "series of strings", "series with NaT", "category", "tuple", "polars"),
        *("polars categories", "polars objects", "pyarrow", "pyarrow chunks", "datasets", "datasets, nested"),
    ],
)
def test_every_family_gives_its_cells_with_one_null(images: object) -> None:
    assert open_column(images).cells == ["https://a.example/1.jpg", None]


def test_cells_of_any_kind_are_passed_on() -> None:
    cells = [b"\xff\xd8", 7, {"a": 1}, "", Path("a.jpg")]
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


def test_a_tuple_and_a_column_of_datasets_give_a_list() -> None:
    for images in (("a", "b"), datasets.Dataset.from_dict({"u": ["a", "b"]})["u"]):
        vectors = open_column(images).wrap(VECTORS, FAILED)
        assert isinstance(vectors, list)
        assert [vector is None for vector in vectors] == [False, True]


def test_a_polars_series_gives_an_array_series_with_its_name() -> None:
    series = open_column(pl.Series("url", ["a", "b"])).wrap(VECTORS, FAILED)
    assert isinstance(series, pl.Series)
    assert (series.name, series.dtype, series.to_list()) == ("url", pl.Array(pl.Float32, 2), [[1.0, 0.0], None])


@pytest.mark.parametrize("images", [pa.array(["a", "b"]), pa.chunked_array([["a"], ["b"]])], ids=["array", "chunks"])
def test_a_pyarrow_array_gives_lists_of_a_fixed_size(images: Any) -> None:
    vectors: Any = open_column(images).wrap(VECTORS, FAILED)
    assert isinstance(vectors, pa.ChunkedArray) == isinstance(images, pa.ChunkedArray)
    assert (vectors.type, vectors.to_pylist()) == (pa.list_(pa.float32(), 2), [[1.0, 0.0], None])


@pytest.mark.parametrize(
    "images",
    [
        *([], (), np.array([]), pl.Series([], dtype=pl.String)),
        *(pa.array([], pa.string()), pa.chunked_array([], pa.string())),
    ],
    ids=["list", "tuple", "array", "polars", "pyarrow", "chunks"],
)
def test_an_empty_column_gives_an_empty_one(images: Any) -> None:
    vectors: Any = open_column(images).wrap(np.empty((0, 2), np.float32), np.empty(0, bool))
    assert len(vectors) == 0


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({"bytes": b"x", "path": "a.png"}, b"x"),
        ({"bytes": None, "path": "a.png"}, "a.png"),
        ({"bytes": None, "path": None}, None),
        ({"bytes": b"x"}, b"x"),
        ({}, {}),
        ({"bytes": b"x", "other": 1}, {"bytes": b"x", "other": 1}),
    ],
    ids=["bytes win", "path", "neither", "no path", "empty", "another struct"],
)
def test_the_struct_that_datasets_writes_is_its_bytes_or_its_path(cell: object, expected: object) -> None:
    assert open_column([cell]).cells == [expected]


def test_structs_of_every_family_are_read() -> None:
    cells = [{"bytes": b"x", "path": None}, None, {"bytes": None, "path": "b"}]
    for images in (pl.Series(cells), pa.array(cells), pd.Series(cells)):
        assert open_column(images).cells == [b"x", None, "b"]


def test_images_of_a_dataset_are_taken_as_files_and_not_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    cells = [{"bytes": b"neither", "path": None}, {"bytes": None, "path": str(tmp_path / "a.png")}, None]
    dataset = datasets.Dataset.from_dict({"image": cells}).cast_column("image", datasets.Image())
    assert open_column(dataset["image"]).cells == [b"neither", tmp_path / "a.png", None]
    assert open_column(dataset.cast_column("image", datasets.Image(decode=False))["image"]).cells[0] == b"neither"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16", "CMYK", "YCbCr", "HSV", "RGBX", "PA"])
def test_the_pixels_of_a_pillow_image_are_kept(mode: str) -> None:
    image = Image.linear_gradient("L").resize((9, 7)).convert(mode if mode != "I;16" else "I").convert(mode)
    (body,) = open_column([image]).cells
    assert isinstance(body, bytes)
    kept = Image.open(io.BytesIO(body))
    assert kept.convert("RGBA").tobytes() == image.convert("RGBA").tobytes()


def test_premultiplied_grey_is_kept_though_pillow_converts_it_nowhere_else() -> None:
    image = Image.linear_gradient("L").resize((9, 7)).convert("LA").convert("La")
    (body,) = open_column([image]).cells
    assert isinstance(body, bytes)
    assert Image.open(io.BytesIO(body)).tobytes() == image.convert("LA").tobytes()


def test_a_pillow_image_keeps_its_orientation() -> None:
    file = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (2, 3)).save(file, "JPEG", exif=exif)
    (body,) = open_column([Image.open(file)]).cells
    assert isinstance(body, bytes)
    assert Image.open(io.BytesIO(body)).getexif()[0x0112] == 6


def test_a_pillow_image_that_cannot_be_read_is_an_error_of_its_row() -> None:
    file = io.BytesIO()
    Image.effect_noise((99, 99), 50).save(file, "PNG")
    first, second = open_column([Image.open(io.BytesIO(file.getvalue()[:500])), "a"]).cells
    assert isinstance(first, ImageError)
    assert (first.code, second) == ("corrupt_image", "a")


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
        (Image.new("L", (1, 1)), "put it in a list"),
        (pl.DataFrame({"a": ["b"]}), "embed_table"),
        (pl.LazyFrame({"a": ["b"]}), "embed_table"),
        (datasets.Dataset.from_dict({"a": ["b"]}), "embed_table"),
        ({"a"}, "not set"),
        (iter(["a"]), "make a list of it"),
    ],
    ids=[
        *("text", "bytes", "path", "dict", "DataFrame", "Table", "2-D", "numbers", "image", "polars frame"),
        *("lazy frame", "dataset", "set", "iterator"),
    ],
)
def test_what_is_no_column_is_refused_with_what_to_do(images: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_column(images)
