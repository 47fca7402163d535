"""Rows of a table -> tiles of a gallery: what a row is called, where its picture is, and a thumbnail of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.fetch import looks_like_url
from pixvec.gallery import Tile
from pixvec.gallery.thumbnails import PictureOptions, fetch_thumbnails
from pixvec.table import TableReader, find_url_column
from pixvec.vector_table import take_rows

_TITLES: Final = ("title", "name", "caption", "label", "description", "text")


def take_records(reader: TableReader, rows: NDArray[np.int64], names: Sequence[str]) -> list[dict[str, Any]]:
    """Read some columns of some rows, in the order of their numbers."""
    return take_rows(reader, rows, columns=names).to_pylist() if names else [{} for _ in rows]


@dataclass(frozen=True, slots=True)
class Shown:
    """Which columns say what a row is.

    Parameters
    ----------
    url
        The column of its picture; None where there is none.
    title
        The column of its name; None where there is none.
    """

    url: str | None
    title: str | None

    @classmethod
    def find(cls, reader: TableReader, column: str | None) -> Shown:
        """Find them; `column` is the picture's where the caller says so."""
        try:
            url: str | None = find_url_column(reader, column, looks_like_url=looks_like_url)
        except UsageError:
            if column is not None:
                raise
            url = None
        return cls(url, next((name for name in reader.schema.names if name.lower() in _TITLES), None))

    @property
    def names(self) -> list[str]:
        """The columns that there are."""
        return [name for name in (self.title, self.url) if name is not None]

    def tiles(self, records: Sequence[dict[str, Any]], notes: Sequence[str], options: PictureOptions) -> list[Tile]:
        """Make a tile for each record, with its thumbnail, fetched again."""
        cells = [record[self.url] if self.url else None for record in records]
        thumbnails = fetch_thumbnails(cells, options)
        return [
            Tile(self._caption(record), note, thumbnail, link=cell if isinstance(cell, str) else None)
            for record, note, cell, thumbnail in zip(records, notes, cells, thumbnails, strict=True)
        ]

    def _caption(self, record: dict[str, Any]) -> str:
        cell = next((record[name] for name in self.names if isinstance(record[name], str) and record[name]), "")
        return str(cell)
