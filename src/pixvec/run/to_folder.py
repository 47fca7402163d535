"""A folder as output: its finished parts, whole rows each, are the table. Nothing else is ever in it."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

from pixvec.errors import UsageError
from pixvec.result_columns import result_table
from pixvec.run.digest import RowsDigest
from pixvec.run.embedding import embed_parts
from pixvec.run.job import Job
from pixvec.run.part_files import PartWriter
from pixvec.run.parts import Part, parts_folder
from pixvec.run.thumbnails import put_thumbnails
from pixvec.run.work_folder import REPLACED, UNFINISHED, flush
from pixvec.table import check_path, open_frame, reporting_write_errors


def embed_to_folder(job: Job, work: Path, place: Path) -> None:
    """Embed a table into a folder of parts.

    Raises
    ------
    UsageError
        When the folder holds something else; or finished parts are of another run.
    RunError
        When the file system refuses, or the input changes meanwhile.
    """
    _check_is_ours(place)
    is_there = place.exists() and any(place.iterdir())
    folder = parts_folder(work, default=place, restart=job.options.restart, replaces=is_there)
    with reporting_write_errors(job.output):
        folder.mkdir(exist_ok=True)
    try:
        parts = embed_parts(job, work, folder, whole_rows=True)
        if not parts:
            _write_empty(job, work, folder)
        put_thumbnails(job, work, place, parts, folder=folder, adds=folder == place)
    finally:
        with suppress(OSError):  # it holds parts
            folder.rmdir()
    job.report.was_finished = bool(parts) and not job.report.n_new
    if folder != place:
        with reporting_write_errors(job.output):
            _swap(folder, place, work / REPLACED)


def check_folder(input: Path, output: Path) -> None:
    """Check, before any work, that a folder can be written.

    Raises
    ------
    UsageError
        If it can't.
    """
    check_path(output)
    parent = output.absolute().parent
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output} is a file, and a folder was asked for")
    if not parent.is_dir():
        raise UsageError(f"there is no folder {parent} to make {output.name} in")
    for folder in (parent, output):
        if folder.exists() and not os.access(folder, os.W_OK):
            raise UsageError(f"the folder {folder} cannot be written to")
    if output.resolve() == input.resolve().parent:
        raise UsageError(f"{output} is the folder of the input: write to another folder")


def _check_is_ours(place: Path) -> None:
    """Check that a folder holds parts and nothing else; names that readers of folders pass over don't count.

    Raises
    ------
    UsageError
        If it doesn't.
    """
    if place.exists():
        for path in place.iterdir():
            if not path.name.startswith((".", "_")) and Part.of_name(path.name) is None:
                raise UsageError(
                    f"{place} holds {path.name}, which is no part of this output: give a folder of its own"
                )


def _write_empty(job: Job, work: Path, folder: Path) -> None:
    """Write a part without rows, so that a table without rows has its columns."""
    results = result_table([], job.results)
    with closing(PartWriter(work / UNFINISHED, job.output)) as writer:
        writer.write(open_frame(job.source.schema.empty_table()).with_results(results, dropped=job.dropped))
        writer.put(folder, Part(0, 0, RowsDigest().hexdigest(), Counter()), job.facts)


def _swap(folder: Path, place: Path, replaced: Path) -> None:
    """Put a folder in the place of another; if this is cut short, the next run does what is left to do."""
    if place.exists():
        place.rename(replaced)
    folder.rename(place)
    flush(place.parent)
