"""A file that a command makes of a table: it appears whole, at the end, or not at all.

A table with more columns, or anything else that somebody writes to the path that they are given.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import RunError, UsageError
from pixvec.run.output import creating, put_table, recover
from pixvec.run.work_folder import WorkFolder, work_folder
from pixvec.tables import Chunk, TableReader, create_table, keeps_metadata, open_frame, reporting_write_errors
from pixvec.tables.result_columns import PROVENANCE_KEY, read_provenance

CHUNK_ROWS: Final = 512
PAGE_ENDINGS: Final = (".html", ".htm")

Facts: TypeAlias = Mapping[str, Any]
"""What the vectors of a column were made with."""
Mask: TypeAlias = NDArray[np.bool_]
"""One flag for each row, (N,) bool."""
_OF_A_RUN: Final = ("input_sha256", "limit", "table_sha256")


@contextmanager
def appearing(output: Path, *, restart: bool) -> Iterator[BinaryIO]:
    """Give a file to write to; what is written to it appears as `output` when the block ends without an error.

    Raises
    ------
    UsageError
        When `output` exists and `restart` was not asked for, or somebody else is writing it.
    RunError
        When the file system refuses.
    """
    with reserved(output, restart=restart) as work, reporting_write_errors(output):
        with creating(work, output) as file:
            yield file
        work.put_beside(work.output, work.output)


@contextmanager
def reserved(output: Path, *, restart: bool) -> Iterator[WorkFolder]:
    """Hold the lock on an output, and give the folder to write it in, under its name.

    Raises
    ------
    UsageError
        When `output` exists and `restart` was not asked for, or somebody else is writing it.
    """
    place = output.resolve()  # so that a link stays one
    check_place(output, restart=restart)
    with work_folder(place) as work:
        check_place(output, restart=restart)  # again, now that nobody else may write it
        recover(work, place, output=output)
        yield work


def write_with_columns(
    source: TableReader,
    added: pa.Table,
    output: Path,
    *,
    restart: bool,
    dropped: Collection[str] = (),
    facts: Mapping[str, Facts] = MappingProxyType({}),
    kept: Mask | None = None,
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
        What columns of vectors of the source were made with, by name, where its schema does not say it.
    kept
        Which rows are written, (N,); None for all.

    Raises
    ------
    UsageError
        When `output` exists and `restart` was not asked for.
    RunError
        When the file system refuses, or the table changed since `added` was made of it.
    """
    with reserved(output, restart=restart) as work:
        put_with_columns(source, added, output, work=work, dropped=dropped, facts=facts, kept=kept)


def put_with_columns(
    source: TableReader,
    added: pa.Table,
    output: Path,
    *,
    work: WorkFolder,
    dropped: Collection[str] = (),
    facts: Mapping[str, Facts] = MappingProxyType({}),
    kept: Mask | None = None,
) -> None:
    """Do as `write_with_columns`, where `work` is the folder that `reserved` gave for the output."""
    names = set(source.schema.names).difference(dropped)
    stated = {name: _of_no_run(said) for name, said in {**facts, **_said(source.schema)}.items() if name in names}
    stating = _restated(source.schema, stated) if keeps_metadata(output) else source
    with (
        creating(work, output) as file,
        create_table(file, stating, added.schema, ending=output.name, dropped=dropped) as writer,
    ):
        for chunk, results in _filtered(_side_by_side(source, added), kept):
            writer.write(chunk, results)
    if known := stated | _said(added.schema):
        put_table(work, _joined(known), output=output)
    else:
        with reporting_write_errors(output):
            work.put_beside(work.output, work.output)


def _said(schema: pa.Schema) -> dict[str, Facts]:
    """Read what columns say that they were made with, by name."""
    said: dict[str, Facts] = {}
    for name in schema.names:
        with suppress(ValueError):  # under our key, and not ours
            if schema.names.count(name) == 1 and isinstance(facts := read_provenance(schema, name), dict):
                said[name] = facts
    return said


def _restated(schema: pa.Schema, facts: Mapping[str, Facts]) -> TableReader:
    """Let columns say what they were made with, whatever they said before."""
    for name, known in facts.items():
        place = schema.get_field_index(name)
        metadata = {**(schema.field(place).metadata or {}), PROVENANCE_KEY: json.dumps(known, sort_keys=True)}
        schema = schema.set(place, schema.field(place).with_metadata(metadata))
    return open_frame(schema.empty_table())


def _joined(facts: Mapping[str, Facts]) -> dict[str, Any]:
    """Say what holds for all columns of vectors, and for each of them all that is known."""
    first = next(iter(facts.values()))
    shared = {key: value for key, value in first.items() if all(said.get(key) == value for said in facts.values())}
    return {**shared, "columns": dict(facts)}


def _of_no_run(facts: Facts) -> dict[str, Any]:
    """Leave out what only the output of an embedding run may say: that it is finished, and of which input."""
    return {name: fact for name, fact in facts.items() if name not in _OF_A_RUN}


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


def _filtered(pairs: Iterator[tuple[Chunk, pa.Table]], kept: Mask | None) -> Iterator[tuple[Chunk, pa.Table]]:
    """Leave rows out, where not all are kept."""
    n_rows = 0
    for chunk, results in pairs:
        mask = np.ones(chunk.table.num_rows, bool) if kept is None else kept[n_rows : n_rows + chunk.table.num_rows]
        n_rows += chunk.table.num_rows
        if mask.all():
            yield chunk, results
        elif mask.any():
            yield chunk.filtered(mask), results.filter(pa.array(mask))


def check_new_columns(
    existing: Collection[str], new: Collection[str], *, replace: bool, rename: str | None = None
) -> list[str]:
    """Name the columns that new ones take the place of; `rename` is the option that gives them other names.

    Raises
    ------
    UsageError
        If there are any and `replace` was not asked for.
    """
    clashes = [name for name in existing if name in new]
    if clashes and not replace:
        ways_on = "replace with `replace_column=True`" + (f", or choose other names with `{rename}`" if rename else "")
        raise UsageError(f"the table already has {', '.join(map(repr, clashes))}: {ways_on}")
    return clashes


def check_place(output: Path, *, restart: bool, inputs: Collection[Path] = ()) -> None:
    """Check, before any work, that a file can be written there.

    Raises
    ------
    UsageError
        When there is no such folder, or something there already that `restart` does not replace, or that is read.
    """
    try:
        problem = _problem(output, restart=restart, inputs=inputs)
    except OSError as error:  # a name too long, a loop of links
        problem = f"{output} cannot be written: {error.strerror}"
    if problem:
        raise UsageError(problem)


def check_places(outputs: Collection[Path], *, restart: bool, inputs: Collection[Path] = ()) -> None:
    """Check each of several outputs, and that no two of them are one file.

    Raises
    ------
    UsageError
        As `check_place` has it.
    """
    for output in outputs:
        check_place(output, restart=restart, inputs=inputs)
    if len({output.resolve() for output in outputs}) < len(outputs):
        raise UsageError(f"{' and '.join(map(str, outputs))} are one file: give each output its own")


def _problem(output: Path, *, restart: bool, inputs: Collection[Path]) -> str | None:
    """Say what keeps a file from being written, if anything does."""
    if not output.parent.is_dir():
        return f"there is no folder {output.parent} to write {output.name} in"
    if output.is_dir():
        return f"{output} is a folder: give the name of a file in it"
    if not output.exists():
        return None
    if any(path.exists() and output.samefile(path) for path in inputs):
        return f"{output} is the input: write to another file"
    return None if restart else f"{output} exists: replace it with `restart=True`, or write to another file"
