"""A file that a command makes of a table: it appears whole, at the end, or not at all.

A table with more columns, or anything else that somebody writes to the path that they are given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from pixvec.errors import RunError, UsageError
from pixvec.run.output import put_table
from pixvec.run.work_folder import put, work_folder
from pixvec.table import Chunk, TableReader, create_table, reporting_write_errors

CHUNK_ROWS: Final = 512


@contextmanager
def appearing(output: Path, *, restart: bool) -> Iterator[Path]:
    """Give a path to write to; what is written there appears as `output` when the block ends without an error.

    Raises
    ------
    UsageError
        When `output` exists and `restart` was not asked for, or somebody else is writing it.
    RunError
        When the file system refuses.
    """
    with reserved(output, restart=restart) as unfinished, reporting_write_errors(output):
        yield unfinished
        put(unfinished, output.resolve())


@contextmanager
def reserved(output: Path, *, restart: bool) -> Iterator[Path]:
    """Hold the lock on an output, and give a path to write to in the meantime.

    Raises
    ------
    UsageError
        When `output` exists and `restart` was not asked for, or somebody else is writing it.
    """
    place = output.resolve()  # so that a link stays one
    check_place(output, restart=restart)
    with work_folder(place) as work:
        check_place(output, restart=restart)  # again, now that nobody else may write it
        yield work / place.name


def write_with_columns(
    source: TableReader,
    added: pa.Table,
    output: Path,
    *,
    restart: bool,
    dropped: Collection[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a table, its rows as they are, with more columns at its end.

    Parameters
    ----------
    source, added
        The table, and a value of each new column for each of its rows.
    output
        The file, a table by its ending.
    restart
        Replace it if it exists.
    dropped
        Columns of the source that are left out.
    facts
        What the vectors of the source were made with, for formats that cannot hold it.

    Raises
    ------
    UsageError
        When `output` exists and `restart` was not asked for.
    RunError
        When the file system refuses, or the table changed since `added` was made of it.
    """
    with reserved(output, restart=restart) as unfinished:
        put_with_columns(source, added, output, unfinished=unfinished, dropped=dropped, facts=facts)


def put_with_columns(
    source: TableReader,
    added: pa.Table,
    output: Path,
    *,
    unfinished: Path,
    dropped: Collection[str] = (),
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Do as `write_with_columns`, where `unfinished` is the path that `reserved` gave for the output."""
    with create_table(unfinished, source, added.schema, ending=output.suffix, dropped=dropped) as writer:
        for chunk, results in _side_by_side(source, added):
            writer.write(chunk, results)
    if facts:
        put_table(unfinished, output.resolve(), facts, output=output)
    else:
        with reporting_write_errors(output):
            put(unfinished, output.resolve())


def _side_by_side(source: TableReader, added: pa.Table) -> Iterator[tuple[Chunk, pa.Table]]:
    """Pair the rows of a table with those of its new columns, if there are any."""
    n_rows = 0
    for chunk in source.chunks(CHUNK_ROWS):
        results = added.slice(n_rows, chunk.table.num_rows)
        n_rows += chunk.table.num_rows
        if added.num_columns and n_rows > added.num_rows:
            break
        yield chunk, results
    if added.num_columns and n_rows != added.num_rows:
        raise RunError("the table has other rows than when it was read first: it changed meanwhile")


def check_new_columns(existing: Collection[str], new: Collection[str], *, replace: bool) -> list[str]:
    """Name the columns that new ones take the place of.

    Raises
    ------
    UsageError
        If there are any and `replace` was not asked for.
    """
    clashes = [name for name in existing if name in new]
    if clashes and not replace:
        raise UsageError(f"the table already has {', '.join(map(repr, clashes))}: replace with --replace-column")
    return clashes


def check_place(output: Path, *, restart: bool) -> None:
    """Check, before any work, that a file can be written there.

    Raises
    ------
    UsageError
        When there is no such folder, or something there already that `restart` does not replace.
    """
    if not output.parent.is_dir():
        raise UsageError(f"there is no folder {output.parent} to write {output.name} in")
    if output.is_dir():
        raise UsageError(f"{output} is a folder: give the name of a file in it")
    if output.exists() and not restart:
        raise UsageError(f"{output} exists: replace it with --restart (restart=True), or write to another file")
