"""A folder as output: its finished parts, whole rows each, are the table. Nothing else is ever in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder
from pixvec.run.digest import RowsDigest
from pixvec.run.embedding import embed_parts
from pixvec.run.job import Job
from pixvec.run.part_files import PartWriter
from pixvec.run.parts import Part, list_parts, read_written, replacement_folder
from pixvec.run.thumbnails import put_thumbnails
from pixvec.run.work_folder import REPLACED, REPLACEMENT, UNFINISHED, WorkFolder
from pixvec.tables import check_path, open_frame, reporting_write_errors
from pixvec.tables.result_columns import result_table

_PASSED_OVER: Final = (".", "_")
"""How names begin that readers of folders pass over."""


def embed_to_folder(job: Job, work: WorkFolder, place: Path) -> None:
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
    if is_there and job.options.restart:
        _check_parts(work)
    with replacement_folder(work, restart=job.options.restart, replaces=is_there) as replacement:
        if replacement:
            parts = _embed(job, work, replacement, is_replacing=True)
            with reporting_write_errors(job.output):
                _swap(work)
        else:
            with _output_folder(job, work) as folder:
                parts = _embed(job, work, folder, is_replacing=False)
    job.report.was_finished = bool(parts) and not job.report.n_new


def _embed(job: Job, work: WorkFolder, folder: OwnFolder, *, is_replacing: bool) -> list[Part]:
    parts = embed_parts(job, work, folder, whole_rows=True)
    if not parts:
        _write_empty(job, work, folder)
    put_thumbnails(job, work, parts, folder=folder, adds=not is_replacing)
    return parts


@contextmanager
def _output_folder(job: Job, work: WorkFolder) -> Iterator[OwnFolder]:
    """Make the output, a folder, if there is none; it is gone again when it stays empty."""
    with reporting_write_errors(job.output):
        folder = work.beside.subfolder(work.output, create=True, of_anyone=True)
    try:
        with folder:
            yield folder
    finally:
        with suppress(OSError):  # it holds parts
            work.beside.remove_subfolder(work.output)


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
            if not path.name.startswith(_PASSED_OVER) and Part.of_name(path.name) is None:
                raise UsageError(
                    f"{place} holds {path.name}, which is no part of this output: give a folder of its own"
                )


def _check_parts(work: WorkFolder) -> None:
    """Check, before any work, that what will be replaced are parts of pixvec's."""
    with work.beside.subfolder(work.output, of_anyone=True) as folder:
        for part in list_parts(folder):
            read_written(folder, part)


def _write_empty(job: Job, work: WorkFolder, folder: OwnFolder) -> None:
    """Write a part without rows, so that a table without rows has its columns."""
    results = result_table([], job.results)
    with closing(PartWriter(work, UNFINISHED, job.output)) as writer:
        writer.write(open_frame(job.source.schema.empty_table()).with_results(results, dropped=job.dropped))
        writer.put(folder, Part(0, 0, RowsDigest().hexdigest(), Counter()), job.facts)


def _swap(work: WorkFolder) -> None:
    """Put the new folder in the place of the old one; if this is cut short, the next run does what is left to do."""
    if work.beside.has(work.output):
        work.beside.rename(work.output, work, REPLACED)
    work.put_folder_beside(REPLACEMENT)
    discard_replaced(work)


def discard_replaced(work: WorkFolder) -> None:
    """Remove the parts of a folder that was replaced, if there is one; what else was in it joins the new folder.

    Raises
    ------
    UsageError
        When something is left of it.
    """
    if not work.has(REPLACED) or not work.beside.has(work.output):
        return
    with (
        work.subfolder(REPLACED, of_anyone=True) as old,
        work.beside.subfolder(work.output, of_anyone=True) as new,
    ):
        for name in old.names():
            part = Part.of_name(name)
            if part:
                read_written(old, part)  # which refuses one that is not ours
                old.remove(name)
            elif name.startswith(_PASSED_OVER) and not new.has(name):
                old.rename(name, new, name)
        if left := old.names():
            raise UsageError(f"{old.path / left[0]} was in the folder that was replaced, and stays: move it away")
    work.remove_subfolder(REPLACED)
