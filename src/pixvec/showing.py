"""The images of a table's rows in a notebook, as thumbnails that this process fetched under the guard.

Whatever strangers wrote is shown as text, in a frame of its own that runs nothing and loads nothing.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pixvec.columns import open_column
from pixvec.errors import RowError
from pixvec.fetch.url import looks_like_url
from pixvec.gallery import Shelf, Tile, render_gallery
from pixvec.gallery.thumbnails import PictureOptions, fetch_thumbnails
from pixvec.options import limit, takes_options
from pixvec.retrieve import SIMILARITY
from pixvec.table import open_frame
from pixvec.table.url_column import find_url_column

_FRAME: Final = '<iframe sandbox="" style="width: 100%; height: 480px; border: 0" srcdoc="{}"></iframe>'


@dataclass(frozen=True, kw_only=True)
class ShowOptions(PictureOptions):
    """What of a table is shown.

    Parameters
    ----------
    column
        The column of images; found by its cells when not given.
    n_rows
        How many rows are shown, the first ones.
    """

    column: str | None = None
    n_rows: int = limit(20)


@dataclass(frozen=True, slots=True, repr=False)
class Gallery:
    """A page of thumbnails, which a notebook shows; ``html`` is the page itself, to be written to a file."""

    html: str
    n_rows: int

    def __repr__(self) -> str:
        return f"<pixvec.Gallery of {self.n_rows:,} rows>"

    def _repr_html_(self) -> str:
        return _FRAME.format(html.escape(self.html))


@takes_options(ShowOptions)
def show(table: object, options: ShowOptions) -> Gallery:
    """Show the images of a table's first rows, as of those that `search` found, in a notebook.

    The images are fetched by this process, under the same guard as for embedding, and shown as thumbnails that the page
    holds; the browser fetches nothing. A row whose image cannot be had shows the reason.

    Parameters
    ----------
    table
        A pandas or polars DataFrame, a pyarrow Table, or a Dataset.
    **options
        ``column``, ``n_rows``, and those of fetching and decoding, as ``allow_address``.

    Returns
    -------
    Gallery
        A page that a notebook shows as the last value of a cell.

    Raises
    ------
    UsageError
        When the column of images cannot be found.
    """
    whole = open_frame(table)
    column = find_url_column(whole, options.column, looks_like_url=looks_like_url)
    frame = open_frame(whole.take(np.arange(min(options.n_rows, whole.n_rows or 0))))
    cells = open_column(frame.column(column)).cells
    near = open_column(frame.column(SIMILARITY)).values if SIMILARITY in frame.schema.names else [None] * len(cells)
    tiles = [_tile(*of_row) for of_row in zip(cells, near, fetch_thumbnails(cells, options), strict=True)]
    return Gallery(render_gallery(f"{len(cells):,} rows", [Shelf(column, tiles)]), len(cells))


def _tile(cell: object, near: Any, thumbnail: str | RowError) -> Tile:
    caption = str(cell) if isinstance(cell, str) else ""
    note = "" if near is None else f"{SIMILARITY} {near:.4f}"
    if isinstance(thumbnail, RowError):
        return Tile(caption, note, missing=str(thumbnail))
    return Tile(caption, note, thumbnail)
