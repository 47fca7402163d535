"""A table file in, the same table with result columns out, as a file or as a folder of parts. Work is never lost.

What is finished is kept, part by part, and the same command goes on with it, however the last run ended. The output
appears whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from pixvec.errors import PixvecError, UsageError
from pixvec.files.own import OwnFolder
from pixvec.pipeline.report import Report
from pixvec.run.cells import check_holds_urls
from pixvec.run.job import CHUNK_ROWS, InputError, Job
from pixvec.run.kept_rows import count_kept
from pixvec.run.options import FileOptions, TableColumns, TableOptions
from pixvec.run.outcome import FailureOptions, raise_outcome
from pixvec.run.output import recover
from pixvec.run.parts import list_parts
from pixvec.run.piece_files import list_pieces
from pixvec.run.retry import open_retry, retry_in_file, retry_in_folder
from pixvec.run.thumbnails import check_thumbnails, remove_thumbnails
from pixvec.run.to_file import embed_to_file
from pixvec.run.to_folder import check_folder, discard_replaced, embed_to_folder
from pixvec.run.work_folder import REPLACEMENT, WorkFolder, work_folder
from pixvec.tables import TableReader, check_columns, check_output, images_folder, open_table
from pixvec.tables.columns import open_column
from pixvec.tables.result_columns import replaced_columns

__all__ = [
    "FailureOptions",
    "FileOptions",
    "StrPath",
    "TableColumns",
    "TableOptions",
    "check_holds_urls",
    "raise_outcome",
    "run_file",
]

StrPath: TypeAlias = str | os.PathLike[str]


def run_file(input: StrPath, output: StrPath, options: FileOptions) -> Report:
    """Embed a column of a table file."""
    is_folder = _is_folder(output)
    (check_folder if is_folder else check_output)(Path(input), Path(output))
    options = _letting_images_in(Path(input), options)
    place = Path(output).resolve()  # so that a link stays one
    with work_folder(place) as work:
        recover(work, place, output=Path(output))
        discard_replaced(work)
        if options.thumbnails is not None:
            check_thumbnails(work)
        if options.retried_words:
            as_written = options.as_written(Path(input), Path(output))
            job, embed = open_retry(Path(output), as_written), retry_in_folder if is_folder else retry_in_file
        else:
            job, embed = _open(Path(input), Path(output), options), embed_to_folder if is_folder else embed_to_file
        with _telling_what_is_safe(job, work, place):
            if options.restart:
                remove_thumbnails(work)
            embed(job, work, place)
            with work.open_if_there(REPLACEMENT) as replacement:
                remove_thumbnails(work, but_of=[*list_parts(work), *(list_parts(replacement) if replacement else ())])
    raise_outcome(job.report.end(), job.output, options)
    return job.report


def _is_folder(output: StrPath) -> bool:
    """Tell whether a folder is asked for, or there is one."""
    return os.fspath(output).endswith(os.sep) or os.path.isdir(output)  # noqa: PTH112 (a Path's own raises for long names)


def _open(input: Path, output: Path, options: FileOptions) -> Job:
    source = open_table(input, options)
    dropped = replaced_columns(source.schema.names, options)
    check_columns(pa.schema([field for field in source.schema if field.name not in dropped]), output)
    column = options.find_column(source)
    if options.column is not None:  # else it was found by its cells
        check_holds_urls(_cells(source, column), column, options)
    return Job(input=input, output=output, source=source, column=column, dropped=dropped, options=options)


def _cells(source: TableReader, column: str) -> Iterator[object]:
    for chunk in source.chunks(CHUNK_ROWS, columns=[column]):
        yield from open_column(chunk.table.column(column).to_pylist())


def _letting_images_in(input: Path, options: FileOptions) -> FileOptions:
    """Let the images of a folder in, where they are the input: who names them means them."""
    folder = images_folder(input)
    if folder is None:
        return options
    if options.files_under is not None:
        raise UsageError(f"the images in {folder} are allowed: leave `files_under` out")
    return replace(options, files_under=folder)


@contextmanager
def _telling_what_is_safe(job: Job, work: WorkFolder, place: Path) -> Iterator[None]:
    """Let whatever ends a run say what is finished, and how to go on."""
    try:
        yield
    except UsageError:
        raise
    except (Exception, KeyboardInterrupt) as end:
        _note_what_is_safe(end, job, work, place)
        raise


def _note_what_is_safe(end: BaseException, job: Job, work: WorkFolder, place: Path) -> None:
    is_of_this_run = not job.options.restart and not job.is_retry
    with ExitStack() as opened:
        output = opened.enter_context(OwnFolder.at(place)) if is_of_this_run and place.is_dir() else None
        replacement = opened.enter_context(work.open_if_there(REPLACEMENT))
        folders = [folder for folder in (output, work, replacement) if folder]
        parts = {folder: list_parts(folder) for folder in folders}
        pieces = {folder: list_pieces(folder, is_retry=job.is_retry) for folder in folders}
        finished = [*chain(*parts.values())]
        n_kept = count_kept(((folder, name) for folder, names in pieces.items() for name in names), finished)
    n_rows = sum(part.n_rows for part in finished) + n_kept
    if n_rows:
        kept_in = " and ".join(str(folder.path) for folder in folders if parts[folder] or pieces[folder])
        of_all = "" if job.n_rows is None else f" of {job.n_rows:,}"
        again = f", {job.report.n_in_progress:,} will be fetched again" if job.report.n_in_progress else ""
        command = "the same command without `restart=True`" if job.options.restart else "the same command"
        end.add_note(f"{n_rows:,}{of_all} rows are kept in {kept_in}{again}: {_way_on(end, command)}")


def _way_on(end: BaseException, command: str) -> str:
    """Say how to go on, which is not with the very thing that ended the run."""
    match end:
        case InputError():
            return f"once the input is mended, {command} goes on"
        case PixvecError() | KeyboardInterrupt() | MemoryError():
            return f"{command} goes on"
        case _:
            return f"{command} meets this bug again, and with `keep_going=True` goes on"
