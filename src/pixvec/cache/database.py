"""The SQLite file of the cache: how it is made, opened, shared and put aside.

Whoever has it open holds a shared lock on its folder, so that it is never moved from under anybody: SQLite finds its
journal by name. The system drops the lock with the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.own_files import OwnFolder

_SCHEMA: Final = """
    PRAGMA page_size = 16384; -- of the usual 4096 bytes, a vector of 512 numbers would waste half
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    CREATE TABLE entries (key BLOB UNIQUE NOT NULL, entry BLOB NOT NULL, used_s INTEGER NOT NULL);
    CREATE INDEX entries_by_use ON entries (used_s);
"""
_BUSY_S: Final = 0.5
"""How long one process waits for another's turn."""


class Database:
    """The open file, made where there is none; for reading alone where it cannot be written.

    Attributes
    ----------
    connection
        Each statement is a transaction of its own, unless `transaction` holds several together.
    is_writable
        Whether it is worth trying.

    Raises
    ------
    OSError
        Where it is not there and cannot be made.
    UsageError
        Where it, or a file that SQLite keeps beside it, is not a regular file of this user.
    sqlite3.Error
        Where it is there and cannot be read.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._users = _lock(path.parent, fcntl.LOCK_SH)
        try:
            with OwnFolder.at(path.parent) as folder:
                for name in _names(path):
                    folder.check(name)
            if not path.exists():
                _create(path)
            self.is_writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
            self.connection = _connect(path, "mode=rw") if self.is_writable else _connect_to_read(path)
        except BaseException:
            os.close(self._users)
            raise

    def close(self) -> None:
        """Let go of the file."""
        with suppress(sqlite3.Error):
            self.connection.close()
        os.close(self._users)


def put_aside(path: Path) -> Path | None:
    """Rename a file that nobody has open, and return its new name; None where that cannot be done."""
    aside = path.with_suffix(".damaged")
    try:
        users = _lock(path.parent, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    try:
        with OwnFolder.at(path.parent) as folder:
            for name in _names(aside):
                folder.check(name)
            # The file itself comes last, so that SQLite never finds another one's journal beside a new one.
            for name, new in reversed(list(zip(_names(path), _names(aside), strict=True))):
                if folder.has(name):
                    folder.rename(name, folder, new)
    except (OSError, UsageError):
        return None
    finally:
        os.close(users)
    return aside


def _names(path: Path) -> tuple[str, ...]:
    """Name the file, and those that SQLite keeps beside it."""
    return path.name, *(path.name + ending for ending in ("-journal", "-wal", "-shm"))


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Let what is written come to be together, or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # some errors have rolled back already
            connection.execute("ROLLBACK")
        raise


def n_bytes(connection: sqlite3.Connection) -> int:
    """Return how much of the file is in use."""
    pages, free, size = (_number(connection, name) for name in ("page_count", "freelist_count", "page_size"))
    return (pages - free) * size


def shrink(connection: sqlite3.Connection) -> None:
    """Give back to the system what is not in use."""
    connection.executescript("PRAGMA incremental_vacuum")  # `execute` would stop after a page


def _number(connection: sqlite3.Connection, name: str) -> int:
    number: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return number


def _lock(folder: Path, kind: int) -> int:
    """Lock a folder among those who use its file, as far as its file system has locks; closing it unlocks it."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, kind)
    except BlockingIOError:
        os.close(fd)
        raise
    except OSError as error:
        if kind != fcntl.LOCK_SH or error.errno not in {errno.ENOLCK, errno.ENOTSUP, errno.EINVAL, errno.EBADF}:
            os.close(fd)
            raise
    return fd


def _create(path: Path) -> None:
    """Make the file under another name, readable by its owner alone, so that it is never seen half made."""
    fd, name = tempfile.mkstemp(dir=path.parent, prefix=f"{path.name}.", suffix=".new")
    os.close(fd)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as connection:
            connection.executescript(_SCHEMA)
        with suppress(FileExistsError):  # another process was first
            os.link(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _connect_to_read(path: Path) -> sqlite3.Connection:
    try:
        return _connect(path, "mode=ro")
    except sqlite3.OperationalError:  # in a folder that nobody can write, the file has no journal, nor needs one
        return _connect(path, "immutable=1")


def _connect(path: Path, how: str) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?{how}"
    connection = sqlite3.connect(uri, uri=True, timeout=_BUSY_S, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("SELECT key FROM entries LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
