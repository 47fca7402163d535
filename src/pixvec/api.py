"""The functions users call: columns, tables and files in, the same with vectors out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from typing import Any, Concatenate, ParamSpec, Protocol, cast, overload

import numpy as np
from numpy.typing import NDArray

from pixvec.embedder import BatchOptions, CallOptions, Embedder, EmbedderOptions, raising, stacked
from pixvec.errors import PixvecWarning
from pixvec.model import ModelOptions
from pixvec.options import takes_options
from pixvec.pipeline.report import Report, most_common
from pixvec.pipeline.settings import Settings
from pixvec.run import FileOptions, StrPath, TableOptions, run_file
from pixvec.tables.columns import image_cell, is_lazy, open_column, value_cell
from pixvec.values import Vector, Vectors

P = ParamSpec("P")


@dataclass(frozen=True, kw_only=True)
class ColumnOptions(CallOptions, EmbedderOptions):
    """How a column of images in memory is embedded."""


@dataclass(frozen=True, kw_only=True)
class TextOptions(CallOptions, ModelOptions):
    """How a column of texts in memory is embedded."""


@dataclass(frozen=True, kw_only=True)
class FrameOptions(ColumnOptions, TableOptions):
    """How a table in memory is embedded."""


class _ByFamily(Protocol[P]):
    """Says which family comes out; pandas, polars, pyarrow and `datasets` need not be there to be spoken of."""

    @overload
    def __call__(
        self, column: list[Any] | tuple[Any, ...], /, *none: P.args, **options: P.kwargs
    ) -> list[Vector | None]: ...

    @overload
    def __call__(self, column: Iterator[Any], /, *none: P.args, **options: P.kwargs) -> Iterator[Vector | None]: ...

    @overload
    def __call__(self, column: NDArray[Any], /, *none: P.args, **options: P.kwargs) -> Vectors: ...

    @overload
    def __call__(self, column: Any, /, *none: P.args, **options: P.kwargs) -> Any: ...


def _by_family(function: Callable[Concatenate[Any, P], Any]) -> _ByFamily[P]:
    return cast("_ByFamily[P]", function)


@_by_family
@takes_options(ColumnOptions)
def embed_images(images: object, options: ColumnOptions) -> Any:
    """Embed a column of image URLs: the same family comes back, with a vector in each row.

    Parameters
    ----------
    images
        N cells: a list, a tuple, an iterator, a one-dimensional NumPy array, a pandas or polars Series, a pyarrow
        array or a column of `datasets`. A cell is the text of a URL, the bytes of an image, a `pathlib.Path`, a
        `PIL.Image.Image`, the struct ``{"bytes": …, "path": …}``, or null.
    **options
        The fields of `Settings`; ``progress`` as in `Embedder.embed`; ``errors="raise"`` raises the error of the
        first row that has no vector.

    Returns
    -------
    list, iterator, numpy.ndarray, pandas.Series, polars.Series or pyarrow array
        For a list, a tuple or a column of `datasets`, a list of float32 arrays (D,), None where a row has no vector;
        for an iterator, an iterator of them, which embeds as it is read; for a NumPy array, (N, D) float32 with NaN
        rows; for pandas, an object Series of float32 arrays and None with the same index; for polars,
        ``Array(Float32, D)``; for pyarrow, ``FixedSizeList<float32>[D]``.

    Raises
    ------
    UsageError
        When `images` is no column, or an option has a value that it cannot take.
    ModelError
        When the model cannot be found or read.
    RowError
        With ``errors="raise"``, when a row has no vector.

    Warns
    -----
    PixvecWarning
        Once, when rows have no vector: counts the reasons.
    """
    return _embed_column(images, "images", options, options)


@_by_family
@takes_options(TextOptions)
def embed_texts(texts: object, options: TextOptions) -> Any:
    """Embed a column of texts into the space of the images: the same family comes back, with a vector in each row.

    A text is cut where the model's length ends, 77 tokens for CLIP, its end included, as transformers does it; the
    summary of `Embedder.embed_texts` says how many were. A text that comes again is embedded once.

    Parameters
    ----------
    texts
        N cells, of any family that `embed_images` takes. A cell is a text or null; one without a letter is as null.
    **options
        ``model``, ``precision``, ``normalize`` and ``batch_size`` of `Settings`; ``progress`` and ``errors`` as in
        `embed_images`.

    Returns
    -------
    list, iterator, numpy.ndarray, pandas.Series, polars.Series or pyarrow array
        As in `embed_images`.

    Raises
    ------
    UsageError
        When `texts` is no column, or an option has a value that it cannot take.
    ModelError
        When the model cannot be found or read, or has no text tower or no tokenizer.
    RowError
        With ``errors="raise"``, when a row has no vector.

    Warns
    -----
    PixvecWarning
        Once, when rows have no vector: counts the reasons.
    """
    return _embed_column(texts, "texts", _part(Settings, options), options)


@takes_options(FrameOptions)
def embed_table(table: object, options: FrameOptions) -> Any:
    """Embed a table's column of image URLs, or of texts: the same table comes back with vector, reason and image facts.

    Parameters
    ----------
    table
        A pandas or polars DataFrame, a pyarrow Table, a Dataset of `datasets`, or anything that gives itself as a
        stream of Arrow's, as DuckDB's relations do.
    **options
        The fields of `TableOptions`: ``column`` (found by its cells when not given), or in its place ``texts``, a
        column of texts; ``output_column``, ``replace_column``, ``image_info`` and those of `Settings`;
        ``progress`` and ``errors`` as in `embed_images`.

    Returns
    -------
    pandas.DataFrame, polars.DataFrame, datasets.Dataset or pyarrow.Table
        The table with the columns ``embedding``, ``embedding_error``, ``embedding_detail`` and, of images,
        ``embedding_image``.

    Raises
    ------
    UsageError
        When the column cannot be found, or a result column exists.
    ModelError
        When the model cannot be found or read.
    """
    columns = {name: getattr(options, name) for name in (field.name for field in fields(BatchOptions))}
    with Embedder.of(options) as embedder:
        return embedder.embed_table(table, **columns)


@takes_options(FileOptions)
def embed_file(input: StrPath, output: StrPath, options: FileOptions) -> Report:
    """Embed a table file's column of image URLs, or of texts, and write the table with the vectors to another file.

    Rows are streamed: the file may be larger than memory. The output appears whole, at the end, or not at all. A run
    that was stopped, however that happened, goes on when it is called again with the same arguments; a finished output
    is left as it is.

    Parameters
    ----------
    input, output
        Paths of CSV, TSV, JSON Lines, Parquet or Arrow files, told apart by their endings; ``.gz`` or ``.zst`` may
        follow those of text. The input may be a pattern or a folder too, also one of images. An output that ends in
        ``.npy`` holds the vectors alone; one that ends in a slash, or is a folder, becomes a folder of Parquet files,
        one for each part.
    **options
        The fields of `FileOptions`: those of `embed_table`, ``limit``, ``max_failed``, ``part_rows``, ``restart``,
        ``retry_failed``, ``retry_codes``, ``keep_going``, ``quiet``; for text ``delimiter``, ``encoding``,
        ``no_header``, ``no_quoting``, ``infer_types``; ``progress`` as in `Embedder.embed`.

    Raises
    ------
    UsageError
        Before any work: when a file, a column or an option is not as it must be, or what is there was made otherwise.
    ModelError
        When the model cannot be found or read.
    RunError
        When the output cannot be written, or the input changes meanwhile; a note says what is safe.
    TooManyFailedError, BugsMetError
        When the output is whole, and more rows failed than ``max_failed`` allows, or met a bug with ``keep_going``.
    """
    return run_file(input, output, options)


def _warn_of_failures(report: Report, *, stacklevel: int) -> None:
    if report.n_failed:
        counts = f"{report.n_failed:,} of {report.n_rows:,} rows have no vector ({most_common(report.failures)})"
        advice = f". {report.main_reason}: {report.advice}" if report.advice else ""
        warnings.warn(f"{counts}; embed_table says why for each{advice}", PixvecWarning, stacklevel=stacklevel)


def _embed_column(given: object, what: str, settings: Settings, options: ColumnOptions | TextOptions) -> Any:
    if is_lazy(given):
        read = image_cell if what == "images" else value_cell
        return _embed_lazily(map(read, given), what, settings, options)
    column = open_column(given, what=what)
    report = Report()
    with Embedder.of(settings) as embedder:
        cells = column if what == "images" else column.values
        rows = embedder.rows(cells, texts=what == "texts", report=report, progress=options.progress)
        found = list(raising(rows, options.errors))
        vectors = stacked(found, embedder.dim)
    _warn_of_failures(report, stacklevel=5)
    return column.wrap(vectors, np.array([row.vector is None for row in found], dtype=bool))


def _embed_lazily(
    cells: Iterator[object], what: str, settings: Settings, options: ColumnOptions | TextOptions
) -> Iterator[Vector | None]:
    """Embed cells as they come; nothing begins before the first vector is asked for."""
    report = Report()
    with Embedder.of(settings) as embedder:
        rows = embedder.rows(cells, texts=what == "texts", report=report, progress=options.progress)
        with closing(raising(rows, options.errors)) as decided:
            for row in decided:
                yield row.vector
    _warn_of_failures(report, stacklevel=3)


def _part(kind: type[Settings], options: ModelOptions) -> Settings:
    """Take the options that a class of settings shares with others; the rest have their defaults."""
    shared = {field.name for field in fields(kind)} & {field.name for field in fields(options)}
    return kind(**{name: getattr(options, name) for name in shared})
