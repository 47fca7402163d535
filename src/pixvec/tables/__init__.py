"""Tables in and out: a path or a frame in, chunks of rows out, and the same chunks with result columns in.

One module for each format, with the same verbs. A writer writes the path it is given; that a file appears whole or not
at all is the business of whoever gives a temporary one.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.tables.chunk import Chunk, TableReader, TableWriter, expected_rows, reporting_write_errors
from pixvec.tables.content import content_ending
from pixvec.tables.files import TableFile
from pixvec.tables.formats import (
    FORMATS,
    TABLE_ENDINGS,
    check_ending,
    format_of,
    images_folder,
    keeps_metadata,
    read_table,
)
from pixvec.tables.formats.parquet import ParquetWriter, check_type
from pixvec.tables.frame import Frame, open_frame
from pixvec.tables.listing import THUMBNAILS_ENDING, content_sha256, list_files, split_pattern
from pixvec.tables.options import ReadOptions
from pixvec.tables.url_column import find_embedded_column, find_text_column, find_url_column

__all__ = [
    "TABLE_ENDINGS",
    "THUMBNAILS_ENDING",
    "Chunk",
    "Frame",
    "ReadOptions",
    "TableReader",
    "TableWriter",
    "check_columns",
    "check_output",
    "check_output_ending",
    "check_path",
    "content_ending",
    "content_sha256",
    "create_table",
    "expected_rows",
    "find_embedded_column",
    "find_text_column",
    "find_url_column",
    "images_folder",
    "keeps_metadata",
    "open_frame",
    "open_table",
    "reporting_write_errors",
]


def open_table(path: str | os.PathLike[str], options: ReadOptions | None = None) -> TableReader:
    """Open a table file by its ending; or the files that a pattern matches, or a folder holds, as one table.

    Parameters
    ----------
    path
        ``photos.csv``, ``photos-*.parquet``, ``photos/``. A folder of images is a table of their paths.
    options
        How text is read, where it does not say it itself.

    Raises
    ------
    UsageError
        If there is no such file, or it is not what its ending says, or several don't go together.
    """
    path = Path(path)
    with _blaming(path, "read"):
        if list_files(path) is None and not path.exists():
            raise UsageError(f"there is no file {path}")
        return read_table(path, (options or ReadOptions()).checked())


def create_table(
    where: str | os.PathLike[str] | BinaryIO,
    source: TableReader,
    results: pa.Schema,
    *,
    ending: str,
    dropped: Collection[str] = (),
) -> TableWriter:
    """Create a table file that holds the source's columns and then the result columns.

    Parameters
    ----------
    where
        What to write, whatever its name: often a temporary file, which may be open, and is closed with the table.
    source
        The table whose chunks will be written.
    results
        The result columns.
    ending
        The format, as the ending of a file name, ``".csv.gz"``, or as the whole name.
    dropped
        Columns of the source that are left out.

    Raises
    ------
    RunError
        When the file system refuses.
    """
    if isinstance(where, str | os.PathLike):
        file = TableFile.of(Path(where), name=ending)
    else:
        file = replace(TableFile.of(Path(ending)), sink=where)
    with reporting_write_errors(file.path):
        return format_of(file).writer(file, source, results, dropped=dropped)


def check_output_ending(output: str | os.PathLike[str], endings: Collection[str]) -> str:
    """Check, before any work, that an output's ending stands for one of the formats that a command writes; give it.

    Parameters
    ----------
    endings
        In small letters, with their dots; those of text tables may be followed by ``.gz`` or ``.zst``.

    Raises
    ------
    UsageError
        If it doesn't: names the endings.
    """
    return check_ending(TableFile.of(Path(output)), endings)


def check_output(
    input: str | os.PathLike[str], output: str | os.PathLike[str], *, endings: Collection[str] = tuple(FORMATS)
) -> None:
    """Check, before any work, that `output` can be written, in one of the formats with `endings`, and is not the input.

    Raises
    ------
    UsageError
        If it can't, or is.
    """
    source, output = Path(input), Path(output)
    check_output_ending(output, endings)
    check_path(output)
    with _blaming(output, "written"):
        if output.is_dir():
            raise UsageError(f"{output} is a folder: give the name of a file in it")
        if not output.parent.is_dir():
            raise UsageError(f"there is no folder {output.parent} to write {output.name} in")
        if not os.access(output.parent, os.W_OK):
            raise UsageError(f"the folder {output.parent} cannot be written to")
        if output.resolve() == source.resolve():
            raise UsageError(f"{output} is the input: write to another file")
        if _would_be_read(output, source):
            raise UsageError(f"{output} would be one of the files of {source}: write to another folder")


def check_path(output: Path) -> None:
    """Check, before any work, that a path can be written at all.

    Raises
    ------
    UsageError
        If it can't.
    """
    with _blaming(output, "written"):
        str(output.resolve()).encode()


def check_columns(columns: pa.Schema, output: Path) -> None:
    """Check, before any work, that an output, a file or a folder of Parquet, can hold columns.

    Raises
    ------
    UsageError
        If two are called the same, and readers of the output's format know columns by name alone; or it has no room
        for a type.
    """
    ending = TableFile.of(output).ending
    writer = FORMATS[ending].writer if ending in FORMATS and not output.is_dir() else ParquetWriter
    repeated = next((name for name, count in Counter(columns.names).items() if count > 1), None)
    if repeated is not None and not writer.repeats_names:
        raise UsageError(
            f"several columns are called {repeated!r}, and in {output} columns go by name: "
            "rename all but one, or write to .csv or .arrow"
        )
    if writer is ParquetWriter:
        for field in columns:
            check_type(field)


def _would_be_read(output: Path, source: Path) -> bool:
    """Tell whether a file would be read as one of a folder, or of those that a pattern matches."""
    if source.is_dir():
        return output.resolve().is_relative_to(source.resolve())
    root, pattern = split_pattern(source.absolute())
    if not pattern or not output.absolute().is_relative_to(root):
        return False
    pattern = pattern.replace(f"**{os.sep}", "*")  # any folders, and none
    return fnmatch(str(output.absolute().relative_to(root)), pattern)


@contextmanager
def _blaming(path: Path, what: str) -> Iterator[None]:
    """Name the file that the system refuses: no permission, a name too long, a loop of links."""
    try:
        yield
    except OSError as error:
        raise UsageError(f"{path} cannot be {what}: {error.strerror}") from error
    except UnicodeEncodeError as error:  # Arrow opens nothing else
        raise UsageError(f"{_shown(path)} cannot be {what}: its path is not UTF-8") from error


def _shown(path: Path) -> str:
    return os.fsencode(path).decode(errors="replace")
