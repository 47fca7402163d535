"""Words and images in, the rows of a table whose vectors are nearest to them out.

Vectors are compared by their cosines, in float64, and only with vectors of the same model. The table is read a chunk at
a time, so that a file may be larger than memory.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.embedder import Embedder
from pixvec.errors import PixvecWarning, UsageError
from pixvec.formatting.names import shown
from pixvec.model.checkpoint import StatedModel
from pixvec.options import option, takes_options
from pixvec.pipeline.provenance import model_stated
from pixvec.pipeline.settings import ImageOptions
from pixvec.similarity.nearest import HashOf, Hits, nearest_images, nearest_rows
from pixvec.similarity.vectors import (
    CHUNK_ROWS,
    find_vector_column,
    open_rows,
    take_rows,
    vector_chunks,
    vector_provenance,
)
from pixvec.tables import TableReader, open_frame
from pixvec.tables.result_columns import read_sha256, result_names
from pixvec.values import Vectors

SIMILARITY: Final = "similarity"
COPIES: Final = "copies"
"""The columns that are added to what was found; the second one with `unique` alone."""


@dataclass(frozen=True, kw_only=True)
class SearchOptions(ImageOptions):
    """How a table is searched."""

    vectors: str | None = option(None, "the column of vectors; found by its cells when not given")
    unique: bool = option(False, "show each image once, with the number of rows that hold it")
    model: str | None = option(None, "the model of the vectors; by default the one that the table names", group="model")
    precision: Literal["auto", "bf16", "fp32"] = option(
        "auto", "auto: bf16 where the processor computes in it", group="model"
    )


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: the mean of what it is made of, each with length 1, less the mean of what it is not.

    Parameters
    ----------
    texts, images
        What a row should be like. Images are URLs, paths of files, or the bytes of images.
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


def search(
    table: object,
    text: str | list[str] | None = None,
    k: int = 10,
    *,
    image: object = None,
    minus: str | list[str] | None = None,
    **options: Any,
) -> Any:
    """Find the rows of a table whose images are nearest to a text, an image, or several together.

    Parameters
    ----------
    table
        A pandas or polars DataFrame, a pyarrow Table, a Dataset, or the path of a table file, with a column of vectors.
    text
        What the images should show; of several texts, all of it.
    k
        How many rows to find.
    image
        An image, or several, that they should be like: a URL, a path or bytes.
    minus
        What they should not show.
    **options
        ``vectors``, the column; ``unique``, each image once, by its first row; ``model`` and ``precision``; and those
        of fetching and decoding, for `image`.

    Returns
    -------
    the kind of table that came
        The rows that were found, nearest first, with their cosines as the column ``similarity``, which takes the
        place of one that is called so. A DataFrame keeps its index. Of a file, a pyarrow Table. With ``unique=True``
        the column ``copies`` has the number of rows whose files or vectors are equal, the row itself included.

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
    """Find the rows, or with `unique` the images, that are nearest to a query; none whose vector is missing or zero.

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
    vectors = vector_chunks(reader, column)
    if options.unique:
        return nearest_images(zip(vectors, _hashes(reader, column), strict=False), direction, query.k, column=column)
    return nearest_rows(vectors, direction, query.k, column=column)


@takes_options(SearchOptions)
def _search(table: object, query: Query, options: SearchOptions) -> Any:
    reader, path = open_rows(table)
    hits = find_rows(reader, query, options, path=path)
    found = open_frame(open_frame(table).take(hits.rows) if path is None else take_rows(reader, hits.rows))
    added = {SIMILARITY: hits.similarities} | ({} if hits.copies is None else {COPIES: hits.copies})
    return found.with_results(pa.table(added), dropped=set(added).intersection(found.schema.names))


def _hashes(reader: TableReader, column: str) -> Iterator[HashOf]:
    """Read chunk by chunk what tells the hash of a row's file."""
    name = result_names(column)[-1]
    if reader.schema.names.count(name) != 1:
        yield from repeat(lambda _: None)
    for chunk in reader.chunks(CHUNK_ROWS, columns=[name]):
        yield partial(_hash_of, chunk.table.column(name))


def _hash_of(cells: pa.ChunkedArray, row: int) -> bytes | None:
    return read_sha256(cells[row].as_py())


def _open_model(column: str, provenance: dict[str, Any] | None, options: SearchOptions) -> Embedder:
    """Load the model that a column's vectors are of."""
    name = options.model or _model_name(column, provenance)
    if provenance is None:
        warnings.warn(
            f"nothing says what the vectors of {column!r} were made with: they are taken as those of {name}",
            PixvecWarning,
            stacklevel=6,  # where `search` was called
        )
    shared = {field.name: getattr(options, field.name) for field in fields(ImageOptions)}
    embedder = Embedder(model=name, precision=options.precision, **shared)
    if provenance is not None:
        _check_space(column, provenance, embedder)
    return embedder


def _model_name(column: str, provenance: dict[str, Any] | None) -> StatedModel:
    stated = model_stated(provenance or {})
    if stated is None:
        raise UsageError(f"name the model that the vectors of {column!r} were made with, with `model`")
    return stated


def _check_space(column: str, provenance: dict[str, Any], embedder: Embedder) -> None:
    """Compare the model's weights with those that the vectors were made with."""
    needed, here = provenance.get("weights_sha256"), embedder.provenance()["weights_sha256"]
    if needed and needed != here:
        model = shown(provenance.get("model", "?"))
        raise UsageError(
            f"the vectors of {column!r} are of another model than {os.fspath(embedder.settings.model)}: they need "
            f"{model} (weights {str(needed)[:12]}, not {here[:12]}); name it with `model`"
        )


def _embed_texts(embedder: Embedder, texts: tuple[str, ...]) -> Vectors:
    return embedder.embed_query(list(texts)) if texts else np.empty((0, embedder.dim), np.float32)


def _embed_images(embedder: Embedder, images: tuple[object, ...]) -> Vectors:
    if not images:
        return np.empty((0, embedder.dim), np.float32)
    return embedder.embed_query(images=[_cell(image) for image in images])


def _cell(image: object) -> object:
    """Let the caller's own files in: whoever names a file here is no stranger."""
    is_file = isinstance(image, str) and os.path.isfile(image)  # noqa: PTH113 (a Path's own raises for long names)
    return Path(str(image)) if is_file else image


def _units(vectors: Vectors) -> NDArray[np.float64]:
    """Scale vectors to length 1; a zero vector stays zero."""
    exact = vectors.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1, keepdims=True)
    return np.asarray(np.divide(exact, lengths, out=exact, where=lengths > 0), np.float64)


def _listed(things: Any) -> tuple[Any, ...]:
    if things is None:
        return ()
    return tuple(things) if isinstance(things, list | tuple) else (things,)
