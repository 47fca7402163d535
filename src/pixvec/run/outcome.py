"""Whether a run counts as done whose output is whole: by how many of its rows have no vector."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.options import Options, option
from pixvec.pipeline.report import BugsMetError, Report, TooManyFailedError

_COUNT_OR_SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)(%?)")


@dataclass(frozen=True, kw_only=True)
class FailureOptions(Options, group="limits"):
    """How many rows may fail."""

    max_failed: str | int | None = option(
        None,
        "exit with status 3 if more rows fail: 100, or 5%; a run without any vector passes only with 100%",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.max_failed_rows(0)

    def max_failed_rows(self, n_rows: int) -> float:
        """Count how many of `n_rows` rows may fail."""
        if self.max_failed is None:
            return math.inf
        match = _COUNT_OR_SHARE.fullmatch(str(self.max_failed))
        if not match:
            raise UsageError(f"`max_failed={self.max_failed!r}`: expected a number of rows, as 100, or a share, as 5%")
        return float(match[1]) / 100 * n_rows if match[2] else float(match[1])

    @property
    def may_all_fail(self) -> bool:
        """Whether a run counts as done in which no row has a vector."""
        return str(self.max_failed).endswith("%") and self.max_failed_rows(1) >= 1


def raise_outcome(report: Report, output: Path, options: FailureOptions) -> None:
    """Raise what is said of an output that is whole.

    Raises
    ------
    BugsMetError
        When rows of this run met a bug.
    TooManyFailedError
        When more rows failed than may, or all that have a cell.
    """
    if report.failures["internal_error"] and report.n_new:
        raise BugsMetError(output, report)
    has_failed = report.n_cells and not report.n_vectors and not options.may_all_fail
    if has_failed or report.n_failed > options.max_failed_rows(report.n_rows):
        raise TooManyFailedError(output, report, options.max_failed)
