"""Local files, where they were asked for: a path -> its bytes. Nothing outside the folder is opened, nothing blocks."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pixvec.concurrency.fair_budget import Claim
from pixvec.errors import FetchError
from pixvec.fetch.budget import Lease
from pixvec.fetch.connections.descriptors import is_shortage

_MAX_READERS: Final = 4
_MAX_PATH_CHARS: Final = 4096
# A FIFO or a device that took the place of a file after the look at it must not keep us waiting.
_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
# O_PATH, where there is one, needs no leave to list a folder on the way.
_PASS: Final = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
_NOT_FOUND: Final = frozenset([errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG])


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of this machine.

    Parameters
    ----------
    path
        As it was written.
    """

    path: str

    @property
    def host(self) -> None:
        """No host has it."""


class LocalFiles:
    """Reads files; for one event loop.

    Parameters
    ----------
    folder
        What must hold them, links followed, and where relative paths begin; None opens every file, which is for paths
        that the caller's own program made.
    max_bytes
        Of one file.
    """

    def __init__(self, folder: str | Path | None, *, max_bytes: int) -> None:
        self._root = None if folder is None else Path(folder).resolve()
        self._max_bytes = max_bytes
        self._readers = asyncio.Semaphore(_MAX_READERS)

    async def read(self, file: LocalFile, lease: Lease) -> bytes:
        """Read a file to its end.

        Raises
        ------
        FetchError
            ``path_blocked``, ``file_not_found``, ``file_error`` or ``too_many_bytes``.
        """
        async with self._readers:
            await lease.begin(Claim())
            body = await asyncio.to_thread(read_file, file.path, self._root, max_bytes=self._max_bytes)
            await lease.take(len(body))
            lease.end()
        return body


def read_file(path: str, root: Path | None, *, max_bytes: int) -> bytes:
    """Read a regular file in the folder `root`, or where that is None any; blocks.

    Raises
    ------
    FetchError
        ``path_blocked``, ``file_not_found``, ``file_error`` or ``too_many_bytes``.
    OSError
        No file descriptor is free.
    """
    try:
        fd = _open(path, root)
        try:
            return _read_regular(fd, max_bytes)
        finally:
            os.close(fd)
    except ValueError:  # os's word for a NUL or half a surrogate pair
        raise FetchError("file_not_found", "no file can have that name") from None
    except OSError as error:
        if is_shortage(error):
            raise
        raise _as_fetch_error(error) from None


def _open(path: str, root: Path | None) -> int:
    if len(path) > _MAX_PATH_CHARS:
        raise FetchError("file_not_found", f"a path is no longer than {_MAX_PATH_CHARS:,} characters")
    if root is None:
        return os.open(path, _OPEN)
    real = Path(os.path.realpath(root / path))  # unlike Path.resolve, it has no error of its own for circles
    if not real.is_relative_to(root):
        raise FetchError("path_blocked", "the path leads out of the folder of `files_under`")
    return _open_below(root, *real.relative_to(root).parts)


def _read_regular(fd: int, max_bytes: int) -> bytes:
    facts = os.fstat(fd)
    _refuse_irregular(facts)
    if facts.st_size > max_bytes:
        raise FetchError("too_many_bytes", f"the file is larger than {max_bytes:,} bytes")
    with os.fdopen(fd, "rb", closefd=False) as file:
        return file.read(facts.st_size)


def _open_below(root: Path, *parts: str) -> int:
    """Open a file from folder to folder, following no link: one that was put there since must not lead out."""
    *folders, name = parts or (".",)
    folder = os.open(root, _PASS)
    try:
        for part in folders:
            below = os.open(part, _PASS | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = below
        # Opening alone can do something to a device.
        _refuse_irregular(os.stat(name, dir_fd=folder, follow_symlinks=False))
        return os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=folder)
    finally:
        os.close(folder)


def _refuse_irregular(facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise FetchError("path_blocked", "the path leads to something that is no regular file")


def _as_fetch_error(error: OSError) -> FetchError:
    if error.errno in _NOT_FOUND:
        return FetchError("file_not_found", "there is no such file")
    if error.errno == errno.ELOOP:
        return FetchError("path_blocked", "the path leads through a link that was just put there, or in a circle")
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return FetchError("file_error", f"the system would not read the file ({reason})")
