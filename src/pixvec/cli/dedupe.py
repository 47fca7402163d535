"""`pixvec dedupe`: a table with vectors -> the same table, with the rows grouped that show the same picture."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from pixvec.cli.console import say
from pixvec.cli.flags import PATH, Command, check_json, with_json, with_options
from pixvec.cli.shelves import Shown, take_records
from pixvec.duplicates import BEST, GROUP, DuplicateOptions, Duplicates, Numbers, find_duplicates
from pixvec.gallery import Shelf, render_gallery
from pixvec.gallery.thumbnails import PictureOptions
from pixvec.output_file import appearing, check_new_columns, check_places, write_with_columns
from pixvec.table import TableReader, check_output, open_table
from pixvec.vector_table import provenance_beside

MAX_SHELVES: Final = 100
MAX_TILES: Final = 12


@dataclass(frozen=True, kw_only=True)
class _Options(DuplicateOptions, PictureOptions):
    """What counts as the same picture, and how pictures are fetched for the page."""


@click.command(cls=Command)
@click.argument("input", type=PATH)
@click.option("-o", "--output", type=PATH, help="the table to write, with duplicate_group and duplicate_best")
@click.option("--html", "page", type=PATH, help="a page to write, with the pictures of the groups, fetched again")
@click.option("-c", "--column", help="the column of URLs; found by its cells when not given")
@click.option("--restart", is_flag=True, help="replace outputs that exist")
@click.option("--quiet", is_flag=True, help="no summary")
@with_json
@with_options(_Options)
def dedupe(
    input: str,
    *,
    output: str | None,
    page: str | None,
    column: str | None,
    restart: bool,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Group the rows of INPUT, a table with vectors, that show the same picture.

    Rows are one group when a chain of pairs joins them whose vectors' cosine is at least the threshold, or whose files
    are equal. The best row of a group has the most pixels, of these the most bytes; duplicate_best is false for the
    others alone, so that the rows where it is true show each picture once. Without -o, only what was found is said.
    """
    check_json(output, as_json=as_json)
    options = _Options(**given)
    reader = open_table(input)
    shown = Shown.find(reader, column)
    _check_outputs(input, output, page, restart=restart)
    found = find_duplicates(reader, options)
    if output is not None:
        _write(reader, found, Path(input), Path(output), options, restart=restart)
    if page is not None:
        with appearing(Path(page), restart=restart) as path:
            path.write_text(_page(reader, found, shown, options), encoding="utf-8")
    if as_json:
        click.echo(json.dumps({"output": output, "page": page, **found.as_json()}, indent=2))
    elif not quiet:
        say("\n".join([str(found), *(f"wrote {written}" for written in (output, page) if written)]))


def _check_outputs(input: str, output: str | None, page: str | None, *, restart: bool) -> None:
    """Find what is wrong with them before any work."""
    if output is not None:
        check_output(input, output)
    outputs = [Path(path) for path in (output, page) if path is not None]
    check_places(outputs, restart=restart, inputs=[Path(input)])


def _write(
    reader: TableReader, found: Duplicates, input: Path, output: Path, options: _Options, *, restart: bool
) -> None:
    dropped = check_new_columns(reader.schema.names, (GROUP, BEST), replace=options.replace_column)
    facts = provenance_beside(input)
    write_with_columns(reader, found.columns(), output, restart=restart, dropped=dropped, facts=facts)


def _page(reader: TableReader, found: Duplicates, shown: Shown, options: _Options) -> str:
    """Show the largest groups, each with its first rows, the best one first."""
    groups = found.groups()
    rows = [group[:MAX_TILES] for group in groups[:MAX_SHELVES]]
    shown_groups = "" if len(groups) <= MAX_SHELVES else f"; the largest {MAX_SHELVES} groups are shown"
    text = f"{found}{shown_groups}. Rows are counted from 0."
    return render_gallery("Near-duplicates", list(_shelves(reader, groups, rows, shown, options)), text=text)


def _shelves(
    reader: TableReader, groups: list[Numbers], rows: list[Numbers], shown: Shown, options: _Options
) -> Iterator[Shelf]:
    listed = np.concatenate([np.empty(0, np.int64), *rows])
    records = take_records(reader, listed, shown.names)
    bests = {int(group[0]) for group in groups}
    notes = [f"row {row:,}, the best" if row in bests else f"row {row:,}" for row in listed.tolist()]
    tiles = iter(shown.tiles(records, notes, options))
    for group, some in zip(groups, rows, strict=False):
        more = f", of which {len(some)} are shown" if len(some) < len(group) else ""
        best, *others = (next(tiles) for _ in some)
        yield Shelf(f"{len(group):,} rows{more}", [replace(best, is_marked=True), *others])
