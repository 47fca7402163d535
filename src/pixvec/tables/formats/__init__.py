"""Which format a file name's ending stands for, and what reads and writes it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from pixvec.errors import UsageError
from pixvec.formatting.names import meant
from pixvec.tables.chunk import TableReader, TableWriter
from pixvec.tables.content import check_content
from pixvec.tables.files import PACKINGS, TableFile
from pixvec.tables.folder import FolderReader
from pixvec.tables.formats.arrow import ArrowReader, ArrowWriter
from pixvec.tables.formats.csv import CsvWriter, read_csv_files
from pixvec.tables.formats.json_lines import JsonWriter, read_json_files
from pixvec.tables.formats.npy import NpyReader, NpyWriter
from pixvec.tables.formats.parquet import ParquetReader, ParquetWriter
from pixvec.tables.images import ImageFolder
from pixvec.tables.listing import Listing, is_image, list_files
from pixvec.tables.options import ReadOptions


@dataclass(frozen=True, slots=True)
class Format:
    """What reads and writes files of a kind.

    Parameters
    ----------
    read
        Opens files that are one table together, or one.
    is_text
        Whether it is read and written from start to end, so that it may be packed.
    """

    read: Callable[[Sequence[TableFile], ReadOptions], Sequence[TableReader]]
    writer: type[TableWriter]
    is_text: bool = False


_CSV: Final = Format(read_csv_files, CsvWriter, is_text=True)
_JSON_LINES: Final = Format(read_json_files, JsonWriter, is_text=True)
_PARQUET: Final = Format(lambda files, _: [ParquetReader(file.path) for file in files], ParquetWriter)
_ARROW: Final = Format(lambda files, _: [ArrowReader(file.path) for file in files], ArrowWriter)
_NPY: Final = Format(lambda files, _: [NpyReader(file.path) for file in files], NpyWriter)

FORMATS: Final = {
    ".csv": _CSV,
    ".tsv": _CSV,
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".parquet": _PARQUET,
    ".arrow": _ARROW,
    ".feather": _ARROW,
    ".ipc": _ARROW,
    ".npy": _NPY,
}


_LOG_ENDING: Final = ".log.jsonl"
"""What a run tells of itself, beside its output; in a folder, it is none of the tables."""


TABLE_ENDINGS: Final = tuple(ending for ending in FORMATS if ending != ".npy")
"""The endings of files that hold a whole table, and not only its vectors."""
_SPREADSHEET: Final = {"read": "save the sheet as .csv", "written": "a spreadsheet opens .csv"}
_HINTS: Final[dict[str, dict[str, str]]] = {
    **dict.fromkeys((".xlsx", ".xls", ".ods"), _SPREADSHEET),
    ".json": {"read": "with one object on each line it is .jsonl", "written": ".jsonl has one object on each line"},
    ".txt": {"read": "text with a delimiter is .csv or .tsv"},
    ".npy": {"written": "`pixvec embed` writes it"},
    ".graphml": {"written": "`pixvec link --to graphml` writes it"},
    ".gexf": {"written": "`pixvec link --to gexf` writes it"},
    ".html": {"written": "`pixvec search -o`, `pixvec dedupe --html` and `pixvec report --html` write pages"},
}
"""What to do with formats that are asked for where they are not possible."""


def format_of(file: TableFile) -> Format:
    """Find the format of a file that is read.

    Raises
    ------
    UsageError
        If its ending stands for none, or is packed and cannot be.
    """
    return FORMATS[check_ending(file, FORMATS, "read")]


def check_ending(file: TableFile, endings: Collection[str], done: Literal["read", "written"] = "written") -> str:
    """Check that a file's ending stands for a format that is possible, and give it; every command asks here.

    Raises
    ------
    UsageError
        If it doesn't, or is packed and cannot be: names what is possible.
    """
    is_text = {ending: ending in FORMATS and FORMATS[ending].is_text for ending in endings}
    if file.ending not in endings:
        hint = _HINTS.get(file.ending, {}).get(done)
        what = f"{file.ending} is not {done} here{f' ({hint})' if hint else ''}"
        raise UsageError(
            f"{file.path}: {what if file.ending[:1] == '.' else 'no ending says its format'}; {_possible(is_text)}"
            f"{meant(file.ending, endings)}"
        )
    if file.packing and not is_text[file.ending]:
        raise UsageError(f"{file.path}: only text is packed once more, and {file.ending} is not; {_possible(is_text)}")
    return file.ending


def _possible(is_text: dict[str, bool]) -> str:
    texts = ", ".join(ending for ending, is_packable in is_text.items() if is_packable)
    others = ", ".join(ending for ending, is_packable in is_text.items() if not is_packable)
    packable = f"{texts}, which {' or '.join(PACKINGS)} may follow" if texts else ""
    return f"possible are {', or '.join(filter(None, (others, packable)))}"


def read_table(place: Path, options: ReadOptions) -> TableReader:
    """Open a table file, or those that a pattern or a folder names, as one table.

    Raises
    ------
    UsageError
        If a file is not what its name says, or they are of several kinds.
    """
    listing = list_files(place)
    if listing is None:
        return _open([TableFile.of(place)], options)[0]
    listing = _of_one_kind(listing)
    if is_image(listing.paths[0]):
        return ImageFolder(listing)
    return FolderReader(listing, _open([TableFile.of(path) for path in listing.paths], options))


def _open(files: Sequence[TableFile], options: ReadOptions) -> Sequence[TableReader]:
    format_ = format_of(files[0])
    for file in files:
        check_content(file)
    return format_.read(files, options)


def images_folder(place: Path) -> Path | None:
    """Name the folder that images are in, where they are what a table is made of."""
    listing = list_files(place)
    return listing.root if listing and is_image(_of_one_kind(listing).paths[0]) else None


def keeps_metadata(file: Path) -> bool:
    """Tell whether the format of one file, by its ending, holds metadata beside its cells."""
    return format_of(TableFile.of(file)).writer.keeps_metadata


def _of_one_kind(listing: Listing) -> Listing:
    """Leave out the files that are neither tables nor images; the others must be of one kind."""
    kinds = {kind: path for path in reversed(listing.paths) if (kind := _kind(path))}
    if not kinds:
        known = f"{', '.join(FORMATS)}, or images"
        raise UsageError(f"{listing.place} holds no files that are read: {known}")
    if len(kinds) > 1:
        one, other, *_ = sorted(kinds.values())
        raise UsageError(f"{listing.place} holds files of several kinds, {one.name} and {other.name}: give a pattern")
    return replace(listing, paths=tuple(filter(_kind, listing.paths)))


def _kind(path: Path) -> str | Format | None:
    if path.name.endswith(_LOG_ENDING):
        return None
    return "image" if is_image(path) else FORMATS.get(TableFile.of(path).ending)
