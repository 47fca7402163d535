"""A table that pixvec wrote in; out, what happened to its rows and why: as values, a text and a page.

It reads the table once, in bounded memory, and the log beside it. It asks no server anything.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from pixvec.options import option
from pixvec.reports.review.findings import Count, Example, Images, Review, SharedImage
from pixvec.reports.review.pace import read_pace
from pixvec.reports.review.reading import ReviewedTable, Rows
from pixvec.reports.review.shared_images import SharedImages, Sharing
from pixvec.reports.review.tally import N_EXAMPLES, Tally, ranked, shortened, shown
from pixvec.tables import ReadOptions

__all__ = ["Review", "ReviewOptions", "review_table"]

N_LISTED_IMAGES: Final = 8
SHORT_SIDES: Final = (64, 128, 256, 512, 1_024, 2_048)


@dataclass(frozen=True, kw_only=True)
class ReviewOptions(ReadOptions, group="table"):
    """Which columns of a table are looked at.

    Raises
    ------
    UsageError
        For a value that an option cannot take.
    """

    column: str | None = option(None, "the column of URLs; the table says which, or its cells, when not given")
    vectors: str | None = option(None, "the column of vectors; found by its reasons when not given")


def review_table(path: str | os.PathLike[str], options: ReviewOptions) -> Review:
    """Look through a table that pixvec wrote.

    Raises
    ------
    UsageError
        When it is no such table.
    """
    table = ReviewedTable.open(Path(path), options, column=options.column, vectors=options.vectors)
    tally, shared_images, kinds = Tally(), SharedImages(), _Kinds()
    for rows in table.rows():
        tally.add(rows)
        shared_images.add(rows)
        kinds.add(rows)
    n_cells, n_urls = shared_images.cells()
    return Review(
        name=table.path.name,
        column=table.column,
        n_rows=tally.n_rows,
        n_vectors=tally.n_rows - tally.n_failed,
        n_urls=n_urls,
        n_repeats=n_cells - n_urls,
        failures=tally.failures(),
        hosts=tally.hosts(),
        n_hosts=tally.n_hosts,
        images=_images(table, shared_images, kinds) if kinds.are_known else None,
        provenance=table.provenance,
        pace=read_pace(table.path),
    )


@dataclass(slots=True)
class _Kinds:
    """Counts of what images there are."""

    are_known: bool = False
    formats: Counter[str] = field(default_factory=Counter)
    short_sides: Counter[int] = field(default_factory=Counter)
    """By the place in `SHORT_SIDES`."""
    n_redirected: int = 0
    n_animated: int = 0

    def add(self, rows: Rows) -> None:
        if (images := rows.images) is None:
            return
        self.are_known = True
        self.formats.update(shortened(name) for name in images["format"] if name)
        sides = [min(size) for size in zip(images["width"], images["height"], strict=True) if None not in size]
        self.short_sides.update(np.searchsorted(SHORT_SIDES, sides, side="right").tolist())
        self.n_redirected += sum(url is not None for url in images["final_url"])
        self.n_animated += sum((frames or 1) > 1 for frames in images["frames"])


def _images(table: ReviewedTable, shared_images: SharedImages, kinds: _Kinds) -> Images:
    shared = shared_images.shared() if table.column else []
    n_files, n_bytes = shared_images.files()
    return Images(
        formats=tuple(Count(name, n) for name, n in ranked(kinds.formats)),
        short_sides=tuple(Count(name, kinds.short_sides[place]) for place, name in enumerate(_ranges(SHORT_SIDES))),
        n_files=n_files,
        n_bytes=n_bytes,
        n_redirected=kinds.n_redirected,
        n_animated=kinds.n_animated,
        shared=_shown_shared(table, shared[:N_LISTED_IMAGES]),
        n_shared=len(shared),
    )


def _ranges(edges: tuple[int, ...]) -> list[str]:
    inner = [f"{low:,} to {high - 1:,}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:,}", *inner, f"{edges[-1]:,} and more"]


def _shown_shared(table: ReviewedTable, shared: list[Sharing]) -> tuple[SharedImage, ...]:
    """Read the first rows of each shared file, in one pass over the table."""
    wanted = {int(row) for sharing in shared for row in sharing.rows[:N_EXAMPLES]}
    found: dict[int, tuple[Any, dict[str, Any]]] = {}
    for rows in table.rows() if wanted else ():
        for row in wanted.intersection(range(rows.start, rows.start + len(rows.cells))):
            images = rows.images or {}
            found[row] = rows.cells[row - rows.start], {name: images[name][row - rows.start] for name in images}
    return tuple(_shared(sharing, found) for sharing in shared)


def _shared(sharing: Sharing, found: dict[int, tuple[Any, dict[str, Any]]]) -> SharedImage:
    rows = [int(row) for row in sharing.rows[:N_EXAMPLES]]
    facts = found[rows[0]][1]
    return SharedImage(
        sha256=shortened(facts["sha256"] or ""),
        format=shortened(facts["format"] or ""),
        **{name: facts[name] or 0 for name in ("width", "height", "n_bytes")},
        n_rows=len(sharing.rows),
        n_urls=sharing.n_urls,
        final_url=shown(facts["final_url"]) or None,
        examples=tuple(Example(row, shown(found[row][0]), "") for row in rows),
    )
