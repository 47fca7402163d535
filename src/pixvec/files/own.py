"""Files that pixvec names itself: beside a file of the user's, in its folder of unfinished work, in a cache.

A path that the user gives may be a link to anywhere. A name that pixvec makes up may not: whoever can put a file there
first would choose what is read, written or deleted. So a folder is opened once, names are looked up in the open folder
and not by path, links are not followed, and nothing is opened but a regular file of this user.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from pixvec.errors import UsageError

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LOOK_UP: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC if hasattr(os, "O_PATH") else None
# A FIFO or a device that takes the place of a file after the look at it must not keep us waiting.
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW: Final = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class OwnFolder:
    """A folder that is held open, for files in it that pixvec names.

    Parameters
    ----------
    path
        Where it was when it was opened; for messages, and for subfolders.
    descriptor
        The open folder, which is closed with this.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor

    @classmethod
    def at(cls, path: Path) -> Self:
        """Open a folder that the user named, or one that holds a file that the user named; links are followed.

        Raises
        ------
        OSError
            When there is none, or it cannot be opened.
        """
        try:
            return cls(path, os.open(path, _FOLDER))
        except PermissionError:
            if _LOOK_UP is None:
                raise
            return cls(path, os.open(path, _LOOK_UP))  # names can be looked up in a folder that may not be listed

    def subfolder(self, name: str, *, create: bool = False, mode: int = 0o777, of_anyone: bool = False) -> OwnFolder:
        """Open a folder in it; with `of_anyone` also another user's, which is for one that the user named.

        Raises
        ------
        UsageError
            When that is no folder, or not this user's.
        OSError
            When there is none, or the system refuses.
        """
        if create:
            with suppress(FileExistsError):
                os.mkdir(name, mode, dir_fd=self.descriptor)
        self._check(name, self._facts(name), is_folder=True, of_anyone=of_anyone)
        descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self.descriptor)
        try:
            self._check(name, os.fstat(descriptor), is_folder=True, of_anyone=of_anyone)
        except BaseException:
            os.close(descriptor)
            raise
        return OwnFolder(self.path / name, descriptor)

    def names(self) -> list[str]:
        """List what is in it, sorted."""
        return sorted(os.listdir(self.descriptor))  # noqa: PTH208 (a Path knows no open folder)

    def has(self, name: str) -> bool:
        """Tell whether anything has a name."""
        try:
            self._facts(name)
        except FileNotFoundError:
            return False
        return True

    def check(self, name: str) -> None:
        """Check that what has a name, if anything has, is a regular file of this user without a second name.

        Raises
        ------
        UsageError
            If it isn't.
        """
        with suppress(FileNotFoundError):
            self._check(name, self._facts(name), alone=True)

    def read(self, name: str, *, of_anyone: bool = False) -> BinaryIO:
        """Open a file to read it; with `of_anyone` also another user's, for what is checked as a stranger's anyway.

        Raises
        ------
        UsageError
            When it is no regular file, or another user's.
        OSError
            When there is none, or the system refuses.
        """
        return os.fdopen(self._open(name, os.O_RDONLY, of_anyone=of_anyone), "rb")

    def read_bytes(self, name: str) -> bytes:
        """Read a whole file of this user, with the errors of `read`."""
        with self.read(name) as file:
            return file.read()

    def create(self, name: str, *, buffering: int = -1) -> BinaryIO:
        """Create a file.

        Raises
        ------
        OSError
            When there is something with the name, or the system refuses.
        """
        descriptor = os.open(name, os.O_RDWR | _NEW, 0o666, dir_fd=self.descriptor)
        return os.fdopen(descriptor, "w+b", buffering)

    def create_anew(self, name: str) -> BinaryIO:
        """Create a file in the place of one that an earlier run left, in a folder that holds nothing but such files."""
        self.remove(name)
        return self.create(name)

    def write(self, name: str, content: bytes) -> None:
        """Write a file whole or not at all, in the place of what has its name: of a link, the link itself.

        Raises
        ------
        OSError
            When the system refuses.
        """
        unfinished = f"{name}.{secrets.token_hex(4)}.tmp"
        with self.create(unfinished) as file:
            file.write(content)
        self.rename(unfinished, self, name)

    def open_to_add(self, name: str) -> BinaryIO:
        """Open a file to read it and to add to its end; create it where there is none.

        Raises
        ------
        UsageError
            When it is no regular file, or another user's, or has a second name, under which it may be anything.
        OSError
            When the system refuses.
        """
        with suppress(FileExistsError):
            self.create(name).close()
        descriptor = self._open(name, os.O_RDWR | os.O_APPEND, alone=True)
        return os.fdopen(descriptor, "a+b")

    def remove(self, name: str) -> None:
        """Remove a file, if there is one; of a link the link alone."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)

    def remove_subfolder(self, name: str) -> None:
        """Remove a folder that is empty."""
        os.rmdir(name, dir_fd=self.descriptor)

    def rename(self, name: str, folder: OwnFolder, new: str) -> None:
        """Move something to another name, here or in another folder of the file system; what a link leads to stays."""
        os.rename(name, new, src_dir_fd=self.descriptor, dst_dir_fd=folder.descriptor)

    def put(self, name: str, folder: OwnFolder, new: str) -> None:
        """Let a file appear in another folder, whole, and so that it survives a power cut."""
        self.flush_file(name)
        self.rename(name, folder, new)
        folder.flush()

    def flush_file(self, name: str) -> None:
        """Make what is in a file survive a power cut."""
        with self.read(name) as file:
            os.fsync(file.fileno())

    def flush(self) -> None:
        """Make the names in it survive a power cut."""
        os.fsync(self.descriptor)

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, name: str, flags: int, *, of_anyone: bool = False, alone: bool = False) -> int:
        self._check(name, self._facts(name), of_anyone=of_anyone)  # opening alone can do something to a device
        descriptor = os.open(name, flags | _FILE, dir_fd=self.descriptor)
        try:
            self._check(name, os.fstat(descriptor), of_anyone=of_anyone, alone=alone)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _facts(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def _check(
        self,
        name: str,
        facts: os.stat_result,
        *,
        is_folder: bool = False,
        of_anyone: bool = False,
        alone: bool = False,
    ) -> None:
        expected = "a folder" if is_folder else "a regular file"
        if stat.S_ISLNK(facts.st_mode):
            problem = f"a link, and not {expected}"
        elif not (stat.S_ISDIR if is_folder else stat.S_ISREG)(facts.st_mode):
            problem = f"not {expected}"
        elif not of_anyone and not self._is_ours(facts):
            problem = f"another user's (user id {facts.st_uid})"
        elif alone and facts.st_nlink > 1:
            problem = "a hard link: the same file has another name"
        else:
            return
        raise UsageError(f"{self.path / name} is {problem}; pixvec needs this name for its own use: move it away")

    def _is_ours(self, facts: os.stat_result) -> bool:
        return facts.st_uid == os.geteuid() or facts.st_uid == self._owner_of_new_files

    @cached_property
    def _owner_of_new_files(self) -> int:
        """Return the user that the file system gives our files to: NFS, for one, may map root to nobody."""
        name = f".pixvec-{secrets.token_hex(8)}"
        try:
            with self.create(name) as file:
                return os.fstat(file.fileno()).st_uid
        except OSError:  # nothing can be made here, so nothing here is ours
            return os.geteuid()
        finally:
            with suppress(OSError):
                self.remove(name)


def beside(path: Path) -> OwnFolder:
    """Open the folder that a file or folder of the user's is really in, for the files that go with it.

    Raises
    ------
    OSError
        When there is no such folder, or it cannot be opened.
    """
    return OwnFolder.at(path.resolve().parent)
