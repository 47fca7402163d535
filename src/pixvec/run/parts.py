"""Parts: consecutive rows in a file named by them, whole or absent. They are the journal; there is no other.

A part says in its metadata what it was made with, the hash of its input rows, and how many of its rows failed.
"""

from __future__ import annotations

import logging
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pixvec.errors import RunError, UsageError
from pixvec.files.own import OwnFolder
from pixvec.files.untrusted import parse_json
from pixvec.run.facts import differences, file_sha256
from pixvec.run.piece_files import ReadPiece, list_pieces
from pixvec.run.work_folder import REPLACEMENT, WorkFolder
from pixvec.tables.result_columns import checked_facts

METADATA_KEY: Final = b"pixvec.part"

_PARQUET_MAGIC: Final = b"PAR1"
_NAME: Final = re.compile(r"part-(\d{12})-(\d{12})\.parquet")
_LOGGER: Final = logging.getLogger("pixvec")


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows, `start` to `stop`: finished where `input_sha256` is known, else still to be made.

    Parameters
    ----------
    input_sha256
        The hash of its input rows.
    failures
        How many of its rows failed, by code.
    facts
        What it was made with; empty where that is what this run makes parts with.
    """

    start: int
    stop: int
    input_sha256: str | None = None
    failures: Mapping[str, int] = field(default_factory=dict, compare=False)
    facts: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def of_name(cls, name: str) -> Self | None:
        """Read a file's name; None where it is no part's."""
        match = _NAME.fullmatch(name)
        return cls(int(match[1]), int(match[2])) if match else None

    @property
    def name(self) -> str:
        """The file's name."""
        return f"part-{self.start:012}-{self.stop:012}.parquet"

    @property
    def n_rows(self) -> int:
        """How many rows it has."""
        return self.stop - self.start

    @property
    def is_finished(self) -> bool:
        """Whether it has been made."""
        return self.input_sha256 is not None


class Plan:
    """Which part each row belongs to: finished ones as they are, and new ones where there are none.

    Parameters
    ----------
    finished
        In the order of their rows.
    part_rows
        New parts end at multiples of this.
    """

    def __init__(self, finished: Sequence[Part], part_rows: int) -> None:
        self.finished = finished
        self._starts = [part.start for part in finished]
        self._part_rows = part_rows

    def part_of(self, row: int) -> Part:
        """Find the part of a row."""
        index = bisect_right(self._starts, row)
        if index and row < self.finished[index - 1].stop:
            return self.finished[index - 1]
        start = row - row % self._part_rows
        stop = start + self._part_rows
        after = self.finished[index - 1].stop if index else 0
        before = self._starts[index] if index < len(self._starts) else stop
        return Part(max(start, after), min(stop, before))


def list_parts(folder: OwnFolder) -> list[Part]:
    """List the parts in a folder by their names, in the order of their rows."""
    parts = filter(None, map(Part.of_name, folder.names()))
    return sorted(parts, key=lambda part: (part.start, part.stop))


def finished_parts(folder: OwnFolder, facts: Mapping[str, Any]) -> list[Part]:
    """List the finished parts in a folder, each with what its metadata says. A torn file is removed.

    Raises
    ------
    UsageError
        When a part was made with other facts, or is not ours, or overlaps another.
    """
    parts = [part for named in list_parts(folder) if (part := _read_part(folder, named, facts))]
    for one, other in pairwise(parts):
        if other.start < one.stop:
            raise UsageError(f"{folder.path} holds {one.name} and {other.name}, which have rows in common: remove one")
    return parts


def _read_part(folder: OwnFolder, named: Part, facts: Mapping[str, Any]) -> Part | None:
    written = _read_or_remove(folder, named)
    if written is None:
        return None
    check_same_run(folder, written["facts"], facts)
    return Part(named.start, named.stop, written["input_sha256"], written["failures"], written["facts"])


def check_same_run(folder: OwnFolder, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that what is in a folder was made with the facts of this run.

    Raises
    ------
    UsageError
        If it wasn't.
    """
    if differing := differences(then, now):
        raise UsageError(
            f"{folder.path} holds parts of a run that differs: {differing}; go on with what it was"
            + ("" if now.get("retry") else ", or throw its parts away with `restart=True`")
        )


def read_written(folder: OwnFolder, part: Part) -> dict[str, Any] | None:
    """Read what a part says of itself; None where it was torn.

    Raises
    ------
    UsageError
        When it is not pixvec's.
    RunError
        When the file system refuses.
    """
    path = folder.path / part.name
    with folder.read(part.name) as file:
        try:
            metadata = pq.read_metadata(file)
        except (pa.ArrowException, OSError) as error:
            if is_refusal(error):
                raise RunError(f"{path} cannot be read: {error}") from error
            file.seek(0)
            is_parquet = _PARQUET_MAGIC.startswith(file.read(len(_PARQUET_MAGIC)))
        else:
            written = _written(metadata)
            if written and metadata.num_rows == part.n_rows:
                return written
            is_parquet = False
    if not is_parquet:
        raise UsageError(f"{path} is no part of pixvec's: move it away")
    return None


def _read_or_remove(folder: OwnFolder, part: Part) -> dict[str, Any] | None:
    """Read what a part says of itself; one that was torn is removed."""
    written = read_written(folder, part)
    if written is None:
        _LOGGER.warning("%s is torn, and is made again", folder.path / part.name)
        folder.remove(part.name)
    return written


def _written(metadata: pq.FileMetaData) -> dict[str, Any]:
    """Tell what a part says of itself; nothing where it is not ours."""
    try:
        written = parse_json((metadata.metadata or {}).get(METADATA_KEY, b"{}"))
    except ValueError:
        return {}
    match written:
        case {"facts": facts, "input_sha256": str(), "failures": dict() as failures} if checked_facts(
            facts
        ) is not None and all(type(n) is int and n >= 0 for n in failures.values()):
            return dict(written)
    return {}


@contextmanager
def replacement_folder(work: WorkFolder, *, restart: bool, replaces: bool) -> Iterator[OwnFolder | None]:
    """Open the folder of the parts that will replace an output, if any will; with `restart`, begin anew.

    A run that began to replace an output goes on with that, until it is done.
    """
    if restart:
        with work.open_if_there(REPLACEMENT) as replacement:
            if replacement:
                remove_parts(replacement)
        remove_parts(work)
        if replaces:
            work.subfolder(REPLACEMENT, create=True).close()
    with work.open_if_there(REPLACEMENT) as replacement:
        yield replacement


def remove_parts(folder: OwnFolder) -> None:
    """Remove the parts in a folder, and the pieces."""
    for name in (*(part.name for part in list_parts(folder)), *list_pieces(folder)):
        folder.remove(name)


def remove_obsolete_parts(folder: OwnFolder, table: Path, facts: Mapping[str, Any]) -> None:
    """Remove what a finished table has taken in, parts and pieces: its own run's, and those that retried what it was.

    What retries the table as it is stays.
    """
    read = {part.name: _read_or_remove(folder, part) for part in list_parts(folder)}
    made_with = {name: written["facts"] for name, written in read.items() if written}
    made_with |= {name: piece.facts for name in list_pieces(folder) if (piece := ReadPiece.of(folder, name))}
    now = file_sha256(table) if made_with else None
    for name, then in made_with.items():
        if not differences(then, facts) or then.get("table_sha256") not in {None, now}:
            folder.remove(name)


def is_refusal(error: Exception) -> bool:
    """Tell an error of the file system from one of a file's content."""
    return isinstance(error, OSError) and error.errno is not None
