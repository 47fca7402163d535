"""A table file in, the same table with result columns out, streamed: the output appears whole or not at all.

A chunk is written as soon as its last row is decided.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from pixvec.columns import open_column
from pixvec.errors import RunError, UsageError
from pixvec.fetch import looks_like_url
from pixvec.model import ClipModel
from pixvec.options import option
from pixvec.pipeline import embed_cells
from pixvec.progress import telling_progress
from pixvec.provenance import provenance, write_provenance
from pixvec.report import OnProgress, Report, TooManyFailedError
from pixvec.result_columns import ResultOptions, replaced_columns, result_schema, result_table
from pixvec.run.replace import replacing
from pixvec.settings import Settings
from pixvec.table import Chunk, TableReader, check_output, create_table, find_url_column, keeps_metadata, open_table
from pixvec.values import Row

StrPath: TypeAlias = str | os.PathLike[str]

_CHUNK_ROWS = 512
_COUNT_OR_SHARE = re.compile(r"(\d+(?:\.\d+)?)(%?)")


@dataclass(frozen=True, kw_only=True)
class TableOptions(ResultOptions, Settings):
    """How a table is embedded: where its URLs are, and what the new columns are."""

    column: str | None = option(None, "the column of URLs; found by its cells when not given")


@dataclass(frozen=True, kw_only=True)
class FileOptions(TableOptions):
    """How a table file is embedded."""

    limit: int | None = option(None, "embed only this many rows, the first ones", minimum=0)
    max_failed: str | int | None = option(
        None, "how many rows may fail before the run counts as failed (exit status 3): 100, or 5%"
    )
    restart: bool = option(False, "replace an output that exists, once the new one is whole")
    quiet: bool = option(False, "no progress and no summary")
    progress: bool | OnProgress | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.max_failed_rows(0)

    def max_failed_rows(self, n_rows: int) -> float:
        """Count how many of `n_rows` rows may fail."""
        if self.max_failed is None:
            return math.inf
        match = _COUNT_OR_SHARE.fullmatch(str(self.max_failed))
        if not match:
            raise UsageError(f"max_failed={self.max_failed!r}: expected a number of rows, as 100, or a share, as 5%")
        return float(match[1]) / 100 * n_rows if match[2] else float(match[1])


def run_file(input: StrPath, output: StrPath, options: FileOptions) -> Report:
    """Embed a column of a table file."""
    output = Path(output)
    check_output(input, output)
    source = open_table(input)
    column = find_url_column(source, options.column, looks_like_url=looks_like_url)
    dropped = replaced_columns(source.schema.names, options)
    report = Report()
    with replacing(output, restart=options.restart) as unfinished:
        model = ClipModel.load(options)
        made_with = provenance(model, options)
        results = result_schema(model.dim, options, provenance=made_with)
        with (
            create_table(unfinished, source, results, ending=output.suffix, dropped=dropped) as writer,
            closing(_embed_chunks(source, column, model, options, report)) as chunks,
        ):
            for chunk, rows in chunks:
                writer.write(chunk, result_table(rows, results))
    if not keeps_metadata(output):
        write_provenance(output, made_with)
    report.end()
    if report.n_failed > options.max_failed_rows(report.n_rows):
        raise TooManyFailedError(output, report, options.max_failed)
    return report


def _embed_chunks(
    source: TableReader, column: str, model: ClipModel, options: FileOptions, report: Report
) -> Generator[tuple[Chunk, list[Row]], None, None]:
    """Pair each chunk with its rows. The table is read twice, so that of what is read ahead only the cells are held."""
    wanted = False if options.quiet else options.progress
    cells = _cells(source, column, options.limit)
    with (
        _broken_by_input(),
        telling_progress(wanted, _n_rows(source, options.limit)) as on_progress,
        closing(embed_cells(cells, model, options, report, on_progress)) as rows,
    ):
        for chunk in _first_rows(source.chunks(_CHUNK_ROWS), options.limit):
            decided = list(islice(rows, chunk.table.num_rows))
            if len(decided) < chunk.table.num_rows:
                raise RunError("the input lost rows while it was read")
            yield chunk, decided
        if next(rows, None) is not None:
            raise RunError("the input gained rows while it was read")


def _cells(source: TableReader, column: str, limit: int | None) -> Iterator[object]:
    for chunk in _first_rows(source.chunks(_CHUNK_ROWS, columns=[column]), limit):
        yield from open_column(chunk.table.column(column).to_pylist()).cells


@contextmanager
def _broken_by_input() -> Iterator[None]:
    """Call what is found wrong with the input now a broken run: work has begun."""
    try:
        yield
    except UsageError as error:
        raise RunError(str(error)) from error


def _first_rows(chunks: Iterator[Chunk], limit: int | None) -> Iterator[Chunk]:
    n_left = math.inf if limit is None else limit
    for chunk in chunks:
        if n_left <= 0:
            return
        yield chunk if chunk.table.num_rows <= n_left else chunk.head(int(n_left))
        n_left -= chunk.table.num_rows


def _n_rows(source: TableReader, limit: int | None) -> int | None:
    return source.n_rows if limit is None or source.n_rows is None else min(source.n_rows, limit)
