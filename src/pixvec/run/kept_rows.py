"""Which rows earlier starts have kept in pieces, and where: 32 bytes for each, since a part may be large."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.run.parts import Part, check_same_run
from pixvec.run.piece_files import CELL_HASH_BYTES, ReadPiece

RowNumbers: TypeAlias = NDArray[np.int64]
"""Numbers of rows, (N,)."""
Lifted: TypeAlias = Callable[[Mapping[str, Any]], Collection[str]]


class KeptRows:
    """The rows in pieces that are in no finished part. Pieces that hold none are removed, torn ones included.

    Parameters
    ----------
    paths
        The pieces.
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
        self, paths: Sequence[Path], finished: Iterable[Part], *, facts: Mapping[str, Any], lifted: Lifted
    ) -> None:
        self._lifted = lifted
        self.rows_in: dict[Path, RowNumbers] = {}
        self._paths: list[Path] = []
        self._finished = _Ranges(finished)
        columns = [_no_rows(), *(found for path in paths if (found := self._read(path, facts)))]
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

    def origin(self, place: int) -> tuple[Path, int]:
        """Name the piece of the row at a place, and the row's index in it."""
        return self._paths[self._pieces[place]], int(self._indexes[place])

    def _read(self, path: Path, facts: Mapping[str, Any]) -> tuple[NDArray[Any], ...] | None:
        piece = ReadPiece.of(path)
        if piece is None:
            path.unlink()
            return None
        check_same_run(path.parent, piece.facts, facts)
        rows = piece.rows
        lifted = self._lifted(piece.facts)
        is_lifted = np.array([code in lifted for code in piece.codes.tolist()], bool)
        (indexes,) = np.nonzero(~self._finished.have(rows) & ~is_lifted)
        if not len(indexes):
            path.unlink()
            return None
        self.rows_in[path] = rows[indexes]
        self._paths.append(path)
        pieces = np.full(len(indexes), len(self._paths) - 1, np.int32)
        return rows[indexes], piece.cell_hashes[indexes], piece.codes[indexes], pieces, indexes


def count_kept(paths: Iterable[Path], finished: Iterable[Part]) -> int:
    """Count the rows in pieces that are in no finished part."""
    rows = [piece.rows for path in paths if (piece := ReadPiece.of(path))]
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
