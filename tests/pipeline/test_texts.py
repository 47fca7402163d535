"""A column of texts becomes a column of vectors, in the space of the images and with the same promises."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

import pixvec
from pixvec.model.checkpoint import load
from pixvec.model.demo import FOLDER
from pixvec.model.tokenizer import ClipTokenizer
from pixvec.pipeline.report import Report
from pixvec.tables.result_columns import read_provenance
from pixvec.testing.checkpoints import make_checkpoint

CELLS = ["a cat", None, "a red bicycle", "a cat"]
CAPTIONS = [f"image {row}" if row % 10 != 3 else None for row in range(40)]
RESULTS = ["embedding", "embedding_error", "embedding_detail"]
LENGTH = 32
"""The demo model's, in tokens."""


class Unreadable(str):
    """A text that meets a bug."""

    __slots__ = ()

    def encode(self, *_: Any, **__: Any) -> bytes:
        raise LookupError


@pytest.fixture(scope="module")
def wanted(checkpoint: str) -> np.ndarray[Any, Any]:
    with pixvec.Embedder(model=checkpoint) as embedder:
        cat, bicycle = embedder.embed_query(["a cat", "a red bicycle"])
    return np.stack([cat, np.full(32, np.nan, np.float32), bicycle, cat])


@pytest.mark.parametrize(
    ("make", "family"),
    [
        (list, list),
        (tuple, list),
        (iter, Iterator),
        (lambda cells: np.array(cells, object), np.ndarray),
        (lambda cells: pd.Series(cells, index=[3, 2, 1, 0]), pd.Series),
        (pl.Series, pl.Series),
        (pa.array, pa.FixedSizeListArray),
        (lambda cells: pa.chunked_array([cells[:1], cells[1:]]), pa.ChunkedArray),
        (lambda cells: datasets.Dataset.from_dict({"t": cells})["t"], list),
    ],
    ids=["list", "tuple", "iterator", "array", "pandas", "polars", "pyarrow", "pyarrow chunks", "datasets"],
)
def test_every_family_comes_back(
    make: Callable[[Any], Any], family: type, checkpoint: str, wanted: np.ndarray[Any, Any]
) -> None:
    with pytest.warns(pixvec.PixvecWarning, match=r"1 of 4 rows have no vector \(null_input 1\)") as warned:
        column, vectors = vectors_of(pixvec.embed_texts(make(CELLS), model=checkpoint))
    assert [warning.filename for warning in warned] == [__file__]
    assert isinstance(column, family)
    np.testing.assert_array_equal(vectors, wanted)


def vectors_of(column: Any) -> tuple[Any, np.ndarray[Any, Any]]:
    cells = column.to_pylist() if isinstance(column, pa.Array | pa.ChunkedArray) else list(column)
    return column, np.array([np.full(32, np.nan) if cell is None else cell for cell in cells], np.float32)


def test_a_series_keeps_its_index_and_its_name(checkpoint: str) -> None:
    column = pixvec.embed_texts(pd.Series(["a cat", "a dog"], index=[7, 3], name="t"), model=checkpoint)
    assert (column.index.tolist(), column.name) == ([7, 3], "t")


def test_an_iterator_is_read_a_batch_at_a_time(checkpoint: str) -> None:
    numbers = itertools.count()
    vectors = pixvec.embed_texts((f"text {number}" for number in numbers), model=checkpoint, batch_size=4)
    assert next(numbers) == 0
    assert next(vectors) is not None
    assert next(numbers) == 5
    vectors.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("cell", "code", "detail"),
    [
        (None, "null_input", "the cell is empty"),
        (float("nan"), "null_input", "the cell is empty"),
        ("", "null_input", "the cell is empty"),
        (" \n", "null_input", "the cell is empty"),
        (7, "not_a_text", "a cell of type int holds no text"),
        (b"a cat", "not_a_text", "a cell of type bytes holds no text"),
        (["a cat"], "not_a_text", "a cell of type list holds no text"),
    ],
)
def test_what_is_no_text_has_its_reason(cell: object, code: str, detail: str, checkpoint: str) -> None:
    with pixvec.Embedder(model=checkpoint) as embedder:
        column = embedder.embed_texts(["a cat", cell, "a dog"])
    assert (column.errors, column.details) == ([None, code, None], [None, detail, None])
    assert np.isnan(column.vectors).all(axis=1).tolist() == [False, True, False]
    assert column.images == [None] * 3


def test_the_first_row_without_a_vector_is_raised_if_asked(checkpoint: str) -> None:
    with pytest.raises(pixvec.RowError, match=re.escape("null_input: row 1 (counted from 0)")):
        pixvec.embed_texts(CELLS, model=checkpoint, errors="raise")


@pytest.mark.parametrize(
    ("texts", "wrong", "message"),
    [
        ("a cat", {}, "texts must be a column, not one str"),
        ([], {"allow_private": True}, "there is no option 'allow_private'"),
        ([], {"errors": "ignore"}, "`errors='ignore'`: expected one of"),
    ],
    ids=["one text", "an option of images", "a wrong value"],
)
def test_wrong_use_is_said(texts: object, wrong: dict[str, Any], message: str, checkpoint: str) -> None:
    with pytest.raises(pixvec.UsageError, match=re.escape(message)):
        pixvec.embed_texts(texts, **wrong, model=checkpoint)


def test_bits_depend_on_the_text_alone(checkpoint: str) -> None:
    texts = [f"text {number}" for number in range(41)]
    with pixvec.Embedder(model=checkpoint) as embedder:
        alone = [embedder.embed_query(text)[0].tobytes() for text in texts]
        together = embedder.embed_texts([cell for text in texts for cell in (text, None, text)])
        assert [vector.tobytes() for vector in together.vectors[::3]] == alone
        assert [vector.tobytes() for vector in together.vectors[2::3]] == alone
        assert (together.report.n_repeats, together.report.n_rows) == (41, 123)
    for batch_size in (1, 20):
        vectors = pixvec.embed_texts(texts[::-1], model=checkpoint, batch_size=batch_size)
        assert [vector.tobytes() for vector in vectors if vector is not None] == alone[::-1]


def test_half_a_pair_of_surrogates_is_a_text(checkpoint: str) -> None:
    with pixvec.Embedder(model=checkpoint) as embedder:
        assert embedder.embed_texts(["a \ud800 cat"]).errors == [None]
        assert embedder.embed_query("a \ud800 cat").shape == (1, 32)


def test_texts_are_cut_where_the_models_length_ends_and_counted() -> None:
    whole = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    texts = [" ".join(["cat"] * n) for n in (LENGTH - 3, LENGTH - 2, LENGTH - 1, 100)]
    assert [len(whole.encode(text)) for text in texts] == [LENGTH - 1, LENGTH, LENGTH + 1, 102]
    with pixvec.Embedder(model="demo") as embedder:
        column = embedder.embed_texts([*texts, texts[3]])
    assert column.report.n_cut == 3
    assert "cut at the model's length: 3 texts" in column.summary()
    assert "fetched" not in column.summary()
    exact, *cut = (vector.tobytes() for vector in column.vectors[1:])
    assert cut == [exact] * 3
    assert column.vectors[0].tobytes() != exact


@settings(max_examples=25)
@given(st.lists(st.text(max_size=30), min_size=30, max_size=60), st.sampled_from([" ", "\n", "a b " * 30, "-", "\x85"]))
def test_the_beginning_of_a_long_text_decides_what_the_whole_does(words: list[str], between: str) -> None:
    checkpoint = load("demo")
    assert checkpoint.text is not None
    text = between.join(words).encode(errors="replace").decode()
    tokens = ClipTokenizer(checkpoint, checkpoint.text)([text])
    whole = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    whole.no_padding()
    assert tokens.is_cut[0] == (len(whole.encode(text)) > LENGTH)
    whole.enable_truncation(LENGTH)
    ids = whole.encode(text).ids
    assert tokens.ids[0, : len(ids)].tolist() == ids


@pytest.mark.oracle
def test_tokens_are_those_of_transformers() -> None:
    transformers = pytest.importorskip("transformers")
    checkpoint = load("demo")
    assert checkpoint.text is not None
    texts = ["a cat", "cat " * 30, "cat " * 31, "cat " * 5_000, "Naïve — elephants! " * 200, "x" * 5_000]
    tokens = ClipTokenizer(checkpoint, checkpoint.text)(texts)
    theirs = transformers.AutoTokenizer.from_pretrained(FOLDER)
    for text, ids, is_cut in zip(texts, tokens.ids.tolist(), tokens.is_cut.tolist(), strict=True):
        cut = theirs(text, truncation=True, max_length=LENGTH)["input_ids"]
        assert ids[: len(cut)] == cut
        assert is_cut == (len(theirs(text)["input_ids"]) > LENGTH)


@pytest.mark.parametrize(
    ("made_of", "message"), [({"vision_only": True}, "text tower"), ({"tokenizer": None}, "token")]
)
def test_a_model_that_reads_no_texts_is_one_clear_line(made_of: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = str(make_checkpoint(tmp_path / "model", **made_of))
    (tmp_path / "in.csv").write_text("t\na cat\n")
    with pytest.raises(pixvec.ModelError, match=f"has no {message}"):
        pixvec.embed_file(tmp_path / "in.csv", tmp_path / "out.csv", texts="t", model=model)
    with pytest.raises(pixvec.ModelError, match=f"has no {message}"):
        pixvec.embed_texts([None], model=model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv", "model"]


def test_a_bug_comes_after_the_rows_before_it_and_names_its_own(checkpoint: str) -> None:
    vectors = pixvec.embed_texts(iter(["a cat", "a dog", Unreadable("a bug"), "a cow"]), model=checkpoint)
    assert [next(vectors) is None for _ in range(2)] == [False, False]
    with pytest.raises(LookupError) as caught:
        next(vectors)
    assert caught.value.__notes__ == ["pixvec: this is a bug, met at row 2 (counted from 0)"]


def test_progress_is_told_with_each_batch(checkpoint: str) -> None:
    counts: list[int] = []

    def tell(report: Report) -> None:
        counts.append(report.n_rows)

    pixvec.embed_texts([f"text {n}" for n in range(20)], model=checkpoint, batch_size=8, progress=tell)
    assert counts == [8, 16, 20]


def test_a_frame_gets_vectors_and_reasons_and_no_images(checkpoint: str, wanted: np.ndarray[Any, Any]) -> None:
    frame = pd.DataFrame({"url": ["https://a.example/1.jpg"] * 4, "t": CELLS}, index=list("abcd"))
    table = pixvec.embed_table(frame, texts="t", model=checkpoint)
    assert (list(table.columns), list(table.index)) == (["url", "t", *RESULTS], list("abcd"))
    assert table["embedding_error"].tolist() == [None, "null_input", None, None]
    np.testing.assert_array_equal(np.stack(table["embedding"].dropna().tolist()), wanted[[0, 2, 3]])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"texts": "n"}, "column 'n' holds no text, but int64: name another with `texts`"),
        ({"texts": "none"}, "there is no column 'none'; expected one of 'n', 't'"),
        ({"texts": "t", "column": "t"}, "`column` and `texts` exclude each other"),
    ],
    ids=["numbers", "no column", "both"],
)
def test_a_column_that_cannot_be_is_said(options: dict[str, Any], message: str, checkpoint: str) -> None:
    table = pa.table({"n": [1], "t": ["a cat"]})
    with pytest.raises(pixvec.UsageError, match=re.escape(message)):
        pixvec.embed_table(table, **options, model=checkpoint)


@pytest.fixture
def captions(tmp_path: Path) -> Path:
    pq.write_table(
        pa.table({"id": range(40), "t": CAPTIONS, "u": ["https://a.invalid/1.jpg"] * 40}), tmp_path / "in.parquet"
    )
    return tmp_path / "in.parquet"


@pytest.fixture
def options(checkpoint: str) -> dict[str, Any]:
    return {"texts": "t", "model": checkpoint, "batch_size": 1, "part_rows": 8}


@pytest.mark.parametrize("output", ["out.parquet", "out.csv", "out/"])
def test_a_stopped_run_goes_on_to_the_same_bytes(
    output: str, captions: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    def stop(report: Report) -> None:
        if report.n_rows >= 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pixvec.embed_file(captions, f"{tmp_path}/{output}", **options, progress=stop)
    report = pixvec.embed_file(captions, f"{tmp_path}/{output}", **options)
    assert (report.n_resumed > 16, report.n_rows, report.n_failed) == (True, 40, 4)  # more than whole parts
    (tmp_path / "whole").mkdir()
    pixvec.embed_file(captions, f"{tmp_path}/whole/{output}", **options)
    assert _contents(tmp_path / output) == _contents(tmp_path / "whole" / output)
    assert pixvec.embed_file(captions, f"{tmp_path}/{output}", **options).was_finished


def _contents(output: Path) -> list[bytes]:
    return [path.read_bytes() for path in (sorted(output.iterdir()) if output.is_dir() else [output])]


def test_a_file_says_that_it_is_of_texts_and_can_be_searched(
    captions: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    pixvec.embed_file(captions, tmp_path / "out.parquet", **options)
    schema = pq.read_schema(tmp_path / "out.parquet")
    facts = read_provenance(schema, "embedding") or {}
    assert schema.names == ["id", "t", "u", *RESULTS]
    assert (facts["embedded"], facts["column"], "decode" in facts) == ("texts", "t", False)
    found = pixvec.search(tmp_path / "out.parquet", "image 7", k=1, model=options["model"])
    assert found["id"].to_pylist() == [7]


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({"texts": None, "column": "u"}, "what is embedded (texts then, images now)"),
        ({"texts": "u"}, "column (t then, u now)"),
        ({"normalize": False}, "normalize (True then, False now)"),
        ({"output_column": "v"}, "does not say that this command wrote it"),
    ],
    ids=["images", "another column", "another setting", "other columns"],
)
def test_what_was_made_otherwise_is_left_alone(
    changed: dict[str, Any], differs: str, captions: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    pixvec.embed_file(captions, tmp_path / "out.parquet", **options)
    before = (tmp_path / "out.parquet").read_bytes()
    with pytest.raises(pixvec.UsageError) as caught:
        pixvec.embed_file(captions, tmp_path / "out.parquet", **{**options, **changed})
    assert differs in str(caught.value)
    assert "decode" not in str(caught.value)
    assert (tmp_path / "out.parquet").read_bytes() == before


@pytest.mark.parametrize("output", ["out.jsonl", "out/"])
def test_rows_may_be_tried_again(output: str, options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"t": "a cat"}\n{"t": null}\n')
    for retry, was_finished in ({}, False), ({"retry_failed": True}, True), ({"retry_codes": "null_input"}, False):
        report = pixvec.embed_file(tmp_path / "in.jsonl", f"{tmp_path}/{output}", **options, **retry)
        assert (report.n_vectors, report.n_failed, report.was_finished) == (1, 1, was_finished)
    with pytest.raises(pixvec.UsageError, match=re.escape("what is embedded (texts then, images now)")):
        pixvec.embed_file(tmp_path / "in.jsonl", f"{tmp_path}/{output}", model=options["model"], retry_failed=True)
