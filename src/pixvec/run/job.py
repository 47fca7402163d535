"""One table to be embedded: where its rows come from, what embeds them, and what decides how they come out."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from pixvec.errors import RunError, UsageError
from pixvec.model import ClipModel
from pixvec.pipeline.images import embed_unordered
from pixvec.pipeline.progress import telling_progress
from pixvec.pipeline.provenance import folder_facts, provenance, same_bits, text_provenance
from pixvec.pipeline.reach import LIFTABLE, lifted_codes, reach, reach_of
from pixvec.pipeline.report import OnProgress, Report
from pixvec.pipeline.session import Session
from pixvec.pipeline.texts import embed_text_cells
from pixvec.run.log import keeping_log, log_path
from pixvec.run.options import FileOptions
from pixvec.run.parts import Part
from pixvec.tables import Chunk, TableReader, expected_rows
from pixvec.tables.result_columns import result_schema
from pixvec.values import Row

CHUNK_ROWS = 512
"""Rows that are read at a time. Hashes of rows depend on it."""


class InputError(RunError):
    """The input cannot be read to its end, or is not what it was: the same command would meet that again."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a run works on.

    Parameters
    ----------
    input, output
        The files that the rows come from and go to, as the user named them.
    column
        The column of URLs, or of texts.
    dropped
        Columns of the source that the result columns take the place of.
    counted
        The table whose rows the report counts, where that is not the source.
    retried_sha256
        The hash of the finished table whose rows are embedded again; None where a table is embedded.
    lifted
        Codes of its rows that are embedded again because more is allowed than when they were decided.
    """

    input: Path
    output: Path
    source: TableReader
    column: str
    dropped: Collection[str]
    options: FileOptions
    counted: TableReader | None = None
    retried_sha256: str | None = None
    lifted: Collection[str] = frozenset()
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.report.is_of_texts = self.options.texts is not None
        self.report.column = self.column

    @cached_property
    def model(self) -> ClipModel:
        """What embeds; loaded when first asked for."""
        return ClipModel.load(self.options)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """What the vectors are made with."""
        if self.options.texts is not None:
            return text_provenance(self.model, self.options)
        return provenance(self.model, self.options) | folder_facts(self.options.files_under, self.output)

    @cached_property
    def results(self) -> pa.Schema:
        """The result columns."""
        return result_schema(self.model.dim, self.options, provenance={**self.provenance, **self.made_with})

    @property
    def stated_reach(self) -> dict[str, Any]:
        """What lets rows in, and where their files are, as the provenance states it."""
        return reach_of(self.provenance) | folder_facts(self.options.files_under, self.output)

    @property
    def made_with(self) -> dict[str, Any]:
        """What decides the rows of a table, the input aside."""
        return {
            **same_bits(self.provenance),
            **reach_of(self.provenance),
            "column": self.column,
            "output_column": self.options.output_column,
            "image_info": self.options.image_info,
        }

    @property
    def facts(self) -> dict[str, Any]:
        """What the parts of one run agree in."""
        which = ", ".join(filter(None, [self.options.retried_words, *sorted(self.lifted)]))
        return {**self.made_with, "retry": which or None, "table_sha256": self.retried_sha256}

    def lifted_codes(self, then: Mapping[str, Any]) -> set[str]:
        """Name the codes of rows, made with the facts `then`, that an option may lift which lets in more now."""
        return lifted_codes(then, reach(self.options))

    def liftable(self, parts: Iterable[Part]) -> dict[str, list[str]]:
        """State, as a fact of a table, which codes of its rows were decided before an option was widened."""
        codes = {code for part in parts for code in self.lifted_codes(part.facts) & part.failures.keys()}
        return {LIFTABLE: sorted(codes)} if codes else {}

    @property
    def is_retry(self) -> bool:
        """Whether rows of a finished output are embedded again."""
        return self.options.retried_words is not None

    @property
    def n_rows(self) -> int | None:
        """How many rows there are; None where that takes reading them."""
        n_rows, limit = self.source.n_rows, self.options.limit
        return n_rows if limit is None or n_rows is None else min(n_rows, limit)

    def expected_rows(self) -> int | None:
        """Return how many rows there will be, or an estimate while they are read; None where there is neither."""
        n_rows, limit = expected_rows(self.counted or self.source), self.options.limit
        return n_rows if limit is None or n_rows is None else min(n_rows, limit)

    def changed(self, change: str) -> UsageError:
        """Refuse an input that is not what it was when rows of it were embedded."""
        ways_on = "go on with what it was, or throw the finished parts away with `restart=True`"
        return UsageError(f"{self.input} {change}: {ways_on}")

    @contextmanager
    def telling_progress(self, n_rows: int | None = None) -> Iterator[OnProgress]:
        """Give what the report is told to, the log and who watches; with `n_rows` where their number is known."""
        expected = self.expected_rows if n_rows is None else lambda: n_rows
        wanted = False if self.options.quiet else self.options.progress
        with (
            telling_progress(wanted, expected, n_resumed=self.report.n_resumed) as show,
            keeping_log(log_path(self.output.resolve()), self.report, anew=self.options.restart) as log,
        ):

            def tell(report: Report) -> None:
                log(report)
                if show:
                    show(report)

            yield tell

    def embed(
        self,
        cells: Iterable[object],
        on_progress: OnProgress,
        *,
        n_unkept: Callable[[], int],
        is_full: Callable[[], bool] = lambda: False,
    ) -> Generator[tuple[int, Row], None, None]:
        """Take cells to their rows, each handed out with its cell's number as soon as it is decided."""
        keep_going = self.options.keep_going
        if self.options.texts is not None:
            texts = embed_text_cells(cells, self.model, self.options, self.report, on_progress, keep_going=keep_going)
            with closing(texts) as rows:
                yield from enumerate(rows)
            return
        with Session(self.model, self.options, thumbnails=self.options.thumbnails) as session:
            yield from embed_unordered(
                cells,
                session,
                self.report,
                on_progress,
                keep_going=keep_going,
                is_full=is_full,
                n_unkept=n_unkept,
            )

    def chunks(self, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read the rows, or some of their columns. What is found wrong with them now breaks the run."""
        n_left = math.inf if self.options.limit is None else self.options.limit
        try:
            for chunk in self.source.chunks(CHUNK_ROWS, columns=columns):
                if n_left <= 0:
                    return
                yield chunk if chunk.table.num_rows <= n_left else chunk.head(int(n_left))
                n_left -= chunk.table.num_rows
        except UsageError as error:
            raise InputError(str(error)) from error
