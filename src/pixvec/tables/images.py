"""A folder of images as a table: a row for each, with its path."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

import pyarrow as pa

from pixvec.tables.chunk import Chunk, wanted_indices
from pixvec.tables.listing import Listing

COLUMN: Final = "path"


class ImageFolder:
    """The paths of images, from their folder on; what ``key=value`` folders say stands beside them.

    Attributes
    ----------
    folder
        What has to be allowed for the paths to be read.
    """

    def __init__(self, listing: Listing) -> None:
        self.folder = listing.root
        self.n_rows = len(listing.paths)
        self._listing = listing
        keys = {key: None for path in listing.paths for key in listing.keys(path)}
        self.schema = pa.schema([(name, pa.string()) for name in (COLUMN, *keys)])

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        wanted = wanted_indices(self.schema, columns)
        for start in range(0, self.n_rows, n_rows):
            rows = [self._row(path) for path in self._listing.paths[start : start + n_rows]]
            yield Chunk(pa.Table.from_pylist(rows, schema=self.schema).select(wanted))

    def _row(self, path: Path) -> dict[str, str | None]:
        return {**self._listing.keys(path), COLUMN: _cell(path.relative_to(self.folder))}


def _cell(path: Path) -> str:
    """Write a path as the text of a cell; a name that would be read as something else becomes a file: URL."""
    text = str(path)
    is_plain = ":" not in text and text == text.strip() and text.isprintable()
    return text if is_plain else f"file:{quote(os.fsencode(path))}"
