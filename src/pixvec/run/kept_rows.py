"""Which rows earlier starts have kept in pieces, and where: 32 bytes for each, since a part may be large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.files.own import OwnFolder
from pixvec.run.parts import Part, check_same_run
from pixvec.run.piece_files import CELL_HASH_BYTES, ReadPiece

RowNumbers: TypeAlias = NDArray[np.int64]
"""Numbers of rows, (N,)."""
Lifted: TypeAlias = Callable[[Mapping[str, Any]], Collection[str]]


class KeptRows:
    """The rows in pieces that are in no finished part. Pieces that hold none are removed, torn ones included.

    Parameters
    ----------
    folder, names
        Where the pieces are, and what they are called.
    finished
        The finished parts.
    facts
        What the rows must be made with.
    lifted
        Names the codes of rows, made with other facts, that may come to something else now: these are made again.

    Attributes
    ----------
    rows_in
        The rows that each piece has of them.
    failures
        How many of them have no vector, by code.

    Raises
    ------
    UsageError
        When rows are made with something else.
    """

    def __init__(
        self,
        folder: OwnFolder,
        names: Sequence[str],
        finished: Iterable[Part],
        *,
        facts: Mapping[str, Any],
        lifted: Lifted,
    ) -> None:
        self._folder = folder
        self._lifted = lifted
        self.rows_in: dict[str, RowNumbers] = {}
        self._names: list[str] = []
        self._finished = _Ranges(finished)
        columns = [_no_rows(), *(found for name in names if (found := self._read(name, facts)))]
        rows, cells, codes, pieces, indexes = (np.concatenate(column) for column in zip(*columns, strict=True))
        self._rows, first = np.unique(rows, return_index=True)  # one that an interrupt had written twice is one
        self._cells, self._pieces, self._indexes = cells[first], pieces[first], indexes[first]
        self.failures = Counter[str](filter(None, codes[first].tolist()))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def last_row(self) -> int:
        """The last row; -1 where there is none."""
        return int(self._rows[-1]) if len(self._rows) else -1

    def find(self, row: int) -> int | None:
        """Find a row's place among them."""
        place = int(self._rows.searchsorted(row))
        return place if place < len(self._rows) and self._rows[place] == row else None

    def cell_hash(self, place: int) -> bytes:
        """Give the hash of the cell of the row at a place."""
        return bytes(self._cells[place])

    def origin(self, place: int) -> tuple[str, int]:
        """Name the piece of the row at a place, and the row's index in it."""
        return self._names[self._pieces[place]], int(self._indexes[place])

    def _read(self, name: str, facts: Mapping[str, Any]) -> tuple[NDArray[Any], ...] | None:
        piece = ReadPiece.of(self._folder, name)
        if piece is None:
            self._folder.remove(name)
            return None
        check_same_run(self._folder, piece.facts, facts)
        rows = piece.rows
        lifted = self._lifted(piece.facts)
        is_lifted = np.array([code in lifted for code in piece.codes.tolist()], bool)
        (indexes,) = np.nonzero(~self._finished.have(rows) & ~is_lifted)
        if not len(indexes):
            self._folder.remove(name)
            return None
        self.rows_in[name] = rows[indexes]
        self._names.append(name)
        pieces = np.full(len(indexes), len(self._names) - 1, np.int32)
        return rows[indexes], piece.cell_hashes[indexes], piece.codes[indexes], pieces, indexes


def count_kept(pieces: Iterable[tuple[OwnFolder, str]], finished: Iterable[Part]) -> int:
    """Count the rows in pieces, each named in its folder, that are in no finished part."""
    rows = [piece.rows for folder, name in pieces if (piece := ReadPiece.of(folder, name))]
    kept = np.unique(np.concatenate([np.empty(0, np.int64), *rows]))
    return int((~_Ranges(finished).have(kept)).sum())


class _Ranges:
    def __init__(self, parts: Iterable[Part]) -> None:
        ranges = sorted((part.start, part.stop) for part in parts)
        self._starts, self._stops = np.array([(-1, -1), *ranges], np.int64).T  # (N,), (N,)

    def have(self, rows: RowNumbers) -> NDArray[np.bool_]:
        """Tell of each row whether it is in one of them."""
        before = self._starts.searchsorted(rows, side="right") - 1
        are_in: NDArray[np.bool_] = rows < self._stops[before]
        return are_in


def _no_rows() -> tuple[NDArray[Any], ...]:
    cells = np.empty((0, CELL_HASH_BYTES), np.uint8)
    return np.empty(0, np.int64), cells, np.empty(0, object), np.empty(0, np.int32), np.empty(0, np.int64)
