"""The options of embedding a table, and of doing it from file to file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pixvec.codes import code_of, is_retryable
from pixvec.errors import UsageError
from pixvec.fetch import looks_like_url
from pixvec.images.thumbnail import MAX_SIDE, MIN_SIDE
from pixvec.options import option
from pixvec.pipeline.report import OnProgress
from pixvec.pipeline.settings import Settings
from pixvec.run.outcome import FailureOptions
from pixvec.tables import ReadOptions, TableReader, find_text_column, find_url_column
from pixvec.tables.result_columns import ResultOptions


@dataclass(frozen=True, kw_only=True)
class TableColumns(ResultOptions, group="table"):
    """Which column of a table is embedded, and what the new columns are."""

    column: str | None = option(None, "the column of URLs; found by its cells when not given")
    texts: str | None = option(None, "a column of texts, to be embedded instead of images")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.texts is not None and self.column is not None:
            raise UsageError("`column` and `texts` exclude each other: one names URLs of images, the other texts")

    def find_column(self, table: TableReader) -> str:
        """Find the column that is embedded.

        Raises
        ------
        UsageError
            If there is no such column, or more than one.
        """
        if self.texts is not None:
            return find_text_column(table, self.texts)
        return find_url_column(table, self.column, looks_like_url=looks_like_url)


@dataclass(frozen=True, kw_only=True)
class TableOptions(TableColumns, Settings):
    """How a table is embedded."""


@dataclass(frozen=True, kw_only=True)
class FileOptions(TableOptions, ReadOptions, FailureOptions, group="runs"):
    """How a table file is embedded."""

    limit: int | None = option(None, "embed only this many rows, the first ones", minimum=0, group="limits")
    part_rows: int | None = option(None, "rows in a part; 512, or 4096 when a folder is written", minimum=1)
    restart: bool = option(False, "discard finished work; replace an existing output when the new one is complete")
    retry_failed: bool = option(
        False, "retry rows that failed for a temporary reason, or that a wider option now allows"
    )
    retry_codes: str | None = option(None, "retry the rows with these codes: http_403,timeout")
    thumbnails: int | None = option(
        None,
        "keep a thumbnail of each distinct image for pages, in NAME.thumbnails.parquet; its longer side has at most "
        "this many pixels, 96 when no number is given",
        minimum=MIN_SIDE,
        maximum=MAX_SIDE,
        alone=96,
    )
    keep_going: bool = option(
        False, "record unexpected errors as internal_error rows and continue; the exit status is 1"
    )
    quiet: bool = option(False, "no progress and no summary")
    progress: bool | OnProgress | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.thumbnails is not None and (self.texts is not None or not self.image_info):
            why = "texts have none" if self.texts is not None else "`image_info` writes the hash that finds them"
            raise UsageError(f"`thumbnails={self.thumbnails}` keeps thumbnails of images: {why}")
        if self.retried_words and self.restart:
            raise UsageError("`restart=True` replaces the output, and a retry completes it: choose one")
        for code in self._retry_codes():
            if code_of(code) is None:
                raise UsageError(f"`retry_codes={self.retry_codes!r}`: there is no code {code!r}")

    @property
    def retried_words(self) -> str | None:
        """Which rows of a finished output are embedded again, in words; None where a table is embedded."""
        return self.retry_codes or ("failed" if self.retry_failed else None)

    def is_retried(self, code: str | None, lifted: Collection[str]) -> bool:
        """Tell whether a row of a finished output is embedded again, by its code; empty where it has a vector.

        Codes are `lifted` where more is allowed than when the row was decided.
        """
        if not code:
            return False
        return code in self._retry_codes() if self.retry_codes else is_retryable(code) or code in lifted

    def _retry_codes(self) -> list[str]:
        return [] if self.retry_codes is None else [code.strip() for code in self.retry_codes.split(",")]
