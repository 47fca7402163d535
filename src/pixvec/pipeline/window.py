"""Rows in progress, from the first that is not done to the last that was begun: bounded, handed out when done."""

from __future__ import annotations

import concurrent.futures
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Final

from pixvec.errors import PixvecError
from pixvec.values import Row

WAITING_ROWS: Final = 16_384
"""Rows in progress at once: room enough that the model never waits for a slow neighbour. A decided row takes 2 KB."""
WAITING_CELL_BYTES: Final = 64 << 20
"""Bytes of images that came as cells and are in progress: they are at hand, so there is no reason to read far ahead."""
_TICK_S: Final = 0.2
"""How often progress is told while a row is waited for."""


class InProgress:
    """A row in progress.

    Parameters
    ----------
    number
        The row's, from 0.
    name
        Says what the row is called, when a bug is met at it.
    row
        What it comes to.
    n_bytes
        Bytes of its cell.
    """

    __slots__ = ("bug", "is_done", "n_bytes", "name", "number", "row")

    def __init__(
        self, number: int, name: Callable[[], str], row: concurrent.futures.Future[Row], *, n_bytes: int = 0
    ) -> None:
        self.number = number
        self.name = name
        self.n_bytes = n_bytes
        self.row = row
        self.is_done = False
        self.bug: Exception | None = None


class Window:
    """Rows in progress.

    Parameters
    ----------
    tell
        Called at each row that is waited for, and five times a second meanwhile.
    """

    def __init__(self, tell: Callable[[], None] | None = None) -> None:
        self._tell = tell
        self._rows: deque[InProgress] = deque()
        self._decided: SimpleQueue[InProgress] = SimpleQueue()
        self._n_bytes = 0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_full(self) -> bool:
        """Whether no row may be begun until one is decided."""
        return len(self._rows) == WAITING_ROWS or self._n_bytes > WAITING_CELL_BYTES

    @property
    def has_done(self) -> bool:
        """Whether a row can be taken without waiting."""
        return not self._decided.empty()

    def add(self, begun: InProgress) -> None:
        """Add the next row."""
        self._rows.append(begun)
        self._n_bytes += begun.n_bytes
        begun.row.add_done_callback(lambda _: self._decided.put(begun))

    def wait(self, seconds: float) -> None:
        """Give others time to decide the first row."""
        concurrent.futures.wait([self._rows[0].row], timeout=seconds)

    def take(self) -> Iterator[tuple[int, Row]]:
        """Wait for the next row that is decided.

        Raises
        ------
        Exception
            A bug, when its turn has come: after all rows before it; with a note that says where it was met.
        """
        yield from self._take(self._next())

    def drain(self) -> Iterator[tuple[int, Row]]:
        """Take the rows that are decided already, without telling of them."""
        with suppress(Empty):
            while True:
                yield from self._take(self._decided.get_nowait())

    def _take(self, decided: InProgress) -> Iterator[tuple[int, Row]]:
        try:
            row = decided.row.result()
        except Exception as bug:  # noqa: BLE001 (it is raised in its turn)
            name_bug(bug, decided.name())
            decided.bug = bug
        else:
            yield decided.number, row
        decided.is_done = True
        del decided.row  # they refer to each other
        while self._rows and self._rows[0].is_done:
            first = self._rows.popleft()
            self._n_bytes -= first.n_bytes
            if first.bug:
                raise first.bug

    def _next(self) -> InProgress:
        if self._tell is None:
            return self._decided.get()
        while True:
            self._tell()
            with suppress(Empty):
                return self._decided.get(timeout=_TICK_S)


def name_bug(bug: Exception, row: str) -> None:
    """Note at a bug which row it was met at, and where."""
    if not isinstance(bug, MemoryError | PixvecError):
        bug.add_note(f"pixvec: this is a bug, met at {row}, in {stage_of(bug)}")


def stage_of(bug: BaseException) -> str:
    """Name the module of ours that a bug was met in."""
    modules = (frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(bug.__traceback__))
    return next((name for name in reversed(list(modules)) if name.partition(".")[0] == "pixvec"), "pixvec")
