"""What the steps do that embed: a column of images or texts in, a vector for each row out."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from pixvec.pipeline.images import embed_alone
from pixvec.pipeline.provenance import provenance, text_provenance
from pixvec.pipeline.report import Report
from pixvec.pipeline.texts import embed_text_cells
from pixvec.recipe.context import StepContext
from pixvec.recipe.dataset import CHUNK_ROWS, InputColumn
from pixvec.recipe.signature import Work
from pixvec.tables.result_columns import ResultOptions, result_schema, result_table
from pixvec.values import Row

_SUFFIXES: Final = ResultOptions(output_column="")


def prepare_images(context: StepContext, params: Mapping[str, Any]) -> Work:
    """Load the model that images are to be embedded with."""
    settings = replace(context.options, **params)
    model = context.model(settings)
    return partial(_embed, context, partial(embed_alone, model=model, settings=settings), provenance(model, settings))


def prepare_texts(context: StepContext, params: Mapping[str, Any]) -> Work:
    """Load the model that texts are to be embedded with, and try it, as not every model reads texts."""
    settings = replace(context.options, **params)
    model = context.model(settings)
    model.embed_texts([""])
    pipeline = partial(embed_text_cells, model=model, options=settings)
    return partial(_embed, context, pipeline, text_provenance(model, settings))


def _embed(
    context: StepContext,
    pipeline: Callable[..., Generator[Row, None, None]],
    facts: Mapping[str, Any],
    cells: InputColumn,
) -> list[pa.Table]:
    report = Report()
    context.reports.append(report)
    schema = result_schema(facts["dim"], _SUFFIXES, provenance=facts)
    with (
        context.telling_progress(cells.expected_rows) as on_progress,
        closing(pipeline(cells.cells(), report=report, on_progress=on_progress)) as rows,
    ):
        table = _table(rows, schema)
    context.tell(str(report.end()))
    return [table]


def _table(rows: Iterable[Row], schema: pa.Schema) -> pa.Table:
    """Gather rows as Arrow, which holds them in a fraction of what Python needs."""
    rows = iter(rows)
    pieces = iter(lambda: list(islice(rows, CHUNK_ROWS)), [])
    return pa.concat_tables([schema.empty_table(), *(result_table(piece, schema) for piece in pieces)])
