"""What the steps do that embed: a column of images or texts in, a vector for each row out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final, TypeGuard

import pyarrow as pa

from pixvec.model import ClipModel
from pixvec.pipeline import embed_cells
from pixvec.provenance import provenance
from pixvec.recipe.dataset import CHUNK_ROWS, InputColumn
from pixvec.recipe.session import Session
from pixvec.recipe.signature import Work
from pixvec.report import OnProgress, Report
from pixvec.result_columns import ResultOptions, result_schema, result_table
from pixvec.settings import Settings
from pixvec.values import Row

_SUFFIXES: Final = ResultOptions(output_column="")
_NO_TEXT: Final = Row(error="null_input", detail="the cell holds no text")


def prepare_images(session: Session, params: Mapping[str, Any]) -> Work:
    """Load the model that images are to be embedded with."""
    settings = replace(session.options, **params)
    return partial(_embed_images, session, settings, session.model(settings))


def prepare_texts(session: Session, params: Mapping[str, Any]) -> Work:
    """Load the model that texts are to be embedded with, and try it, as not every model reads texts."""
    settings = replace(session.options, **params)
    model = session.model(settings)
    model.embed_texts([""])
    return partial(_embed_texts, session, settings, model)


def _embed_images(session: Session, settings: Settings, model: ClipModel, images: InputColumn) -> list[pa.Table]:
    report = Report()
    schema = result_schema(model.dim, _SUFFIXES, provenance=provenance(model, settings))
    with (
        session.telling_progress(images.n_rows) as on_progress,
        closing(embed_cells(images.cells(), model, settings, report, on_progress)) as rows,
    ):
        table = _table(rows, schema)
    session.tell(str(report.end()))
    return [table]


def _embed_texts(session: Session, settings: Settings, model: ClipModel, texts: InputColumn) -> list[pa.Table]:
    report = Report()
    vector = result_schema(model.dim, _SUFFIXES, provenance=provenance(model, settings)).field(0)
    with session.telling_progress(texts.n_rows) as on_progress:
        table = _table(_text_rows(model, texts.cells(), report, on_progress), pa.schema([vector]))
    session.tell(f"{report.n_rows:,} rows: {report.n_vectors:,} vectors, {report.n_failed:,} without a text")
    return [table]


def _text_rows(
    model: ClipModel, cells: Iterator[object], report: Report, on_progress: OnProgress | None
) -> Iterator[Row]:
    """Embed texts; what is null, empty or no text has no vector."""
    while batch := list(islice(cells, CHUNK_ROWS)):
        texts = [cell for cell in batch if _is_text(cell)]
        vectors = iter(model.embed_texts(texts) if texts else ())
        for cell in batch:
            row = Row(vector=next(vectors)) if _is_text(cell) else _NO_TEXT
            report.count(row, None)
            yield row
        if on_progress:
            on_progress(report)


def _is_text(cell: object) -> TypeGuard[str]:
    return isinstance(cell, str) and bool(cell)


def _table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """Gather rows as Arrow, which holds them in a fraction of what Python needs."""
    rows = iter(rows)
    pieces = iter(lambda: list(islice(rows, CHUNK_ROWS)), [])
    return pa.concat_tables([schema.empty_table(), *(result_table(piece, schema) for piece in pieces)])
