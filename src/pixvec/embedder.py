"""A model that is loaded once and used often, by any number of calls that share all that is open."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Sized
from contextlib import aclosing, closing
from dataclasses import dataclass, fields
from html import escape
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa

from pixvec.concurrency.forks import forget_in_children, once
from pixvec.errors import RowError, UsageError
from pixvec.model import ClipModel
from pixvec.options import Options, limit, takes_options
from pixvec.pipeline.images import aembed_cells, embed_cells
from pixvec.pipeline.progress import telling_progress
from pixvec.pipeline.provenance import provenance, text_provenance
from pixvec.pipeline.report import OnProgress, Report, most_common
from pixvec.pipeline.session import CLOSED, Session
from pixvec.pipeline.settings import Settings
from pixvec.pipeline.texts import embed_text_cells
from pixvec.run import TableColumns, check_holds_urls
from pixvec.tables import open_frame
from pixvec.tables.columns import is_lazy, open_column
from pixvec.tables.result_columns import ResultOptions, replaced_columns, result_schema, result_table
from pixvec.values import ImageFacts, Row, Vectors


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
        For each row what image was embedded; None where none was decoded, as of texts.
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


@dataclass(frozen=True, kw_only=True)
class EmbedderOptions(Settings):
    """How images are embedded that the caller has at hand, as a ``data:`` URL perhaps."""

    data_urls: bool = limit(True, minimum=0)


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
class BatchOptions(CallOptions, TableColumns):
    """How a table, or a batch of its rows, is embedded."""


class Embedder:
    """A model, loaded once and used often; takes the options of `embed_images`.

    It is a session: connections, what is known of hosts, limits, decode workers, the model's batches and the cache are
    opened by the first call and shared by all calls, from any number of threads and tasks, until `close`. An end or an
    interrupt of one call ends that call alone. Pickles by its settings: where it is unpickled, the model is loaded on
    first use, and so it is in a forked child.

    Parameters
    ----------
    **options
        The fields of `Settings`.

    Attributes
    ----------
    settings
        The options.

    Raises
    ------
    UsageError
        When an option has a value that it cannot take; of every method, after `close`.
    ModelError
        When the model cannot be found or read.
    """

    settings: Settings

    @takes_options(EmbedderOptions)
    def __init__(self, options: EmbedderOptions) -> None:
        self.__setstate__(options)
        self._model  # noqa: B018 (loads it: whoever names a wrong model wants to know now)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Make an embedder of settings at hand; its model is loaded on first use."""
        embedder = cls.__new__(cls)
        embedder.__setstate__(settings)
        return embedder

    @once
    def _model(self) -> ClipModel:
        return ClipModel.load(self.settings)

    @once
    def _session(self) -> Session:
        return Session(self.model, self.settings)

    @property
    def model(self) -> ClipModel:
        """The model."""
        if self._is_closed:
            raise UsageError(CLOSED)
        return self._model

    @property
    def session(self) -> Session:
        """What the calls share."""
        if self._is_closed:
            raise UsageError(CLOSED)
        return self._session

    @property
    def dim(self) -> int:
        """How many numbers a vector has."""
        return self.model.dim

    def __repr__(self) -> str:
        loaded = vars(self).get("_model")
        shown = {"model": self.settings.model, "precision": loaded.precision if loaded else self.settings.precision}
        defaults = {field.name: field.default for field in fields(EmbedderOptions) if field.repr}
        changed = {name: getattr(self.settings, name) for name in defaults if name not in shown}
        shown |= {name: value for name, value in changed.items() if value != defaults[name]}
        return f"Embedder({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

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
        return self._embed(_cells(images, "images"), texts=False, progress=progress)

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
        return self._embed(_cells(texts, "texts"), texts=True, progress=progress)

    async def aembed(self, images: object) -> Embeddings:
        """Embed a column of images, as `embed` does, for code that runs in an event loop.

        Cancelling it ends what is in progress for it.
        """
        report, dim, cells = Report(), self.dim, _cells(images, "images")
        async with aclosing(aembed_cells(cells, self.session, report)) as rows:
            found = [row async for row in rows]
        report.end()
        return _embeddings(found, report, dim)

    async def aembed_texts(self, texts: object) -> Embeddings:
        """Embed a column of texts, as `embed_texts` does, for code that runs in an event loop."""
        return await asyncio.to_thread(self.embed_texts, texts, progress=False)

    def embed_query(self, texts: str | list[str] | None = None, *, images: object = None) -> Vectors:
        """Embed queries, words or images at hand: (N, D) float32. Long texts are cut at the model's length.

        Parameters
        ----------
        texts
            A text, or several.
        images
            In their place, an image or several: a URL, a path or bytes, each of which must have a vector.

        Raises
        ------
        UsageError
            When something is no text, or an image has no vector.
        ModelError
            When the model has no text tower or no tokenizer.
        """
        if (texts is None) == (images is None):
            raise UsageError("embed_query takes texts, or images with `images`")
        if images is not None:
            return self._embed_queries(list(images) if isinstance(images, list | tuple) else [images])
        listed = [texts] if isinstance(texts, str) else list(texts or ())
        for text in listed:
            if not isinstance(text, str):
                raise UsageError(f"embed_query takes texts, not {type(text).__name__}")
        return self.model.embed_texts(listed)

    @takes_options(BatchOptions)
    def embed_table(self, table: object, options: BatchOptions) -> Any:
        """Embed a column of a table, or of a batch of rows, as `pixvec.embed_table` does.

        Parameters
        ----------
        table
            A table of any family that `pixvec.embed_table` takes.
        **options
            ``column``, or in its place ``texts``; ``output_column``, ``replace_column``, ``image_info``, ``progress``
            and ``errors``.
        """
        frame = open_frame(table)
        column, what = options.find_column(frame), "images" if options.texts is None else "texts"
        dropped = replaced_columns(frame.schema.names, options)
        cells = _cells(frame.column(column), what)
        if options.column is not None:  # else it was found by its cells
            check_holds_urls(cells, column, self.settings)
        schema = self._schema(options, what)
        rows = self.rows(cells, texts=what == "texts", progress=options.progress)
        results = result_table(list(raising(rows, options.errors)), schema)
        return frame.with_results(results, dropped=dropped)

    def rows(
        self,
        cells: Iterable[object],
        *,
        texts: bool = False,
        report: Report | None = None,
        progress: bool | OnProgress | None = None,
    ) -> Generator[Row, None, None]:
        """Embed cells while they are read: gives for each what it came to, in their order.

        Parameters
        ----------
        texts
            Whether the cells are texts, and not images.
        report
            Counts what happens.
        progress
            As in `embed`.
        """
        report = Report() if report is None else report
        report.n_expected = len(cells) if isinstance(cells, Sized) else None
        with telling_progress(progress) as on_progress:
            if texts:
                rows = embed_text_cells(cells, self.model, self.settings, report, on_progress)
            else:
                rows = embed_cells(cells, self.session, report, on_progress)
            with closing(rows):
                yield from rows
        report.end()

    def _embed(self, cells: Collection[object], *, texts: bool, progress: bool | OnProgress | None) -> Embeddings:
        report, dim = Report(), self.dim
        rows = list(self.rows(cells, texts=texts, report=report, progress=progress))
        return _embeddings(rows, report, dim)

    def _embed_queries(self, images: list[object]) -> Vectors:
        embedded = self.embed(images, progress=False)
        for image, error, detail in zip(images, embedded.errors, embedded.details, strict=True):
            if error is not None:
                shown = repr(str(image)) if isinstance(image, str | os.PathLike) else type(image).__name__
                raise UsageError(f"the image {shown} has no vector: {error}: {detail}")
        return embedded.vectors

    def _schema(self, options: ResultOptions, what: str) -> pa.Schema:
        stated = provenance if what == "images" else text_provenance
        return result_schema(self.dim, options, provenance=stated(self.model, self.settings))

    def provenance(self) -> dict[str, Any]:
        """State what the vectors of images are made with, in JSON's types."""
        return provenance(self.model, self.settings)

    def close(self) -> None:
        """End connections, decode workers and threads, and let go of the model's memory.

        A call that is in progress in another thread ends first.
        """
        self._is_closed = True
        if session := vars(self).pop("_session", None):
            session.close()
        vars(self).pop("_model", None)

    def forget_parent(self) -> None:
        """In a forked child, drop what the parent has open."""
        if session := vars(self).pop("_session", None):
            session.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __getstate__(self) -> Settings:
        return self.settings

    def __setstate__(self, settings: Settings) -> None:
        self.settings = settings
        self._is_closed = False
        forget_in_children(self)


def raising(rows: Generator[Row, None, None], errors: Literal["null", "raise"]) -> Generator[Row, None, None]:
    """Raise the error of the first row without a vector, where that was asked for."""
    with closing(rows):
        for number, row in enumerate(rows):
            if row.error and errors == "raise":
                raise RowError(row.error, f"row {number:,} (counted from 0): {row.detail}")
            yield row


def _embeddings(rows: list[Row], report: Report, dim: int) -> Embeddings:
    return Embeddings(
        vectors=stacked(rows, dim),
        errors=[row.error for row in rows],
        details=[row.detail for row in rows],
        images=[row.image for row in rows],
        report=report,
    )


def _cells(column: object, what: str) -> Collection[object]:
    """Read a column's cells as images; texts stay as they are."""
    opened = open_column(list(column) if is_lazy(column) else column, what=what)
    return opened if what == "images" else opened.values


def stacked(rows: list[Row], dim: int) -> Vectors:
    """Put the vectors of rows below each other, (N, D); NaN where a row has none."""
    vectors = np.full((len(rows), dim), np.nan, dtype=np.float32)  # (N, D)
    for vector, row in zip(vectors, rows, strict=True):
        if row.vector is not None:
            vector[:] = row.vector
    return vectors
