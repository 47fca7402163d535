"""The folder beside an output that holds what is unfinished, and the lock; and how a file appears whole or not at all.

It is on the output's file system, so that a rename puts a finished file in its place. The lock ends with its owner,
however that ends. What is found there and is not ours stays there.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.table import reporting_write_errors

UNFINISHED: Final = "unfinished"
"""How the names of parts that are being written begin; a table has the output's name."""
FACTS: Final = "facts"
"""What a table was made with, for formats that hold no metadata, until it is put beside the table."""
REPLACEMENT: Final = "replacement"
"""The folder of the parts that will replace an output that exists; without it, such an output is never touched."""
REPLACED: Final = "replaced"
"""The folder that was replaced."""


@contextmanager
def work_folder(output: Path) -> Iterator[Path]:
    """Hold the lock on an output, and give the folder to work in. It stays when something in it is worth keeping.

    Raises
    ------
    UsageError
        When another run holds the lock.
    RunError
        When the file system refuses.
    """
    folder = output.parent / f".{output.name}.pixvec"
    lock = _lock(folder, output)
    try:
        yield folder
    finally:
        _tidy(folder, output)
        os.close(lock)


def put(unfinished: Path, place: Path) -> None:
    """Let a file appear at its place, whole, and so that it survives a power cut."""
    flush(unfinished)
    unfinished.replace(place)
    flush(place.parent)


def flush(path: Path) -> None:
    """Make a file, or the entries of a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _tidy(folder: Path, output: Path) -> None:
    """Leave nothing but what is worth keeping."""
    with suppress(OSError):  # a folder is not empty
        for path in (folder / output.name, *folder.glob(f"{UNFINISHED}*")):
            path.unlink(missing_ok=True)
        if (folder / REPLACEMENT).exists():
            (folder / REPLACEMENT).rmdir()
        if output.exists():
            shutil.rmtree(folder / REPLACED, ignore_errors=True)
        folder.rmdir()


def _lock(folder: Path, output: Path) -> int:
    """Lock a folder; who held the lock before may have removed it after it was opened here."""
    while True:
        with reporting_write_errors(output):
            folder.mkdir(exist_ok=True)
            descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise UsageError(f"another run is writing {output}: wait for it, or write to another file") from None
        if folder.exists() and os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
        os.close(descriptor)
