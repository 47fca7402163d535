"""Which cells and which files come again: 40 bytes of memory for each row, however long a URL is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.reports.review.reading import Rows

MIN_SHARED_URLS: Final = 5
"""A file that this many different cells lead to is shown: a mirror or two are nothing unusual."""

_MAX_BYTES: Final = 1 << 50

Hashes: TypeAlias = NDArray[np.int64]
Numbers: TypeAlias = NDArray[np.int64]


_EMPTY: Final[Numbers] = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Sharing:
    """A file behind many cells: how many, and the rows that it was embedded for, in order."""

    n_urls: int
    rows: Numbers


@dataclass(slots=True)
class SharedImages:
    """Hashes of cells and files, in the order of their rows."""

    _cells: list[Hashes] = field(default_factory=lambda: [_EMPTY])
    _files: list[Hashes] = field(default_factory=lambda: [_EMPTY])
    _cells_of_files: list[Hashes] = field(default_factory=lambda: [_EMPTY])
    _rows_of_files: list[Numbers] = field(default_factory=lambda: [_EMPTY])
    _bytes_of_files: list[Numbers] = field(default_factory=lambda: [_EMPTY])

    def add(self, rows: Rows) -> None:
        """See some rows."""
        cells = np.fromiter(map(hash, rows.cells), np.int64, len(rows.cells))
        self._cells.append(cells[[cell not in (None, "") for cell in rows.cells]])
        if rows.images is not None:
            files = rows.images["sha256"]
            has_file = np.array([file is not None for file in files], bool)
            self._files.append(np.fromiter(map(hash, files), np.int64, len(files))[has_file])
            self._cells_of_files.append(cells[has_file])
            self._rows_of_files.append(rows.start + np.flatnonzero(has_file))
            n_bytes = np.array([_counted(n) for n in rows.images["n_bytes"]], np.int64)
            self._bytes_of_files.append(n_bytes[has_file])

    def cells(self) -> tuple[int, int]:
        """Count the cells, and how many of them are different."""
        cells = np.concatenate(self._cells)
        return len(cells), len(np.unique(cells))

    def files(self) -> tuple[int, int]:
        """Count the different files, and their bytes."""
        _, firsts = np.unique(np.concatenate(self._files), return_index=True)
        return len(firsts), sum(np.concatenate(self._bytes_of_files)[firsts].tolist())

    def shared(self) -> list[Sharing]:
        """List the files that many different cells lead to, those with the most rows first."""
        files, cells = np.concatenate(self._files), np.concatenate(self._cells_of_files)
        rows = np.concatenate(self._rows_of_files)
        if not len(files):
            return []
        order = np.lexsort((rows, cells, files))
        is_new_file = _differs(files[order])
        starts = np.flatnonzero(is_new_file)
        n_urls = np.add.reduceat(is_new_file | _differs(cells[order]), starts, dtype=np.int64)
        found = [
            Sharing(int(n), np.sort(rows[order[start:end]]))
            for n, start, end in zip(n_urls, starts, [*starts[1:], len(files)], strict=True)
            if n >= MIN_SHARED_URLS
        ]
        return sorted(found, key=lambda sharing: (-len(sharing.rows), int(sharing.rows[0])))


def _counted(n_bytes: int | None) -> int:
    """Give a size that a table tells, or none for one that no file has."""
    return n_bytes if n_bytes is not None and 0 <= n_bytes < _MAX_BYTES else 0


def _differs(hashes: Hashes) -> NDArray[np.bool_]:
    """Tell which differ from the one before them."""
    return np.concatenate([[True], hashes[1:] != hashes[:-1]])
