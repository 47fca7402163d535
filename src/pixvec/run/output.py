"""A finished table file: what it says it was made with, and how it comes to its place.

Formats that hold metadata say it in the vector column's field; for the others a file beside the table does, together
with the table's hash, so that it is not believed of another table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder, beside
from pixvec.files.untrusted import MAX_JSON_BYTES
from pixvec.pipeline.provenance import provenance_path, provenance_text
from pixvec.run.facts import file_sha256, sha256_of
from pixvec.run.work_folder import FACTS, WorkFolder
from pixvec.tables import keeps_metadata, open_table, reporting_write_errors
from pixvec.tables.result_columns import parse_facts, read_provenance

_HASH: Final = "table_sha256"


def read_facts(table: Path, output_column: str) -> dict[str, Any] | None:
    """Read what a table was made with; None where nothing says so."""
    if not keeps_metadata(table):
        try:
            with beside(table) as folder:
                return _facts_in(folder, provenance_path(table.resolve()).name, table)
        except OSError:
            return None
    try:
        schema = open_table(table).schema
    except UsageError:
        return None
    return read_provenance(schema, output_column) if output_column in schema.names else None


@contextmanager
def creating(work: WorkFolder, output: Path) -> Iterator[BinaryIO]:
    """Create the file in the work folder that will be the output.

    Raises
    ------
    RunError
        When the file system refuses.
    """
    with reporting_write_errors(output):
        file = work.create_anew(work.output)
    try:
        yield file
    except BaseException:
        with suppress(OSError):  # what made it fail is what is told
            file.close()
        raise
    with reporting_write_errors(output):
        file.close()


def put_table(work: WorkFolder, facts: Mapping[str, Any], *, output: Path, name: str | None = None) -> None:
    """Let the table that was written in the work folder under the output's name appear at its place.

    Parameters
    ----------
    output
        What the file system's refusals are said of.
    name
        What it is called there, where that is not the output's name.

    Raises
    ------
    RunError
        When the file system refuses.
    """
    name = name or work.output
    with reporting_write_errors(output):
        if keeps_metadata(Path(name)):
            work.put_beside(work.output, name)
            return
        with work.read(work.output) as table:
            told = provenance_text({**facts, _HASH: sha256_of(table)})
        with work.create_anew(FACTS) as file:
            file.write(told.encode())
        work.flush_file(FACTS)
        work.put_beside(work.output, name)
        work.put_beside(FACTS, provenance_path(Path(name)).name)


def recover(work: WorkFolder, place: Path, *, output: Path) -> None:
    """Put the facts of a table beside it, where a run was cut off between the two.

    Raises
    ------
    UsageError
        When the file that would say what the table was made with is there and not pixvec's.
    RunError
        When the file system refuses.
    """
    told = provenance_path(place).name
    with reporting_write_errors(output):
        if _is_told_beside(place) and work.beside.has(told):
            _check_is_ours(work.beside, told)
        if work.has(FACTS) and _facts_in(work, FACTS, place):
            work.put_beside(FACTS, told)
        work.remove(FACTS)


def _is_told_beside(place: Path) -> bool:
    """Tell whether a file beside an output says what it was made with."""
    try:
        return not place.is_dir() and not keeps_metadata(place)
    except UsageError:  # it is no table
        return False


def _check_is_ours(folder: OwnFolder, name: str) -> None:
    with folder.read(name) as file:
        if _HASH not in _read_object(file):
            raise UsageError(f"{folder.path / name} is not pixvec's, which needs this name: move it away")


def _facts_in(folder: OwnFolder, name: str, table: Path) -> dict[str, Any] | None:
    """Read a file of facts, if they are those of a table."""
    try:
        with folder.read(name, of_anyone=True) as file:
            facts = _read_object(file)
        return facts if _HASH in facts and facts[_HASH] == file_sha256(table) else None
    except (OSError, UsageError):
        return None


def _read_object(file: BinaryIO) -> dict[str, Any]:
    """Read what vectors were made with; an empty object where that is not what the file holds."""
    return parse_facts(file.read(MAX_JSON_BYTES + 1)) or {}
