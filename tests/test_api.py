"""Columns, tables and files in; the same with vectors out."""

from __future__ import annotations

import itertools
import pickle
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import pixvec
from pixvec.tables.result_columns import read_provenance
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

COLUMNS = ["title", "image_url", "embedding", "embedding_error", "embedding_detail", "embedding_image"]


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for seed in range(4):
            server.add(f"/{seed}.jpg", body=image_bytes(seed=seed))
        yield server


@pytest.fixture
def urls(site: ImageServer) -> list[str | None]:
    """Two images, a dead link, nothing, and an image."""
    return [site.url("/0.jpg"), site.url("/1.jpg"), site.url("/dead.jpg"), None, site.url("/3.jpg")]


@pytest.fixture
def options(checkpoint: str, site: ImageServer) -> dict[str, Any]:
    """Return the usual options; no decode workers, since each call would start its own."""
    return {"model": checkpoint, "allow_address": (site.address,), "isolate": "never"}


@pytest.fixture
def frame(urls: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame({"title": list("abcde"), "image_url": urls}, index=[10, 20, 30, 40, 50])


def test_a_list_gives_a_list(urls: list[str | None], options: dict[str, Any]) -> None:
    with pytest.warns(pixvec.PixvecWarning, match=r"2 of 5 rows have no vector \(http_404 1, null_input 1\)"):
        vectors = pixvec.embed_images(urls, **options)
    assert [None if vector is None else (vector.shape, vector.dtype) for vector in vectors] == [
        *([((32,), np.float32)] * 2),
        *([None] * 2),
        ((32,), np.float32),
    ]


def test_an_array_gives_an_array(urls: list[str | None], options: dict[str, Any]) -> None:
    with pytest.warns(pixvec.PixvecWarning):
        vectors = pixvec.embed_images(np.array(urls, dtype=object), **options)
    assert (vectors.shape, vectors.dtype) == ((5, 32), np.float32)
    assert np.isnan(vectors).all(axis=1).tolist() == [False, False, True, True, False]
    assert np.allclose(np.linalg.norm(vectors[[0, 1, 4]], axis=1), 1, atol=1e-6)


def test_a_series_gives_a_series(frame: pd.DataFrame, options: dict[str, Any]) -> None:
    with pytest.warns(pixvec.PixvecWarning):
        vectors = pixvec.embed_images(frame["image_url"], **options)
    assert vectors.index.tolist() == [10, 20, 30, 40, 50]
    assert [vector is None for vector in vectors] == [False, False, True, True, False]


def test_an_iterator_gives_an_iterator_that_embeds_as_it_is_read(
    urls: list[str | None], options: dict[str, Any]
) -> None:
    read: list[str | None] = []
    vectors = pixvec.embed_images((read.append(url) or url for url in urls), **options)  # type: ignore[func-returns-value]
    assert (iter(vectors) is vectors, read) == (True, [])
    with pytest.warns(pixvec.PixvecWarning, match="2 of 5 rows have no vector"):
        assert [vector is None for vector in vectors] == [False, False, True, True, False]


def test_an_iterator_may_be_endless_and_be_left(urls: list[str | None], options: dict[str, Any]) -> None:
    vectors = pixvec.embed_images(itertools.cycle(urls), **options)
    assert [vector is None for vector in itertools.islice(vectors, 7)] == [False, False, True, True, False] + [
        False
    ] * 2
    vectors.close()


def test_cells_may_be_paths_bytes_pillow_images_and_structs(options: dict[str, Any], tmp_path: Path) -> None:
    body = image_bytes("PNG", seed=0)
    (tmp_path / "a.png").write_bytes(body)
    image = Image.open(tmp_path / "a.png")
    cells = [body, tmp_path / "a.png", image, {"bytes": body, "path": None}]
    embedded = pixvec.Embedder(**options).embed(cells)
    assert embedded.errors == [None] * 4
    assert len({vector.tobytes() for vector in embedded.vectors}) == 1
    assert pixvec.Embedder(**options).embed([str(tmp_path / "a.png")]).errors == ["invalid_url"]


def test_a_dataset_of_images_is_embedded(options: dict[str, Any]) -> None:
    cells = [{"bytes": image_bytes(seed=0), "path": None}, {"bytes": b"no image", "path": None}]
    dataset = datasets.Dataset.from_dict({"image": cells}).cast_column("image", datasets.Image())
    table = pixvec.embed_table(dataset, **options)
    assert isinstance(table, datasets.Dataset)
    assert table["embedding_error"][:] == [None, "not_an_image"]
    assert len(table["embedding"][0]) == 32


def test_a_polars_frame_gives_a_polars_frame(frame: pd.DataFrame, options: dict[str, Any]) -> None:
    table = pixvec.embed_table(pl.from_pandas(frame), **options)
    assert table.columns == COLUMNS
    assert table["embedding_error"].to_list() == [None, None, "http_404", "null_input", None]
    with pytest.warns(pixvec.PixvecWarning):
        vectors = pixvec.embed_images(pl.from_pandas(frame)["image_url"], **options)
    assert vectors.rename("embedding").equals(table["embedding"])


@pytest.mark.parametrize(
    "embed",
    [
        lambda frame, **options: pixvec.embed_images(frame["image_url"], **options),
        lambda frame, **options: list(pixvec.embed_images(iter(frame["image_url"]), **options)),
        pixvec.embed_table,
    ],
    ids=["column", "iterator", "table"],
)
def test_the_first_failure_can_be_raised(embed: Any, frame: pd.DataFrame, options: dict[str, Any]) -> None:
    with pytest.raises(pixvec.RowError, match=r"http_404: row 2 \(counted from 0\): ") as caught:
        embed(frame, errors="raise", **options)
    assert caught.value.code == "http_404"


def test_nothing_is_warned_of_when_nothing_failed(urls: list[str | None], options: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixvec.embed_images(urls[:2], **options)


def test_a_frame_gives_a_frame(frame: pd.DataFrame, options: dict[str, Any]) -> None:
    table = pixvec.embed_table(frame, **options)
    assert table.columns.tolist() == COLUMNS
    assert table.index.tolist() == frame.index.tolist()
    assert table["embedding_error"].tolist() == [None, None, "http_404", "null_input", None]
    assert table["embedding_image"][10]["format"] == "JPEG"
    assert frame.columns.tolist() == COLUMNS[:2]


def test_an_arrow_table_gives_an_arrow_table(frame: pd.DataFrame, options: dict[str, Any]) -> None:
    table = pixvec.embed_table(pa.Table.from_pandas(frame, preserve_index=False), normalize=False, **options)
    assert table.column_names == COLUMNS
    assert table.schema.field("embedding").type == pa.list_(pa.float32(), 32)
    provenance = read_provenance(table.schema, "embedding")
    assert provenance is not None
    assert (provenance["model"], provenance["normalize"], provenance["dim"]) == (options["model"], False, 32)
    assert len(provenance["weights_sha256"]) == 64


def test_every_face_gives_the_same_bits(
    frame: pd.DataFrame, urls: list[str | None], options: dict[str, Any], tmp_path: Path
) -> None:
    options["isolate"] = "auto"
    frame.to_csv(tmp_path / "in.csv", index=False)
    pixvec.embed_file(tmp_path / "in.csv", tmp_path / "out.parquet", **options)
    from_file = pq.read_table(tmp_path / "out.parquet")["embedding"].to_pylist()
    from_table = pixvec.embed_table(frame, **options)["embedding"]
    with pixvec.Embedder(**options) as embedder:
        from_embedder = embedder.embed(urls).vectors
    for one, two, three in zip(from_file, from_table, from_embedder, strict=True):
        assert (one is None) == (two is None) == np.isnan(three).all()
        assert one is None or np.array(one, dtype=np.float32).tobytes() == two.tobytes() == three.tobytes()


def test_an_embedder_tells_what_each_row_came_to(urls: list[str | None], options: dict[str, Any]) -> None:
    column = pixvec.Embedder(**options).embed(urls)
    assert column.errors == [None, None, "http_404", "null_input", None]
    assert [facts and facts.width for facts in column.images] == [320, 320, None, None, 320]
    assert [detail is None for detail in column.details] == [True, True, False, False, True]
    assert column.summary().startswith("5 rows: 3 vectors, 2 without\nfailures: http_404 1, null_input 1\n")


def test_texts_share_the_space_of_images(options: dict[str, Any]) -> None:
    with pixvec.Embedder(**options) as embedder:
        texts = embedder.embed_query(["a cat", "a dog"])
        assert (texts.shape, texts.dtype) == ((2, embedder.dim), np.dtype(np.float32))
        assert np.array_equal(embedder.embed_query("a dog"), texts[1:])


@pytest.mark.parametrize("texts", [[None], [b"a"], 5])
def test_what_is_no_text_is_refused(texts: Any, options: dict[str, Any]) -> None:
    with pytest.raises((pixvec.UsageError, TypeError), match=r"text|iterable"):
        pixvec.Embedder(**options).embed_query(texts)


def test_too_many_failures_raise_after_the_output_is_written(
    frame: pd.DataFrame, options: dict[str, Any], tmp_path: Path
) -> None:
    frame.to_parquet(tmp_path / "in.parquet")
    with pytest.raises(pixvec.TooManyFailedError, match=r"2 of 5 rows .* `max_failed=1`") as caught:
        pixvec.embed_file(tmp_path / "in.parquet", tmp_path / "out.parquet", max_failed=1, **options)
    assert caught.value.report.n_vectors == 3
    assert pq.read_metadata(tmp_path / "out.parquet").num_rows == 5


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"image_url": []}),
        pd.DataFrame({"image_url": [None, None]}),
        pa.table({"image_url": pa.nulls(0)}),
        pd.DataFrame({"image_url": ["x.example/a"]}).convert_dtypes(dtype_backend="pyarrow"),
        pd.DataFrame({"image_url": pd.Categorical(["x.example/a"])}),
    ],
    ids=["no rows", "no cells", "null type", "pyarrow strings", "categories"],
)
def test_the_column_is_found_in_odd_frames(frame: Any, checkpoint: str) -> None:
    table = pixvec.embed_table(frame, model=checkpoint, dns_timeout_s=1.0)
    assert len(table) == len(frame)


def test_an_embedder_pickles_by_its_settings(urls: list[str | None], options: dict[str, Any]) -> None:
    embedder = pixvec.Embedder(**options)
    pickled = pickle.dumps(embedder)
    assert len(pickled) < 2_000
    assert np.array_equal(pickle.loads(pickled).embed(urls).vectors, embedder.embed(urls).vectors, equal_nan=True)


def test_an_embedder_works_in_several_threads(urls: list[str | None], options: dict[str, Any]) -> None:
    with pixvec.Embedder(**{**options, "isolate": "auto"}) as embedder, ThreadPoolExecutor(3) as threads:
        columns = list(threads.map(embedder.embed, [urls] * 6))
    assert len({column.vectors.tobytes() for column in columns}) == 1


def test_progress_is_told_to_a_function(urls: list[str | None], options: dict[str, Any]) -> None:
    told: list[int] = []
    pixvec.Embedder(**options).embed(urls, progress=lambda report: told.append(report.n_rows))
    assert told[-1] == 5
    assert told == sorted(told)


@pytest.mark.parametrize("images", [[], np.array([], dtype=object), pd.Series([], dtype=object)])
def test_an_empty_column_gives_an_empty_column(images: Any, options: dict[str, Any]) -> None:
    vectors = pixvec.embed_images(images, **options)
    assert (type(vectors), len(vectors)) == (type(images), 0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pixvec.embed_images("http://a.example/a.png"), "put it in a list"),
        (lambda: pixvec.embed_images(pd.DataFrame({"a": []})), "embed_table"),
        (lambda: pixvec.embed_images([], normalise=True), "did you mean 'normalize'"),  # type: ignore[call-overload]
        (lambda: pixvec.embed_images([], precision="fp16"), "expected one of auto, bf16"),  # type: ignore[call-overload]
        (lambda: pixvec.embed_images([], batch_size=0), "expected at least 1"),
        (lambda: pixvec.embed_images([], model="./no-such-folder"), "no-such-folder"),
        (lambda: pixvec.Embedder(allow_address=("localhost:80",)).embed(["x"]), "localhost"),
        (lambda: pixvec.embed_table(pd.DataFrame({"a": ["x"]})), "none of the columns"),
        (lambda: pixvec.embed_table(pd.DataFrame({"a": [1, 2]}), column="a"), "holds neither text nor images"),
        (lambda: pixvec.embed_images([], timeout_s=0), "expected at least 0.001"),
        (lambda: pixvec.embed_table({"a": ["x"]}), "pandas or polars DataFrame, a pyarrow Table"),
        (lambda: pixvec.embed_images([], errors="ignore"), "expected one of null, raise"),  # type: ignore[call-overload]
    ],
)
def test_wrong_use_is_one_clear_line(call: Any, message: str, checkpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(pixvec.PixvecError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
