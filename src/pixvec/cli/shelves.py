"""Rows of a table -> tiles of a gallery: what a row is called, where its picture is, and a thumbnail of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.cli.console import say
from pixvec.cli.plain_table import plain_text
from pixvec.errors import RowError, UsageError
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
    titles
        The columns of its name; none where there are none.
    """

    url: str | None = None
    titles: tuple[str, ...] = ()

    @classmethod
    def find(cls, reader: TableReader, column: str | None, titles: Sequence[str] = ()) -> Shown:
        """Find them; `column` is the picture's, and `titles` the names', where the caller says so."""
        try:
            url: str | None = find_url_column(reader, column, looks_like_url=looks_like_url)
        except UsageError:
            if column is not None:
                raise
            url = None
        usual = [name for name in reader.schema.names if name.lower() in _TITLES]
        return cls(url, tuple(titles or usual[:1]))

    @property
    def names(self) -> list[str]:
        """The columns that there are."""
        return list(dict.fromkeys([*self.titles, *([] if self.url is None else [self.url])]))

    def tiles(self, records: Sequence[dict[str, Any]], notes: Sequence[str], options: PictureOptions) -> list[Tile]:
        """Make a tile for each record, with its thumbnail, fetched again; say it where some can't be."""
        thumbnails = self._thumbnails(records, options)
        return [
            self._tile(record, note, thumbnail)
            for record, note, thumbnail in zip(records, notes, thumbnails, strict=True)
        ]

    def _thumbnails(
        self, records: Sequence[dict[str, Any]], options: PictureOptions
    ) -> Sequence[str | RowError | None]:
        if self.url is None:
            say("the page has no pictures: no column of URLs was found; name it with -c")
            return [None] * len(records)
        made = fetch_thumbnails([record[self.url] for record in records], options)
        _say_missing([one for one in made if isinstance(one, RowError)], len(made))
        return made

    def _tile(self, record: dict[str, Any], note: str, thumbnail: str | RowError | None) -> Tile:
        cell = record[self.url] if self.url else None
        texts = [plain_text(record[name]) for name in self.titles]
        tile = Tile(
            " · ".join(filter(None, texts)) or plain_text(cell), note, link=cell if isinstance(cell, str) else None
        )
        if isinstance(thumbnail, RowError):
            return replace(tile, missing=thumbnail.code)
        return replace(tile, thumbnail=thumbnail)


def _say_missing(errors: Sequence[RowError], n_rows: int) -> None:
    if errors:
        reasons = ", ".join(f"{code} {n:,}" for code, n in Counter(error.code for error in errors).most_common())
        say(f"{len(errors):,} of {n_rows:,} pictures are not on the page: {reasons}; the first: {errors[0].detail}")
