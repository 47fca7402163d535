"""A table with a column of URLs in; out, what a run will meet and cost, found by trying a sample of it.

The column is read once, in bounded memory. The sample is fetched and decoded by the stages of a run, under the same
guard. Nothing is written.
"""

from __future__ import annotations

import os
import resource
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pixvec.fetch import Fetcher, looks_like_url
from pixvec.formatting.text import count
from pixvec.options import option
from pixvec.pipeline.settings import Settings
from pixvec.reports.planning.forecast import Forecast, Machine
from pixvec.reports.planning.plan import Plan
from pixvec.reports.planning.survey import Survey, survey_cells
from pixvec.reports.planning.trial import measure_model, try_sample
from pixvec.tables import ReadOptions, TableReader, find_url_column, images_folder, open_table
from pixvec.tables.listing import list_files

__all__ = ["Plan", "PlanOptions", "plan_run"]

_CHUNK_ROWS: Final = 4_096


@dataclass(frozen=True, kw_only=True)
class PlanOptions(Settings, ReadOptions, group="table"):
    """How a run is planned: as it will be done, but for the sample.

    Raises
    ------
    UsageError
        For a value that an option cannot take.
    """

    column: str | None = option(None, "the column of URLs; found by its cells when not given")
    sample: int = option(300, "how many URLs are tried", minimum=1, group="limits")


def plan_run(path: str | os.PathLike[str], options: PlanOptions, tell: Callable[[str], None] = lambda _: None) -> Plan:
    """Find out what embedding a table file will meet and cost.

    Parameters
    ----------
    path
        The table: a file, a pattern that files match, or a folder.
    tell
        Called with a line about each step, as they take a while.

    Raises
    ------
    UsageError
        When it is no table, or has no column of URLs.
    ModelError
        When the model cannot be found or read.
    """
    path = Path(path)
    options = replace(options, files_under=options.files_under or images_folder(path))
    reader = open_table(path, options)
    column = find_url_column(reader, options.column, looks_like_url=looks_like_url)
    survey = _survey(reader, column, options)
    tell(f"{count(survey.n_rows, 'row')} read, {count(survey.n_hosts, 'host')}; measuring the model")
    model, pace = measure_model(options)
    tell(f"fetching {len(survey.sample):,} of {survey.n_different:,} different URLs")
    trial = try_sample(survey.sample, model, options)
    forecast = Forecast(survey, trial, pace, options, dim=model.dim, input_bytes=_size(path))
    return forecast.plan(_machine(), name=path.name, column=column, model=model.checkpoint.name)


def _size(path: Path) -> int:
    """Say how many bytes a table has, whose rows the output will hold; of images it will hold the paths alone."""
    listing = list_files(path)
    files = [path] if listing is None else listing.paths if images_folder(path) is None else []
    return sum(file.stat().st_size for file in files)


def _survey(reader: TableReader, column: str, options: PlanOptions) -> Survey:
    return survey_cells(_cells(reader, column), Fetcher(options), sample=options.sample)


def _cells(reader: TableReader, column: str) -> Iterator[object]:
    for chunk in reader.chunks(_CHUNK_ROWS, columns=[column]):
        yield from chunk.table.column(column).to_pylist()


def _machine() -> Machine:
    """Measure the peak of this process, which has loaded the model and run it."""
    unit = 1 if sys.platform == "darwin" else 1_024
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return Machine(own, free_disk_bytes=shutil.disk_usage(Path.cwd()).free)
