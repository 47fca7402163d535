"""The images of a table's rows in a notebook, as thumbnails that this process read or fetched under the guard.

Whatever strangers wrote is shown as text, in a frame of its own that runs nothing and loads nothing.
"""

from __future__ import annotations

import html
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from pixvec.errors import UsageError
from pixvec.options import limit, takes_options
from pixvec.pipeline.settings import ImageOptions
from pixvec.reports.gallery import Section, render_gallery
from pixvec.reports.gallery.rows import Shown
from pixvec.similarity.search import SIMILARITY
from pixvec.similarity.vectors import find_vector_column, open_rows, take_rows, vector_provenance
from pixvec.tables import Frame, open_frame, open_table
from pixvec.tables.columns import open_column

_FRAME: Final = '<iframe sandbox="" style="width: 100%; height: 480px; border: 0" srcdoc="{}"></iframe>'
_BASE: Final = '<head>\n<base href="about:srcdoc">'
"""Without it, a link within a framed page leads to the page around it."""


@dataclass(frozen=True, kw_only=True)
class ShowOptions(ImageOptions):
    """What of a table is shown.

    Parameters
    ----------
    column
        The column of images; found by its cells when not given.
    n_rows
        How many rows are shown, the first ones.
    source
        The table file that the rows come from: its thumbnails, and files in a folder beside it, are read before
        anything is fetched.
    """

    column: str | None = None
    n_rows: int = limit(20)
    source: str | Path | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Gallery:
    """A page of thumbnails, which a notebook shows; ``html`` is the page itself, to be written to a file."""

    html: str
    n_rows: int

    def __repr__(self) -> str:
        return f"<pixvec.Gallery of {self.n_rows:,} rows>"

    def _repr_html_(self) -> str:
        return _FRAME.format(html.escape(self.html.replace("<head>", _BASE, 1)))


@takes_options(ShowOptions)
def show(table: object, options: ShowOptions) -> Gallery:
    """Show the images of a table's first rows, as of those that `search` found, in a notebook.

    Images are the thumbnails of the table file, where it has some, and else are read or fetched by this process, under
    the same guard as for embedding. The page holds them as thumbnails; the browser fetches nothing. A row whose image
    cannot be had shows the reason.

    Parameters
    ----------
    table
        A pandas or polars DataFrame, a pyarrow Table, a Dataset, or the path of a table file.
    **options
        ``column``, ``n_rows``, ``source``, the file that a table in memory comes from; and those of fetching and
        decoding, as ``allow_address``.

    Returns
    -------
    Gallery
        A page that a notebook shows as the last value of a cell.

    Raises
    ------
    UsageError
        When the column of images cannot be found.
    """
    path = table if isinstance(table, str | os.PathLike) else options.source
    rows = _first_rows(table, options.n_rows)
    shown = _shown(rows, None if path is None else Path(path), options)
    records = _records(open_frame(rows), [*shown.needed, SIMILARITY])
    tiles = [replace(tile, link=None) for tile in shown.tiles(records, list(map(_note, records)), options)]
    return Gallery(render_gallery(f"{len(tiles):,} rows", [Section(shown.image or "images", tiles)]), len(tiles))


def _first_rows(table: object, n_rows: int) -> object:
    """Take the first rows as the caller's kind of table, whose cells may be anything; of a file as Arrow."""
    rows = np.arange(n_rows)
    if isinstance(table, str | os.PathLike):
        return take_rows(open_table(table), rows)
    frame = open_frame(table)
    return frame.take(rows[: frame.n_rows])


def _shown(rows: object, path: Path | None, options: ShowOptions) -> Shown:
    """Find the columns that say what a row is; the file, where there is one, says what its vectors were made with."""
    reader, _ = open_rows(rows if path is None else path)
    vectors, known = None, {}
    with suppress(UsageError):  # a table without vectors has images too
        vectors = find_vector_column(reader)
        known = vector_provenance(reader, vectors, path=path) or {}
    shown = Shown.find(open_frame(rows), path, known, vectors=vectors, column=options.column)
    if shown.image is None and shown.facts is None:
        raise UsageError("no column of images was found: name it with `column`")
    return shown


def _records(frame: Frame, names: list[str]) -> list[dict[str, Any]]:
    """Read those of some columns that there are, their cells as the caller's kind of table has them."""
    columns = {name: open_column(frame.column(name)).values for name in names if name in frame.schema.names}
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _note(record: dict[str, Any]) -> str:
    near = record.get(SIMILARITY)
    return f"{SIMILARITY} {near:.4f}" if isinstance(near, float | np.floating) else ""
