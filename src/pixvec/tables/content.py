"""What a table file is by its first bytes, and what to do where its name says something else."""

from __future__ import annotations

import re
import zipfile
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pixvec.errors import UsageError
from pixvec.tables.files import PACKINGS, TableFile

_HEAD_BYTES: Final = 512


@dataclass(frozen=True, slots=True)
class Content:
    """A kind of file.

    Parameters
    ----------
    what
        The kind in words.
    ending
        How names of such files end; empty where pixvec reads none of them.
    advice
        What to do with a file that pixvec does not read.
    """

    what: str
    ending: str = ""
    advice: str = "unpack it first"


_GZIP: Final = Content("compressed with gzip", ".gz")
_ZSTD: Final = Content("compressed with zstd", ".zst")
_ZIP: Final = Content("a zip archive")
_WORKBOOK: Final = Content(
    "an Excel workbook", advice="save it as CSV, or write it as Parquet with `pandas.read_excel(…).to_parquet(…)`"
)
_HTML_PAGE: Final = Content(
    "an HTML page", advice="download the table itself; a page that asks to log in may have come in its place"
)
_CONTENTS: Final = {
    b"\x1f\x8b": _GZIP,
    b"\x28\xb5\x2f\xfd": _ZSTD,
    b"PAR1": Content("a Parquet file", ".parquet"),
    b"FEA1": Content("in the first version of Feather", advice="write it again with the second"),
    b"ARROW1": Content("an Arrow file", ".arrow"),
    b"\xff\xff\xff\xff": Content("an Arrow stream", ".arrow"),
    b"\x93NUMPY": Content("a NumPy array", ".npy"),
    b"PK\x03\x04": _ZIP,
    b"\xd0\xcf\x11\xe0": Content("an old Office file, such as an .xls workbook", advice="save it as CSV"),
    b"BZh": Content("compressed with bzip2"),
    b"\xfd7zXZ": Content("compressed with xz"),
    b"7z\xbc\xaf\x27\x1c": Content("a 7z archive"),
    b"SQLite format 3\0": Content("an SQLite database", advice="write its table as Parquet, for instance with DuckDB"),
    b"%PDF-": Content("a PDF", advice="give a table"),
    b"version https://git-lfs": Content("a pointer of Git LFS and not the file", advice="run `git lfs pull`"),
}
"""Kinds by the bytes that their files begin with."""
_BINARY_ENDINGS: Final = {".parquet", ".arrow", ".feather", ".ipc", ".npy"}
_ALIKE: Final = {".feather": ".arrow", ".ipc": ".arrow"}
_HTML: Final = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_NOT_TEXT: Final = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f-\xff]")


def content_ending(path: Path) -> str | None:
    """Give the ending of the table format that a file begins like; None where nothing tells it."""
    found = _content(path, _head(TableFile(path, "")))
    return (found.ending or None) if found else None


def check_content(file: TableFile) -> None:
    """Check that a file does not begin like one of another kind than its name says.

    Raises
    ------
    UsageError
        If it does: says what it is, and what to do.
    """
    raw = _head(replace(file, packing=None))
    found = _content(file.path, raw)
    if file.packing and found and PACKINGS.get(found.ending) == file.packing:
        _refuse(file, _content(file.path, _head(file)), "unpack it, and name it {}")
    elif file.packing and raw and not found:
        raise UsageError(f"{file.path} is not compressed: name it {_stem(file)}{file.ending}")
    else:
        _refuse(file, found, "name it {}")
    if file.ending in _BINARY_ENDINGS and raw and not found and not _NOT_TEXT.search(raw):
        raise UsageError(f"{file.path} begins like text, not like {file.ending}: name it .csv, .tsv or .jsonl")


def _refuse(file: TableFile, found: Content | None, advice: str) -> None:
    """Refuse a file of a kind that its ending does not stand for."""
    if found is None or (found.ending and found.ending == _ALIKE.get(file.ending, file.ending)):
        return
    ending = f"{file.ending}{found.ending}" if found.ending in PACKINGS else found.ending
    if not ending or (found.ending in PACKINGS and file.ending in _BINARY_ENDINGS):
        raise UsageError(f"{file.path} is {found.what}: {found.advice}")
    raise UsageError(f"{file.path} is {found.what}: {advice.format(_stem(file) + ending)}")


def _stem(file: TableFile) -> str:
    """Give a file's name without the endings that say its format and packing."""
    return file.path.name[: file.path.name.lower().rindex(file.ending)]


def _content(path: Path, head: bytes) -> Content | None:
    """Tell what a file is by its first bytes; None where they don't say it, as those of text."""
    found = next((content for magic, content in _CONTENTS.items() if head.startswith(magic)), None)
    if found is _ZIP:
        return _WORKBOOK if _is_workbook(path) else _ZIP
    return _HTML_PAGE if found is None and _HTML.match(head) else found


def _is_workbook(path: Path) -> bool:
    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
        return "xl/workbook.xml" in archive.namelist()
    return False


def _head(file: TableFile) -> bytes:
    with file.reading() as stream:
        return stream.read(_HEAD_BYTES)
