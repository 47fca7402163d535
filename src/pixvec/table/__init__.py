"""Tables in and out: a path or a frame in, chunks of rows out, and the same chunks with result columns in.

One file for each format, with the same verbs. A writer writes the path it is given; that a file appears whole or not
at all is the business of whoever gives a temporary one. Knows nothing of URLs, pictures or models.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.table.chunk import Chunk, TableReader, TableWriter, reporting_write_errors
from pixvec.table.csv import CsvReader, CsvWriter
from pixvec.table.frame import Frame, open_frame
from pixvec.table.parquet import ParquetReader, ParquetWriter
from pixvec.table.url_column import find_url_column

__all__ = [
    "Chunk",
    "Frame",
    "TableReader",
    "TableWriter",
    "check_output",
    "create_table",
    "find_url_column",
    "keeps_metadata",
    "open_frame",
    "open_table",
    "reporting_write_errors",
]

READERS: Final[dict[str, Callable[[Path], TableReader]]] = {".csv": CsvReader, ".parquet": ParquetReader}
WRITERS: Final[dict[str, type[CsvWriter | ParquetWriter]]] = {".csv": CsvWriter, ".parquet": ParquetWriter}


def open_table(path: str | os.PathLike[str]) -> TableReader:
    """Open a table file by its ending.

    Raises
    ------
    UsageError
        If there is no such file, or it is not what its ending says.
    """
    path = Path(path)
    with _blaming(path, "read"):
        if path.is_dir():
            raise UsageError(f"{path} is a folder: give one file")
        if not path.exists():
            raise UsageError(f"there is no file {path}")
        return READERS[_known_ending(path)](path)


def keeps_metadata(path: Path) -> bool:
    """Tell whether a table's format, by its ending, holds metadata beside its cells."""
    return WRITERS[_known_ending(path)].keeps_metadata


def create_table(
    path: str | os.PathLike[str],
    source: TableReader,
    results: pa.Schema,
    *,
    ending: str,
    dropped: Collection[str] = (),
) -> TableWriter:
    """Create a table file that holds the source's columns and then the result columns.

    Parameters
    ----------
    path
        What to write, whatever its name: often a temporary file.
    source
        The table whose chunks will be written.
    results
        The result columns.
    ending
        The format, as the ending of a file name: ``".csv"``.
    dropped
        Columns of the source that are left out.

    Raises
    ------
    RunError
        When the file system refuses.
    """
    path = Path(path)
    with reporting_write_errors(path):
        return WRITERS[ending.lower()](path, source, results, dropped=dropped)


def check_output(input: str | os.PathLike[str], output: str | os.PathLike[str]) -> None:
    """Check, before any work, that `output` can be written and is not the input.

    Raises
    ------
    UsageError
        If it can't, or is.
    """
    output = Path(output)
    _known_ending(output)
    with _blaming(output, "written"):
        if output.is_dir():
            raise UsageError(f"{output} is a folder: give the name of a file in it")
        if not output.parent.is_dir():
            raise UsageError(f"there is no folder {output.parent} to write {output.name} in")
        if not os.access(output.parent, os.W_OK):
            raise UsageError(f"the folder {output.parent} cannot be written to")
        if output.resolve() == Path(input).resolve():
            raise UsageError(f"{output} is the input: write to another file")


@contextmanager
def _blaming(path: Path, what: str) -> Iterator[None]:
    """Name the file that the system refuses: no permission, a name too long, a loop of links."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be {what}: {error.strerror}") from error


def _known_ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in READERS:
        raise UsageError(f"{path} has no ending that says what it is: {', '.join(READERS)}")
    return ending
