"""`pixvec dedupe`: a table with vectors -> the same table, with the rows grouped that show the same image."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

from pixvec.cli.console import say
from pixvec.cli.flags import PATH, Command, with_json, with_options
from pixvec.cli.notes import saying_log
from pixvec.cli.streams import TABLE_FORMATS, reads_stdin, writes_stdout
from pixvec.formatting.text import count
from pixvec.pipeline.settings import ImageOptions
from pixvec.reports.gallery import Section, render_gallery
from pixvec.reports.gallery.rows import Shown, take_records
from pixvec.run.output_file import PAGE_ENDINGS, appearing, check_new_columns, check_places, write_with_columns
from pixvec.similarity.duplicates import BEST, GROUP, DuplicateOptions, Duplicates, Numbers, find_duplicates
from pixvec.similarity.vectors import find_vector_column, provenance_beside, vector_provenance
from pixvec.tables import TABLE_ENDINGS, TableReader, check_output, check_output_ending, open_table

MAX_SECTIONS: Final = 100
MAX_TILES: Final = 12
SECTIONS_PER_PAGE: Final = 10


@dataclass(frozen=True, kw_only=True)
class _Options(DuplicateOptions, ImageOptions):
    """What counts as the same image, and how images are fetched for the page."""


@click.command(cls=Command)
@click.argument("input", type=PATH)
@click.option("-o", "--output", type=PATH, help="the table to write, with duplicate_group and duplicate_best")
@click.option("--html", "page", type=PATH, help="a page to write, with the images of the groups")
@click.option("-c", "--column", help="the column of images; by default the embedded one")
@click.option("--restart", is_flag=True, help="replace outputs that exist")
@click.option("--quiet", is_flag=True, help="no summary")
@with_json
@with_options(_Options)
@writes_stdout(*TABLE_FORMATS)
@reads_stdin("input")
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
    """Group the rows of INPUT, a table with vectors, that show the same image.

    Rows are one group when a chain of pairs joins them whose vectors' cosine is at least the threshold, or whose files
    are equal. The best row of a group has the most pixels, of these the most bytes; duplicate_best is false for the
    others. --keep best writes the best rows and those in no group. Rows without a vector are in no group; they are
    counted apart, and written unless --drop-failed is given. Without -o, the command only prints its counts.
    """
    options = _Options(**given)
    reader = open_table(input)
    vectors = find_vector_column(reader, options.vectors)
    known = vector_provenance(reader, vectors, path=Path(input)) or {}
    _check_outputs(input, output, page, options, restart=restart)
    with saying_log(quiet=quiet or page is None):
        shown = Shown.find(reader, Path(input), known, vectors=vectors, column=column)
    found = find_duplicates(reader, options)
    if output is not None:
        _write(reader, found, Path(input), Path(output), options, restart=restart)
    if page is not None:
        with saying_log(quiet=True), appearing(Path(page), restart=restart) as file:
            file.write(_page(reader, found, shown, options).encode())
    if as_json:
        click.echo(json.dumps({"output": output, "page": page, **found.as_json()}, indent=2))
    elif not quiet:
        kept = f"wrote {output}: {count(int(found.kept(options).sum()), 'row')}"
        say("\n".join([str(found), *([kept] if output else []), *([f"wrote {page}"] if page else [])]))


def _check_outputs(input: str, output: str | None, page: str | None, options: _Options, *, restart: bool) -> None:
    """Find what is wrong with them before any work."""
    if output is not None:
        check_output(input, output, endings=TABLE_ENDINGS)
    elif options.keep != "all" or options.drop_failed or options.replace_column:
        raise click.UsageError("--keep, --drop-failed and --replace-column are for the table to write: name it with -o")
    outputs = [Path(path) for path in (output, page) if path is not None]
    check_places(outputs, restart=restart, inputs=[Path(input)])
    if page is not None:
        check_output_ending(page, PAGE_ENDINGS)


def _write(
    reader: TableReader, found: Duplicates, input: Path, output: Path, options: _Options, *, restart: bool
) -> None:
    dropped = check_new_columns(reader.schema.names, (GROUP, BEST), replace=options.replace_column)
    facts = provenance_beside(input)
    kept = found.kept(options)
    write_with_columns(reader, found.columns(), output, restart=restart, dropped=dropped, facts=facts, kept=kept)


def _page(reader: TableReader, found: Duplicates, shown: Shown, options: _Options) -> str:
    """Show the largest groups, each with its first images, the best one first."""
    listed = found.groups()
    largest = "" if len(listed) <= MAX_SECTIONS else f"; the largest {MAX_SECTIONS} groups are shown"
    text = f"{found}{largest}. Rows are counted from 0."
    groups = [_copies(found, group) for group in listed[:MAX_SECTIONS]]
    sections = list(_sections(reader, found, groups, shown, options))
    return render_gallery("Near-duplicates", sections, text=text, sections_per_page=SECTIONS_PER_PAGE)


def _copies(found: Duplicates, group: Numbers) -> list[Numbers]:
    """Put the rows of a group together that hold the same file, or where no file is known the same vector."""
    are_known = len(np.unique(found.same_file[group])) < len(group)
    same = (found.same_file if are_known else found.same_vector)[group]
    _, firsts, images = np.unique(same, return_index=True, return_inverse=True)
    return [group[images == image] for image in np.argsort(firsts)]


def _sections(
    reader: TableReader, found: Duplicates, groups: list[list[Numbers]], shown: Shown, options: _Options
) -> Iterator[Section]:
    listed = [group[:MAX_TILES] for group in groups]
    rows = [int(copies[0]) for group in listed for copies in group]
    records = take_records(reader, np.array(rows, np.int64), shown.needed)
    reasons = [note for group in listed for note in _notes(found, group, options.threshold)]
    sizes = map(shown.size_text, records)
    notes = ["\n".join(filter(None, pair)) for pair in zip(reasons, sizes, strict=True)]
    tiles = iter(shown.tiles(records, notes, options))
    for group, some in zip(groups, listed, strict=True):
        best, *others = (next(tiles) for _ in some)
        yield Section(_heading(group), [replace(best, is_marked=True), *others])


def _heading(group: list[Numbers]) -> str:
    some = f", of which {MAX_TILES} are shown" if len(group) > MAX_TILES else ""
    return f"{count(sum(map(len, group)), 'row')}, {count(len(group), 'variant')}{some}"


def _notes(found: Duplicates, group: list[Numbers], threshold: float) -> Iterator[str]:
    """Say which rows a tile stands for, and why it is in the group of the best one."""
    best = group[0][0]
    for copies in group:
        row = copies[0]
        what = "file" if found.same_file[row] == found.same_file[copies[-1]] else "vector"
        more = f" and {len(copies) - 1:,} more with the same {what}" if len(copies) > 1 else ""
        has_vector_of_best = found.same_vector[row] == found.same_vector[best]
        near = "same vector" if has_vector_of_best else _cosine(float(found.similarity[row]), threshold)
        yield f"{'best' if row == best else near}\nrow {row:,}{more}"


def _cosine(similarity: float, threshold: float) -> str:
    """Say how near a row is to the best one, cut and not rounded: what is not equal to it never looks so."""
    chained = ", joined through another row" if similarity < threshold else ""
    return f"cosine {math.floor(similarity * 10_000) / 10_000:.4f}{chained}"
