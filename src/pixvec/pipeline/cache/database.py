"""The SQLite file of the cache: how it is made, opened, shared and put aside.

The folder may come from a stranger, with anything in it: only regular files are opened, no table or index but ours is
worked with, and no work goes on for longer than its time.

Whoever has it open holds a shared lock on its folder, so that it is never moved from under anybody: SQLite finds its
journal by name. The system drops the lock with the process.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder

_SCHEMA: Final = """
    PRAGMA page_size = 16384; -- of the usual 4096 bytes, a vector of 512 numbers would waste half
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    CREATE TABLE entries (key BLOB UNIQUE NOT NULL, entry BLOB NOT NULL, used_s INTEGER NOT NULL);
    CREATE INDEX entries_by_use ON entries (used_s);
"""
_BUSY_S: Final = 0.5
"""How long one process waits for another's turn."""
_MAX_WORK_S: Final = 10.0
"""How long a piece of work may take; what is asked of the file takes milliseconds."""
_STEPS_BETWEEN_LOOKS: Final = 10_000
_MAX_ENTRY_BYTES: Final = 1 << 20
_MAX_JOURNAL_BYTES: Final = 1 << 30
"""SQLite reads all of a journal that another process left."""


class SchemaError(sqlite3.DatabaseError):
    """The file holds other tables, indexes, views or triggers than ours."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


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
            _check_journals(path)
            self.is_writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
            self.connection = _connect(path, "mode=rw") if self.is_writable else _connect_to_read(path)
        except BaseException:
            os.close(self._users)
            raise
        self.begin()

    def begin(self) -> None:
        """Begin a piece of work, which is interrupted when its time is over."""
        _limit_time(self.connection)

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


def _check_journals(path: Path) -> None:
    """Refuse what SQLite would obey or read without end. Ours writes a ``-wal`` alone.

    A rollback journal may name any other file, which SQLite then deletes.
    """
    if os.path.lexists(f"{path}-journal"):
        raise OSError(errno.EEXIST, f"{path.name}-journal is there, which pixvec never writes: it may be harmful")
    with suppress(FileNotFoundError):
        if os.lstat(f"{path}-wal").st_size > _MAX_JOURNAL_BYTES:
            raise OSError(errno.EFBIG, f"{path.name}-wal is larger than {_MAX_JOURNAL_BYTES:,} bytes")


def _limit_time(connection: sqlite3.Connection) -> None:
    deadline = time.monotonic() + _MAX_WORK_S
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)


def _check_schema(connection: sqlite3.Connection) -> None:
    found = connection.execute(_SCHEMA_QUERY).fetchmany(_MAX_SCHEMA_ROWS)
    if found and found != _own_schema():
        raise SchemaError("it holds other tables than a cache of this version")


@cache
def _own_schema() -> list[Any]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_SCHEMA)
        return connection.execute(_SCHEMA_QUERY).fetchall()


_SCHEMA_QUERY: Final = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
_MAX_SCHEMA_ROWS: Final = 16


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
        _limit_time(connection)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MAX_ENTRY_BYTES)
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -2000")  # its default; the file may name another
        _check_schema(connection)
        connection.execute("SELECT key FROM entries LIMIT 1").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection
