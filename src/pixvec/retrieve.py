"""Words and pictures in, the rows of a table whose vectors are nearest to them out.

Vectors are compared by their cosines, in float64, and only with vectors of the same model. The table is read a chunk
at a time, so that a file may be larger than memory. It must not know how results are shown.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.api import Embedder
from pixvec.errors import ModelError, PixvecWarning, UsageError
from pixvec.gallery.thumbnails import PictureOptions
from pixvec.options import option, takes_options
from pixvec.table import TableReader, open_frame
from pixvec.values import Vectors
from pixvec.vector_table import find_vector_column, open_rows, take_rows, vector_chunks, vector_provenance

SIMILARITY: Final = "similarity"
"""The column that is added to what was found."""

Numbers: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class SearchOptions(PictureOptions):
    """How a table is searched."""

    vectors: str | None = option(None, "the column of vectors; found by its cells when not given")
    model: str | None = option(
        None, "the model of the vectors; the one that the table names when not given", group="model"
    )
    precision: Literal["auto", "bf16", "fp32"] = option(
        "auto", "auto: bf16 where the processor computes in it", group="model"
    )


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: the mean of what it is made of, each with length 1, less the mean of what it is not.

    Parameters
    ----------
    texts, images
        What a row should be like. Images are URLs, paths of files, or the bytes of pictures.
    minus
        Texts that a row should not be like.
    k
        How many rows are wanted.

    Raises
    ------
    UsageError
        When there is nothing to be like, a text is empty, or no row is wanted.
    """

    texts: tuple[str, ...] = ()
    images: tuple[object, ...] = ()
    minus: tuple[str, ...] = ()
    k: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.k, int | np.integer) or self.k < 1:
            raise UsageError(f"k={self.k!r}: expected a whole number, at least 1")
        if not self.texts and not self.images:
            raise UsageError("nothing to search for: give a text or an image")
        if any(isinstance(text, str) and not text.strip() for text in (*self.texts, *self.minus)):
            raise UsageError("a text of the query is empty: say what to search for")

    def vector(self, embedder: Embedder) -> NDArray[np.float64]:
        """Give its direction, (D,) of length 1.

        Raises
        ------
        UsageError
            When an image has no vector, or the query cancels itself out.
        """
        wanted = [*_embed_texts(embedder, self.texts), *_embed_images(embedder, self.images)]
        direction = np.mean(_units(np.stack(wanted)), axis=0)
        if self.minus:
            direction -= np.mean(_units(_embed_texts(embedder, self.minus)), axis=0)
        length = np.linalg.norm(direction)
        if length < 1e-6:  # what float32 leaves of a text less the same text
            raise UsageError("the query cancels itself out: what it asks for is what it takes away")
        return np.asarray(direction / length, np.float64)


@dataclass(frozen=True, slots=True)
class Hits:
    """The rows that are nearest to a query, nearest first; of equally near ones the first.

    Parameters
    ----------
    rows
        Their numbers, (k,), from 0.
    similarities
        Their cosines, (k,).
    """

    rows: Numbers
    similarities: NDArray[np.float32]


def search(
    table: object,
    text: str | list[str] | None = None,
    k: int = 10,
    *,
    image: object = None,
    minus: str | list[str] | None = None,
    **options: Any,
) -> Any:
    """Find the rows of a table whose pictures are nearest to a text, an image, or several together.

    Parameters
    ----------
    table
        A pandas or polars DataFrame, a pyarrow Table, a Dataset, or the path of a table file, with a column of vectors.
    text
        What the pictures should show; of several texts, all of it.
    k
        How many rows to find.
    image
        A picture, or several, that they should be like: a URL, a path or bytes.
    minus
        What they should not show.
    **options
        ``vectors``, the column; ``model`` and ``precision``; and those of fetching and decoding, for `image`.

    Returns
    -------
    the kind of table that came
        The rows that were found, nearest first, with their cosines as the column ``similarity``, which takes the
        place of one that is called so. A DataFrame keeps its index. Of a file, a pyarrow Table.

    Raises
    ------
    UsageError
        When there is no column of vectors, or they are of another model.
    ModelError
        When the model cannot be found or read.

    Warns
    -----
    PixvecWarning
        When the table does not say what its vectors were made with.
    """
    return _search(table, Query(_listed(text), _listed(image), _listed(minus), k), **options)


def find_rows(reader: TableReader, query: Query, options: SearchOptions, *, path: Path | None) -> Hits:
    """Find the rows that are nearest to a query. Rows whose vector is missing or zero are near to nothing.

    Raises
    ------
    UsageError
        When there is no column of vectors, or they are of another model.
    ModelError
        When the model cannot be found or read.
    """
    column = find_vector_column(reader, options.vectors)
    with _open_model(column, vector_provenance(reader, column, path=path), options) as embedder:
        direction = query.vector(embedder)
    return nearest_rows(vector_chunks(reader, column), direction, query.k, column=column)


def nearest_rows(chunks: Iterator[Vectors], direction: NDArray[np.float64], k: int, *, column: str = "") -> Hits:
    """Find the `k` of all vectors, (n, D) at a time, that are nearest to a direction, (D,) of length 1.

    Raises
    ------
    UsageError
        When the vectors have another length than the direction.
    """
    best = Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    n_rows = 0
    for vectors in chunks:
        found = _near(vectors, direction, column)
        rows = np.concatenate([best.rows, n_rows + found.rows])
        similarities = np.concatenate([best.similarities, found.similarities])
        order = np.lexsort((rows, -similarities))[:k]
        best = Hits(rows[order], similarities[order])
        n_rows += len(vectors)
    return best


@takes_options(SearchOptions)
def _search(table: object, query: Query, options: SearchOptions) -> Any:
    reader, path = open_rows(table)
    hits = find_rows(reader, query, options, path=path)
    found = open_frame(open_frame(table).take(hits.rows) if path is None else take_rows(reader, hits.rows))
    replaced = [SIMILARITY] if SIMILARITY in found.schema.names else []
    return found.with_results(pa.table({SIMILARITY: hits.similarities}), dropped=replaced)


def _open_model(column: str, provenance: dict[str, Any] | None, options: SearchOptions) -> Embedder:
    """Load the model that a column's vectors are of."""
    name = options.model or _model_name(column, provenance)
    if provenance is None:
        warnings.warn(
            f"nothing says what the vectors of {column!r} were made with: they are taken as those of {name}",
            PixvecWarning,
            stacklevel=6,  # where `search` was called
        )
    shared = {field.name: getattr(options, field.name) for field in fields(PictureOptions)}
    try:
        embedder = Embedder(model=name, precision=options.precision, **shared)
    except ModelError as error:
        if options.model is None:
            error.add_note("the table says that its vectors are of this model; if it is elsewhere, say so with `model`")
        raise
    if provenance is not None:
        _check_space(column, provenance, embedder)
    return embedder


def _model_name(column: str, provenance: dict[str, Any] | None) -> str:
    if not provenance or not provenance.get("model"):
        raise UsageError(f"name the model that the vectors of {column!r} were made with, with `model`")
    name, revision = str(provenance["model"]), provenance.get("revision")
    return f"{name.partition('@')[0]}@{revision}" if revision else name


def _check_space(column: str, provenance: dict[str, Any], embedder: Embedder) -> None:
    """Compare the model's weights with those that the vectors were made with."""
    needed, here = provenance.get("weights_sha256"), embedder.provenance()["weights_sha256"]
    if needed and needed != here:
        model = provenance.get("model")
        raise UsageError(
            f"the vectors of {column!r} are of another model than {embedder.model}: they need {model!r} "
            f"(weights {str(needed)[:12]}, not {here[:12]}); name it with `model`"
        )


def _embed_texts(embedder: Embedder, texts: tuple[str, ...]) -> Vectors:
    return embedder.embed_text(list(texts)) if texts else np.empty((0, embedder.dim), np.float32)


def _embed_images(embedder: Embedder, images: tuple[object, ...]) -> Vectors:
    if not images:
        return np.empty((0, embedder.dim), np.float32)
    embedded = embedder.embed([_cell(image) for image in images], progress=False)
    for image, error, detail in zip(images, embedded.errors, embedded.details, strict=True):
        if error is not None:
            shown = repr(str(image)) if isinstance(image, str | Path) else type(image).__name__
            raise UsageError(f"the image {shown} has no vector: {error}: {detail}")
    return embedded.vectors


def _cell(image: object) -> object:
    """Let the caller's own files in: whoever names a file here is no stranger."""
    is_file = isinstance(image, str) and os.path.isfile(image)  # noqa: PTH113 (a Path's own raises for long names)
    return Path(str(image)) if is_file else image


def _near(vectors: Vectors, direction: NDArray[np.float64], column: str) -> Hits:
    """Give the cosine of each vector that has a direction. Sums are taken row by row, so that equal rows are equal."""
    exact = vectors.astype(np.float64)  # (n, D)
    lengths = np.sqrt((exact * exact).sum(axis=1))  # (n,)
    rows = np.flatnonzero(np.isfinite(lengths) & (lengths > 0))
    if len(rows) and vectors.shape[1] != len(direction):
        raise UsageError(
            f"the vectors of {column!r} have {vectors.shape[1]:,} numbers, and the model's {len(direction):,}: "
            "name the model that they were made with, with `model`"
        )
    cosines = (exact[rows] * direction).sum(axis=1) / lengths[rows] if len(rows) else np.empty(0)
    return Hits(rows, cosines.astype(np.float32))


def _units(vectors: Vectors) -> NDArray[np.float64]:
    """Scale vectors to length 1; a zero vector stays zero."""
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(np.divide(exact, lengths, out=exact, where=lengths > 0), np.float64)


def _listed(things: Any) -> tuple[Any, ...]:
    if things is None:
        return ()
    return tuple(things) if isinstance(things, list | tuple) else (things,)
