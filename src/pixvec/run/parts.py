"""Parts: consecutive rows in a file named by them, whole or absent. They are the journal; there is no other.

A part says in its metadata what it was made with, the hash of its input rows, and how many of its rows failed.
"""

from __future__ import annotations

import json
import logging
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.parquet as pq

from pixvec.errors import RunError, UsageError
from pixvec.run.facts import differences, file_sha256
from pixvec.run.piece_files import ReadPiece, list_pieces
from pixvec.run.work_folder import REPLACEMENT

METADATA_KEY: Final = b"pixvec.part"

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


def list_parts(folder: Path) -> list[Part]:
    """List the parts in a folder by their names, in the order of their rows."""
    with suppress(FileNotFoundError, NotADirectoryError):
        parts = filter(None, (Part.of_name(path.name) for path in folder.iterdir()))
        return sorted(parts, key=lambda part: (part.start, part.stop))
    return []


def finished_parts(folder: Path, facts: Mapping[str, Any]) -> list[Part]:
    """List the finished parts in a folder, each with what its metadata says. A torn file is removed.

    Raises
    ------
    UsageError
        When a part was made with other facts, or is not ours, or overlaps another.
    """
    parts = [part for named in list_parts(folder) if (part := _read_part(folder / named.name, named, facts))]
    for one, other in pairwise(parts):
        if other.start < one.stop:
            raise UsageError(f"{folder} holds {one.name} and {other.name}, which have rows in common: remove one")
    return parts


def _read_part(path: Path, named: Part, facts: Mapping[str, Any]) -> Part | None:
    metadata = _metadata(path)
    if metadata is None:
        return None
    written = _written(metadata)
    if not written or metadata.num_rows != named.n_rows:
        raise UsageError(f"{path} is no part of pixvec's: move it away")
    check_same_run(path.parent, written["facts"], facts)
    return Part(named.start, named.stop, written["input_sha256"], written["failures"], written["facts"])


def check_same_run(folder: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that what is in a folder was made with the facts of this run.

    Raises
    ------
    UsageError
        If it wasn't.
    """
    if differing := differences(then, now):
        raise UsageError(
            f"{folder} holds parts of a run that differs: {differing}; go on with what it was"
            + ("" if now.get("retry") else ", or throw its parts away with `restart=True`")
        )


def _metadata(path: Path) -> pq.FileMetaData | None:
    """Read a part's metadata; a torn one is removed."""
    try:
        return pq.read_metadata(path)
    except (pa.ArrowException, OSError) as error:
        if is_refusal(error):
            raise RunError(f"{path} cannot be read: {error}") from error
        _LOGGER.warning("%s is torn, and is made again", path)
        path.unlink()
        return None


def _written(metadata: pq.FileMetaData) -> dict[str, Any]:
    """Tell what a part says of itself; nothing where it is not ours."""
    written: dict[str, Any] = json.loads((metadata.metadata or {}).get(METADATA_KEY, b"{}"))
    return written


def parts_folder(work: Path, *, default: Path, restart: bool, replaces: bool) -> Path:
    """Choose the folder of the parts: one apart where they will replace an output; with `restart`, begin anew.

    A run that began to replace an output goes on with that, until it is done.
    """
    replacement = work / REPLACEMENT
    if restart:
        remove_parts(replacement)
        remove_parts(work)
        if replaces:
            replacement.mkdir(exist_ok=True)
    return replacement if replacement.exists() else default


def remove_parts(folder: Path) -> None:
    """Remove the parts in a folder, and the pieces."""
    for part in list_parts(folder):
        (folder / part.name).unlink()
    for path in list_pieces(folder):
        path.unlink()


def remove_obsolete_parts(folder: Path, table: Path, facts: Mapping[str, Any]) -> None:
    """Remove what a finished table has taken in, parts and pieces: its own run's, and those that retried what it was.

    What retries the table as it is stays.
    """
    paths = [folder / part.name for part in list_parts(folder)]
    made_with = {path: _written(metadata).get("facts", {}) for path in paths if (metadata := _metadata(path))}
    made_with |= {path: piece.facts for path in list_pieces(folder) if (piece := ReadPiece.of(path))}
    now = file_sha256(table) if made_with else None
    for path, then in made_with.items():
        if not differences(then, facts) or then.get("table_sha256") not in {None, now}:
            path.unlink()


def is_refusal(error: Exception) -> bool:
    """Tell an error of the file system from one of a file's content."""
    return isinstance(error, OSError) and error.errno is not None
