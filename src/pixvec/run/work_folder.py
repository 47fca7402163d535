"""The folder beside an output that holds what is unfinished, and the lock.

It is on the output's file system, so that a rename puts a finished file in its place. The lock ends with its owner,
however that ends. A file in it says that the folder is pixvec's: in a folder without it, nothing is changed.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder, beside
from pixvec.tables import reporting_write_errors

UNFINISHED: Final = "unfinished"
"""How the names of parts that are being written begin; a table has the output's name."""
FACTS: Final = "facts"
"""What a table was made with, for formats that hold no metadata, until it is put beside the table."""
REPLACEMENT: Final = "replacement"
"""The folder of the parts that will replace an output that exists; without it, such an output is never touched."""
REPLACED: Final = "replaced"
"""The folder that was replaced."""

_MARK: Final = "pixvec.txt"
_MARK_TEXT: Final = b"pixvec keeps unfinished work in this folder. The command that began it continues it.\n"
_FOLDER_MODE: Final = 0o700


class WorkFolder(OwnFolder):
    """The folder of unfinished work for one output, locked.

    Parameters
    ----------
    beside
        The folder that the output is in, for files that go with it.
    output
        The output's name there.
    """

    def __init__(self, path: Path, descriptor: int, *, beside: OwnFolder, output: str) -> None:
        super().__init__(path, descriptor)
        self.beside = beside
        self.output = output

    def put_beside(self, name: str, new: str) -> None:
        """Let a file that was written here appear beside the output, or as the output."""
        self.put(name, self.beside, new)

    def put_folder_beside(self, name: str) -> None:
        """Let a folder that was made here appear as the output."""
        self.rename(name, self.beside, self.output)
        self.beside.flush()

    @contextmanager
    def open_if_there(self, name: str) -> Iterator[OwnFolder | None]:
        """Open a folder in it, if there is one."""
        if not self.has(name):
            yield None
            return
        with self.subfolder(name) as folder:
            yield folder


@contextmanager
def work_folder(output: Path) -> Iterator[WorkFolder]:
    """Hold the lock on an output, and give the folder to work in. It stays when something in it is worth keeping.

    Raises
    ------
    UsageError
        When another run holds the lock, or what has the folder's name is not pixvec's.
    RunError
        When the file system refuses.
    """
    with reporting_write_errors(output):
        parent = beside(output)
    with parent, _locked(parent, output) as work:
        try:
            yield work
        finally:
            _tidy(work)


def _tidy(work: WorkFolder) -> None:
    """Leave nothing but what is worth keeping."""
    for name in work.names():
        with suppress(OSError):  # a folder that is not empty, or a folder in the place of a file
            if name == REPLACEMENT:
                work.remove_subfolder(name)
            elif name == work.output or name.startswith(UNFINISHED):
                work.remove(name)
    with suppress(OSError):
        if work.names() == [_MARK]:
            work.remove(_MARK)
            work.beside.remove_subfolder(work.path.name)


@contextmanager
def _locked(parent: OwnFolder, output: Path) -> Iterator[WorkFolder]:
    """Lock the folder; who held the lock before may have removed it after it was opened here."""
    name = f".{output.name}.pixvec"
    while True:
        with reporting_write_errors(output):
            folder = parent.subfolder(name, create=True, mode=_FOLDER_MODE)
        with folder:
            try:
                fcntl.flock(folder.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(f"another run is writing {output}: wait for it, or write to another file") from None
            if _is_at(parent, name, folder):
                with reporting_write_errors(output):
                    _mark(folder)
                yield WorkFolder(folder.path, folder.descriptor, beside=parent, output=output.name)
                return


def _is_at(parent: OwnFolder, name: str, folder: OwnFolder) -> bool:
    """Tell whether a name still leads to an open folder."""
    try:
        with parent.subfolder(name) as found:
            return os.path.samestat(os.fstat(found.descriptor), os.fstat(folder.descriptor))
    except FileNotFoundError:
        return False


def _mark(folder: OwnFolder) -> None:
    """Make a folder that is empty pixvec's, or check that it is."""
    names = folder.names()
    if not names:
        with folder.create(_MARK) as file:
            file.write(_MARK_TEXT)
    elif _MARK not in names or not _MARK_TEXT.startswith(_head(folder)):
        raise UsageError(f"{folder.path} is not a folder of pixvec's: it holds {names[0]}; move it away")


def _head(folder: OwnFolder) -> bytes:
    """Read what the mark says; less than it should where a power cut came between its making and its writing."""
    with folder.read(_MARK) as file:
        return file.read(len(_MARK_TEXT) + 1)
