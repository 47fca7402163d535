"""How callers use pixvec, for type checkers to read: nothing here runs.

Each line that says ``type: ignore`` is wrong use, and must be seen as such: an ignore that nothing needs is an error.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_type

import numpy as np
from numpy.typing import NDArray

import pixvec

Vectors = NDArray[np.float32]


def told(report: pixvec.Report) -> None:
    """Take what a call tells of itself."""


def columns(urls: list[str], more: Iterator[str], array: NDArray[np.object_], series: Any) -> None:
    assert_type(pixvec.embed_images(urls), list[Vectors | None])
    assert_type(pixvec.embed_images(("https://a.example/1.jpg", None)), list[Vectors | None])
    assert_type(pixvec.embed_images([Path("a.jpg"), b"\xff\xd8"], errors="raise"), list[Vectors | None])
    assert_type(pixvec.embed_images(more, normalize=False), Iterator[Vectors | None])
    assert_type(pixvec.embed_images(array, model="demo", precision="fp32"), Vectors)
    assert_type(pixvec.embed_images(series, progress=told), Any)


def texts(captions: list[str | None], more: Iterator[str], array: NDArray[np.object_], series: Any) -> None:
    assert_type(pixvec.embed_texts(captions), list[Vectors | None])
    assert_type(pixvec.embed_texts(more, normalize=False), Iterator[Vectors | None])
    assert_type(pixvec.embed_texts(array, model="demo", progress=told), Vectors)
    assert_type(pixvec.embed_texts(series, errors="raise"), Any)
    pixvec.embed_texts(captions, allow_private=True)  # type: ignore[call-overload]
    pixvec.embed_texts(captions, errors="ignore")  # type: ignore[call-overload]


def options(urls: list[str]) -> None:
    pixvec.embed_images(urls, normalise=False)  # type: ignore[call-overload]
    pixvec.embed_images(urls, precision="fp16")  # type: ignore[call-overload]
    pixvec.embed_images(urls, errors="ignore")  # type: ignore[call-overload]
    pixvec.embed_file("a.csv", "b.csv", limit="ten")  # type: ignore[arg-type]
    pixvec.embed_file("a.csv")  # type: ignore[call-arg]
    pixvec.Embedder(batch_size="8")  # type: ignore[arg-type]


def embedder(urls: list[str]) -> None:
    with pixvec.Embedder(model="demo", allow_address=("127.0.0.1:80",)) as embedder:
        column = embedder.embed(urls, progress=False)
        assert_type(column, pixvec.Embeddings)
        assert_type(column.vectors, Vectors)
        assert_type(column.errors, list[str | None])
        assert_type(column.summary(), str)
        assert_type(embedder.embed_query(["a red bicycle"]), Vectors)
        assert_type(embedder.embed_texts(["a red bicycle", None]), pixvec.Embeddings)
        assert_type(embedder.dim, int)


def files() -> None:
    pixvec.embed_file("texts.csv", "texts.parquet", texts="caption")
    report = pixvec.embed_file(Path("photos.csv"), "photos.parquet", column="image_url", delimiter=";", max_failed="5%")
    assert_type(report, pixvec.Report)
    assert_type(report.n_failed, int)
    try:
        pixvec.embed_table({}, errors="raise")
    except pixvec.RowError as error:
        assert_type(error.code, str)
        assert_type(error.retryable, bool)
