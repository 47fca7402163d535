"""The functions users call: columns, tables and files in, the same with vectors out."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sized
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from html import escape
from typing import Any, Concatenate, Literal, ParamSpec, Protocol, Self, TypeAlias, cast, overload

import numpy as np
from numpy.typing import NDArray

from pixvec.columns import Column, image_cell, is_lazy, open_column, value_cell
from pixvec.cores import n_cores
from pixvec.errors import PixvecWarning, RowError, UsageError
from pixvec.forks import once
from pixvec.isolation import KeptWorkers
from pixvec.model import ClipModel, ModelOptions
from pixvec.options import Options, limit, takes_options
from pixvec.pipeline import embed_cells
from pixvec.progress import telling_progress
from pixvec.provenance import provenance, text_provenance
from pixvec.report import OnProgress, Report, most_common
from pixvec.result_columns import replaced_columns, result_schema, result_table
from pixvec.run import FileOptions, StrPath, TableOptions, check_holds_urls, run_file
from pixvec.settings import Settings
from pixvec.table import open_frame
from pixvec.texts import embed_text_cells
from pixvec.values import ImageFacts, Row, Vector, Vectors

P = ParamSpec("P")


@dataclass(frozen=True, slots=True, repr=False)
class Embeddings:
    """What a column of N images or texts came to, row by row.

    Parameters
    ----------
    vectors
        (N, D) float32; a row that failed is NaN.
    errors, details
        For each row its code and its sentence; None where there is a vector.
    images
        For each row what picture was embedded; None where none was decoded, as of texts.
    report
        The counts of the call.
    """

    vectors: Vectors
    errors: list[str | None]
    details: list[str | None]
    images: list[ImageFacts | None]
    report: Report

    def summary(self) -> str:
        """Say in a few lines what happened: rows, vectors, failures by cause, pace."""
        return str(self.report)

    def __repr__(self) -> str:
        failed = f", {self._n_failed:,} without a vector ({self._reasons})" if self._n_failed else ""
        return f"<pixvec.Embeddings of {len(self.vectors):,} rows, dim {self.vectors.shape[1]:,}{failed}>"

    def _repr_html_(self) -> str:
        facts = {"rows": len(self.vectors), "dim": self.vectors.shape[1], "without a vector": self._n_failed}
        counts = Counter(filter(None, self.errors))
        shown = {name: f"{n:,}" for name, n in [*facts.items(), *counts.most_common()]}
        rows = (f"<tr><th>{escape(name)}</th><td>{escape(n)}</td></tr>" for name, n in shown.items())
        return f"<table>{''.join(rows)}</table>"

    @property
    def _n_failed(self) -> int:
        return len(self.errors) - self.errors.count(None)

    @property
    def _reasons(self) -> str:
        return most_common(Counter(filter(None, self.errors)), 3)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Embedder(Settings):
    """A model, loaded once and used often; takes the options of `embed_images`.

    May be used from several threads. Pickles by its settings: where it is unpickled, the model is loaded on first use.
    The processes that decode wait for the next call, until `close`, or until a call is interrupted.

    Raises
    ------
    UsageError
        When an option has a value that it cannot take.
    ModelError
        When the model cannot be found or read.
    """

    data_urls: bool = limit(True, minimum=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._model  # noqa: B018 (loads it: whoever names a wrong model wants to know now)

    @once
    def _model(self) -> ClipModel:
        return ClipModel.load(self)

    @once
    def _workers(self) -> KeptWorkers:
        return KeptWorkers(n_cores())

    def __repr__(self) -> str:
        shown = {"model": self.model, "precision": self._model.precision if "_model" in vars(self) else self.precision}
        known = (field for field in fields(self) if field.repr and field.name not in shown)
        changed = {field.name: getattr(self, field.name) for field in known}
        defaults = {field.name: field.default for field in fields(self)}
        shown |= {name: value for name, value in changed.items() if value != defaults[name]}
        return f"Embedder({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return self._model.dim

    def embed(self, images: object, *, progress: bool | OnProgress | None = None) -> Embeddings:
        """Embed a column of images.

        Parameters
        ----------
        images
            The column, N cells, of any family that `embed_images` takes; an iterator is read to its end.
        progress
            True for a bar, False for none, None for a bar where a person watches; or a function, called with the
            report about five times a second.
        """
        try:
            return self._embed(partial(embed_cells, kept=self._workers), images, "images", progress)
        except BaseException:
            self._end_workers()
            raise

    def embed_texts(self, texts: object, *, progress: bool | OnProgress | None = None) -> Embeddings:
        """Embed a column of texts into the space of the images.

        Parameters
        ----------
        texts
            The column, N cells, of any family that `pixvec.embed_texts` takes; an iterator is read to its end.
        progress
            As in `embed`.

        Raises
        ------
        ModelError
            When the model has no text tower or no tokenizer.
        """
        return self._embed(embed_text_cells, texts, "texts", progress)

    def embed_text(self, texts: str | list[str]) -> Vectors:
        """Embed queries, texts at hand: (N, D) float32. Long texts are cut at the model's length.

        Raises
        ------
        UsageError
            When something is no text.
        ModelError
            When the model has no text tower or no tokenizer.
        """
        listed = [texts] if isinstance(texts, str) else list(texts)
        for text in listed:
            if not isinstance(text, str):
                raise UsageError(f"embed_text takes texts, not {type(text).__name__}")
        return self._model.embed_texts(listed)

    def _embed(self, road: _Road, column: object, what: str, progress: bool | OnProgress | None) -> Embeddings:
        cells = open_column(list(column) if is_lazy(column) else column, what=what)
        report = Report()
        rows = list(_rows(road, _cells(cells, what), self._model, self, report, progress=progress))
        return Embeddings(
            vectors=_vectors(rows, self.dim),
            errors=[row.error for row in rows],
            details=[row.detail for row in rows],
            images=[row.image for row in rows],
            report=report,
        )

    def provenance(self) -> dict[str, Any]:
        """State what the vectors of images are made with, in JSON's types."""
        return provenance(self._model, self)

    def close(self) -> None:
        """Let go of the model's memory, and end the processes that decode."""
        self.__dict__.pop("_model", None)
        self._end_workers()

    def _end_workers(self) -> None:
        if workers := self.__dict__.pop("_workers", None):
            workers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in {"_model", "_workers"}}


@dataclass(frozen=True, kw_only=True)
class CallOptions(Options):
    """How a call tells what happens.

    Parameters
    ----------
    progress
        As in `Embedder.embed`.
    errors
        What a row without a vector does: "null" leaves it empty, "raise" raises the error of the first.
    """

    progress: bool | OnProgress | None = None
    errors: Literal["null", "raise"] = limit("null")


@dataclass(frozen=True, kw_only=True)
class ColumnOptions(CallOptions, Settings):
    """How a column of images in memory is embedded."""

    data_urls: bool = limit(True, minimum=0)


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
        array or a column of `datasets`. A cell is the text of a URL, the bytes of a picture, a `pathlib.Path`, a
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
    return _embed_column(embed_cells, images, "images", options)


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
    return _embed_column(embed_text_cells, texts, "texts", options)


def _embed_column(road: _Road, given: object, what: str, options: ColumnOptions | TextOptions) -> Any:
    if is_lazy(given):
        return _embed_lazily(road, map(image_cell if what == "images" else value_cell, given), options)
    column = open_column(given, what=what)
    model = ClipModel.load(options)
    report = Report()
    cells = _cells(column, what)
    rows = list(_raising(_rows(road, cells, model, options, report, progress=options.progress), options))
    _warn_of_failures(report, stacklevel=5)
    return column.wrap(_vectors(rows, model.dim), np.array([row.vector is None for row in rows], dtype=bool))


def _embed_lazily(
    road: _Road, cells: Iterator[object], options: ColumnOptions | TextOptions
) -> Iterator[Vector | None]:
    """Embed cells as they come; nothing begins before the first vector is asked for."""
    report = Report()
    rows = _rows(road, cells, ClipModel.load(options), options, report, progress=options.progress)
    with closing(_raising(rows, options)) as decided:
        for row in decided:
            yield row.vector
    _warn_of_failures(report, stacklevel=3)


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
    frame = open_frame(table)
    column = options.find_column(frame)
    road, facts = (embed_cells, provenance) if options.texts is None else (embed_text_cells, text_provenance)
    dropped = replaced_columns(frame.schema.names, options)
    cells = _cells(open_column(frame.column(column)), "images" if options.texts is None else "texts")
    if options.column is not None:  # else it was found by its cells
        check_holds_urls(cells, column, options)
    model = ClipModel.load(options)
    rows = list(_raising(_rows(road, cells, model, options, Report(), progress=options.progress), options))
    schema = result_schema(model.dim, options, provenance=facts(model, options))
    return frame.with_results(result_table(rows, schema), dropped=dropped)


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
        follow those of text. The input may be a pattern or a folder too, also one of pictures. An output that ends in
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


_Road: TypeAlias = Callable[[Iterable[object], ClipModel, Any, Report, OnProgress | None], Generator[Row, None, None]]
"""What takes cells to rows: `embed_cells` those of images, `embed_text_cells` those of texts."""


def _rows(
    road: _Road,
    cells: Iterable[object],
    model: ClipModel,
    options: ModelOptions,
    report: Report,
    *,
    progress: bool | OnProgress | None,
) -> Generator[Row, None, None]:
    """Take cells to their rows; the report ends with them."""
    report.n_expected = len(cells) if isinstance(cells, Sized) else None
    with (
        telling_progress(progress) as on_progress,
        closing(road(cells, model, options, report, on_progress)) as rows,
    ):
        yield from rows
    report.end()


def _cells(column: Column, what: str) -> Collection[object]:
    """Read a column's cells as images; texts stay as they are."""
    return column if what == "images" else column.values


def _raising(rows: Generator[Row, None, None], options: CallOptions) -> Generator[Row, None, None]:
    """Raise the error of the first row without a vector, where that was asked for."""
    with closing(rows):
        for number, row in enumerate(rows):
            if row.error and options.errors == "raise":
                raise RowError(row.error, f"row {number:,} (counted from 0): {row.detail}")
            yield row


def _warn_of_failures(report: Report, *, stacklevel: int) -> None:
    if report.n_failed:
        counts = f"{report.n_failed:,} of {report.n_rows:,} rows have no vector ({most_common(report.failures)})"
        advice = f". {report.main_reason}: {report.advice}" if report.advice else ""
        warnings.warn(f"{counts}; embed_table says why for each{advice}", PixvecWarning, stacklevel=stacklevel)


def _vectors(rows: list[Row], dim: int) -> Vectors:
    vectors = np.full((len(rows), dim), np.nan, dtype=np.float32)  # (N, D)
    for vector, row in zip(vectors, rows, strict=True):
        if row.vector is not None:
            vector[:] = row.vector
    return vectors
