"""A file that appears whole or not at all: written in a folder beside its place, then moved there.

The folder is on the same file system, holds a lock that ends with its owner, and goes with the run.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pixvec.errors import RunError, UsageError
from pixvec.table import reporting_write_errors


@contextmanager
def replacing(output: Path, *, restart: bool) -> Iterator[Path]:
    """Give a path to write to; what was written there becomes `output` when the block ends well.

    Raises
    ------
    UsageError
        When `output` exists and `restart` was not asked for, or another run is writing it.
    RunError
        When the file system refuses, or somebody else wrote `output` during the block.
    """
    with _work_folder(output) as folder:
        if output.exists() and not restart:
            raise UsageError(f"{output} exists: replace it with --restart (restart=True), or write to another file")
        unfinished = folder / output.name
        yield unfinished
        with reporting_write_errors(output):
            _flush(unfinished)
            if output.exists() and not restart:
                kept = output.with_name(f"{output.stem}.{os.getpid()}{output.suffix}")
                unfinished.replace(kept)
                raise RunError(f"somebody else wrote {output} meanwhile: it was left alone, and the table is {kept}")
            unfinished.replace(output.resolve())  # a link stays one
            _flush(output.parent)


@contextmanager
def _work_folder(output: Path) -> Iterator[Path]:
    folder = output.parent / f".{output.name}.pixvec"
    with reporting_write_errors(output):
        folder.mkdir(exist_ok=True)
        lock = os.open(folder, os.O_RDONLY)
    try:
        _lock(lock, output)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _lock(descriptor: int, output: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"another run is writing {output}: wait for it, or write to another file") from None


def _flush(path: Path) -> None:
    """Make a file, or the entries of a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
