"""Bytes by key in one file that many processes may use at once and whose size has a bound.

What cannot be read is not there, and what cannot be written is forgotten: no error of a disk or of the file leaves this
module, but a warning does. A damaged file is put aside, and every entry has a checksum of its own.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias, TypeVar

from pixvec.errors import UsageError
from pixvec.pipeline.cache.database import Database, n_bytes, put_aside, shrink, transaction

Entry: TypeAlias = tuple[bytes, bytes]
"""A key, and the bytes that are kept under it."""
Result = TypeVar("Result")

_FILE: Final = "pixvec-rows-1.sqlite3"
"""The number is that of what stands in it: another version of pixvec may have another file beside it."""
_FIND: Final = "SELECT entry, used_s FROM entries WHERE key = ?"
_TOUCH: Final = "UPDATE entries SET used_s = ? WHERE key = ?"
_PUT: Final = """
    INSERT INTO entries (key, entry, used_s) VALUES (?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET entry = excluded.entry, used_s = excluded.used_s
"""
_EVICT: Final = "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries ORDER BY used_s, rowid LIMIT ?)"
_MIN_EVICTED: Final = 256
_USE_S: Final = 3_600
"""Uses are written down to the hour, so that reading seldom writes."""
_MAX_USES: Final = 1_024
_CHECKSUM_BYTES: Final = 8
_BUSY: Final = frozenset([sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED])
_DAMAGED: Final = frozenset([sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR])
"""The last is what a file without our table comes to, as one that a power cut left empty."""
_UNWRITABLE: Final = frozenset([sqlite3.SQLITE_READONLY, sqlite3.SQLITE_FULL])
_LOGGER: Final = logging.getLogger("pixvec")


class Store:
    """Keeps bytes; for one thread.

    Parameters
    ----------
    folder
        Where the file is, made where there is none; nobody but its owner may read what is made.
    max_bytes
        Of the file. Those entries leave it that were not used for the longest time.
    clock
        Tells the time in seconds.
    """

    def __init__(self, folder: Path, *, max_bytes: int, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / _FILE
        self._max_bytes = max_bytes
        self._clock = clock
        self._uses: list[bytes] = []
        self._was_put_aside = False
        self._database: Database | None = None
        self._open()

    def get(self, key: bytes) -> bytes | None:
        """Return what is kept under a key; None where nothing is, or it is not what was put there."""
        found = self._try(lambda connection: connection.execute(_FIND, (key,)).fetchone())
        if found is None:
            return None
        sealed, used_s = found
        if not isinstance(sealed, bytes) or not isinstance(used_s, int):
            return None
        if used_s <= self._clock() - _USE_S:
            self._note_use(key)
        entry: bytes = sealed[_CHECKSUM_BYTES:]
        return entry if sealed == _seal(key, entry) else None

    def put(self, entries: Sequence[Entry]) -> None:
        """Keep entries under their keys, all or none, in the place of what was kept there."""
        uses, self._uses = self._uses, []
        if self._database and self._database.is_writable and (entries or uses):
            self._try(lambda connection: self._write(connection, entries, uses))

    def close(self) -> None:
        """Write down what was used, and let go of the file."""
        self.put([])
        self._let_go()

    def _write(self, connection: sqlite3.Connection, entries: Sequence[Entry], uses: Sequence[bytes]) -> None:
        now_s = int(self._clock())
        with transaction(connection):
            connection.executemany(_TOUCH, [(now_s, key) for key in uses])
            connection.executemany(_PUT, [(key, _seal(key, entry), now_s) for key, entry in entries])
        if n_bytes(connection) > self._max_bytes:
            # More than was written, so that a bound that was lowered is reached too, little by little.
            connection.execute(_EVICT, (max(_MIN_EVICTED, 2 * len(entries)),))
            shrink(connection)

    def _note_use(self, key: bytes) -> None:
        self._uses.append(key)
        if len(self._uses) >= _MAX_USES:
            self.put([])

    def _try(self, work: Callable[[sqlite3.Connection], Result]) -> Result | None:
        """Do a piece of work where there is a file, and make the best of what goes wrong with it."""
        if self._database is None:
            return None
        try:
            self._database.begin()
            return work(self._database.connection)
        except sqlite3.Error as error:
            self._give_up(error)
            return None

    def _open(self) -> None:
        try:
            self._database = Database(self._path)
        except sqlite3.Error as error:
            self._give_up(error)
        except OSError as error:
            self._go_without(error.strerror or type(error).__name__)
        except UsageError as error:
            self._go_without(str(error))

    def _let_go(self) -> None:
        if self._database:
            self._database.close()
            self._database = None

    def _give_up(self, error: sqlite3.Error) -> None:
        """Give up what an error leaves no hope for: this one turn, writing, the file, or all of it."""
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF
        if code in _BUSY and self._database:
            _LOGGER.debug("the cache %s is busy", self._path)
        elif code in _UNWRITABLE and self._database:
            self._database.is_writable = False
            _LOGGER.warning("the cache %s is only read from here on: %s", self._path, error)
        elif code in _DAMAGED and not self._was_put_aside:
            self._begin_anew()
        else:
            self._go_without(str(error))

    def _begin_anew(self) -> None:
        self._let_go()
        self._was_put_aside = True
        if aside := put_aside(self._path):
            _LOGGER.warning("the cache was damaged and begins anew; what there was is now %s", aside)
            self._open()
        else:
            self._go_without("it is damaged, and cannot be put aside while others use it")

    def _go_without(self, reason: str) -> None:
        self._let_go()
        _LOGGER.warning("going on without the cache %s: %s", self._path, reason)


def _seal(key: bytes, entry: bytes) -> bytes:
    """Put a checksum before an entry, which holds for its key alone."""
    return hashlib.blake2b(key + entry, digest_size=_CHECKSUM_BYTES).digest() + entry
