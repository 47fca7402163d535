"""Rows of a table -> tiles of a gallery: what a row is called, where its image is, and a thumbnail of it.

Its log says what is not shown, and why.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import RowError
from pixvec.fetch import looks_like_url
from pixvec.formatting.text import plain_text, size
from pixvec.pipeline.provenance import folder_of_files
from pixvec.pipeline.settings import ImageOptions
from pixvec.pipeline.thumbnails import fetch_thumbnails
from pixvec.reports.gallery import Tile
from pixvec.reports.gallery.confirmed import confirm_files, names_file
from pixvec.run.thumbnail_file import read_thumbnails
from pixvec.similarity.vectors import take_rows
from pixvec.tables import TableReader, find_embedded_column
from pixvec.tables.cell_text import python_cells
from pixvec.tables.columns import image_cell
from pixvec.tables.result_columns import read_image, read_sha256, result_names

_TITLES: Final = ("title", "name", "caption", "label", "description", "text")

_LOGGER: Final = logging.getLogger("pixvec")


def take_records(reader: TableReader, rows: NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
    """Read some columns of some rows, in the order of their numbers."""
    if not names:
        return [{} for _ in rows]
    table = take_rows(reader, rows, columns=names)
    columns = [python_cells(column) for column in table.columns]
    return [dict(zip(table.column_names, cells, strict=True)) for cells in zip(*columns, strict=True)]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which columns say what a row is.

    Parameters
    ----------
    image
        The column of its image: a URL, a path or the bytes; None where there is none.
    titles
        The columns of its name; none where there are none.
    facts
        The column that says which file was embedded; None where there is none.
    folder
        Where the table says that its files are.
    table
        The table's path; None where it is in memory.
    """

    image: str | None = None
    titles: tuple[str, ...] = ()
    facts: str | None = None
    folder: Path | None = None
    table: Path | None = None

    @classmethod
    def find(
        cls,
        reader: TableReader,
        path: Path | None,
        known: Mapping[str, Any],
        *,
        vectors: str | None,
        column: str | None,
        titles: Sequence[str] = (),
    ) -> Self:
        """Find them; `column` is the image's, and `titles` the names', where the caller says so.

        Else the image's is the column that was embedded, as is `known` of the vectors, or one that looks like it.
        """
        names = reader.schema.names
        usual = [name for name in names if name.lower() in _TITLES]
        facts = None if vectors is None else result_names(vectors)[-1]
        return cls(
            _image_column(reader, column, known),
            tuple(titles or usual[:1]),
            facts if facts is not None and names.count(facts) == 1 else None,
            None if path is None else folder_of_files(known, path),
            path,
        )

    @property
    def names(self) -> list[str]:
        """The columns that say what a row is."""
        return list(dict.fromkeys([*self.titles, *([] if self.image is None else [self.image])]))

    @property
    def needed(self) -> list[str]:
        """The columns that tiles are made of."""
        return list(dict.fromkeys([*self.names, *([] if self.facts is None else [self.facts])]))

    def text(self, record: dict[str, Any], name: str) -> str:
        """Say a cell as text; one that holds an image by its path, how many bytes it has, or what it is."""
        cell = record[name]
        if name == self.image and isinstance(cell, dict | bytes):
            cell = (cell.get("path") if isinstance(cell, dict) else None) or image_cell(cell)
        elif name == self.image and not isinstance(cell, str | None):
            return type(cell).__name__
        return plain_text(cell)

    def size_text(self, record: dict[str, Any]) -> str:
        """Say how large the image of a row is, as far as the table tells."""
        known = read_image(record[self.facts]) if self.facts else {}
        width, height, n_bytes = (known.get(name) for name in ("width", "height", "n_bytes"))
        sides = f"{width:,} x {height:,}" if type(width) is type(height) is int else ""
        return ", ".join(filter(None, [sides, size(n_bytes) if type(n_bytes) is int else ""]))

    def tiles(self, records: Sequence[dict[str, Any]], notes: Sequence[str], options: ImageOptions) -> list[Tile]:
        """Make a tile for each record, with its thumbnail, kept or fetched."""
        thumbnails = self._thumbnails(records, options)
        return [
            self._tile(record, note, thumbnail)
            for record, note, thumbnail in zip(records, notes, thumbnails, strict=True)
        ]

    def _thumbnails(self, records: Sequence[dict[str, Any]], options: ImageOptions) -> Sequence[str | RowError | None]:
        cells = self._images(records)
        if self.image is None and not any(cells):
            _LOGGER.warning("the page has no images: no column of URLs was found; name it with `column`")
            return [None] * len(records)
        made = self._fetched(cells, records, options)
        _log_missing([one for one in made if isinstance(one, RowError)], len(made))
        if options.files_under is None and self.folder is None and any(map(names_file, cells)):
            _LOGGER.warning(
                "the cells of %r are paths: show these files with `files_under=FOLDER`, that of the run", self.image
            )
        return made

    def _images(self, records: Sequence[dict[str, Any]]) -> list[object]:
        """Give what shows each record: the thumbnail that was kept beside the table, else the cell of its image."""
        cells = [image_cell(record[self.image]) if self.image else None for record in records]
        hashes = [read_sha256(record[self.facts]) if self.facts else None for record in records]
        kept = read_thumbnails(self.table, set(filter(None, hashes))) if self.table else {}
        return [kept.get(sha256, cell) if sha256 else cell for sha256, cell in zip(hashes, cells, strict=True)]

    def _fetched(
        self, cells: list[object], records: Sequence[dict[str, Any]], options: ImageOptions
    ) -> list[str | RowError]:
        """Fetch what the caller lets in, and files that the table names where they are those that were embedded."""
        if options.files_under is not None or self.folder is None:
            return fetch_thumbnails(cells, options)
        facts = [record[self.facts] if self.facts else None for record in records]
        confirmed = confirm_files(cells, facts, self.folder, max_bytes=options.max_bytes)
        known = [None if isinstance(cell, RowError) else cell for cell in confirmed]
        made = fetch_thumbnails(known, replace(options, files_under=self.folder))
        return [cell if isinstance(cell, RowError) else one for cell, one in zip(confirmed, made, strict=True)]

    def _tile(self, record: dict[str, Any], note: str, thumbnail: str | RowError | None) -> Tile:
        cell = image_cell(record[self.image]) if self.image else None
        texts = [self.text(record, name) for name in self.titles or self.names]
        tile = Tile(" · ".join(filter(None, texts)), note, link=cell if isinstance(cell, str) else None)
        if isinstance(thumbnail, RowError):
            return replace(tile, missing=thumbnail.code)
        return replace(tile, thumbnail=thumbnail)


def _image_column(reader: TableReader, column: str | None, known: Mapping[str, Any]) -> str | None:
    """Find the column of images: the one that was embedded, or the only binary one."""
    if embedded := find_embedded_column(reader, column, known, looks_like_url=looks_like_url):
        return embedded
    binary = [field.name for field in reader.schema if _is_binary(field.type)]
    return binary[0] if len(binary) == 1 else None


def _is_binary(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_) or pa.types.is_binary_view(type_))


def _log_missing(errors: Sequence[RowError], n_rows: int) -> None:
    if errors:
        reasons = ", ".join(f"{code} {n:,}" for code, n in Counter(error.code for error in errors).most_common())
        n_missing = f"{len(errors):,} of {n_rows:,}"
        _LOGGER.warning("%s images are not on the page: %s; the first: %s", n_missing, reasons, errors[0].detail)
