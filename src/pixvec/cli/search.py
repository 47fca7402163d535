"""`pixvec search`: words or images -> the rows of a table that are nearest to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import pyarrow as pa

from pixvec.cli.console import say
from pixvec.cli.flags import PATH, Command, with_options
from pixvec.cli.next_command import telling_how_to_trust
from pixvec.cli.notes import saying_log, saying_warnings
from pixvec.cli.plain_table import plain_table, print_table
from pixvec.cli.streams import TABLE_FORMATS, check_stdout, reads_stdin, writing_stdout
from pixvec.formatting.names import unknown
from pixvec.formatting.text import ROW, count, plain_cell
from pixvec.reports.gallery import Section, render_gallery
from pixvec.reports.gallery.rows import Shown, take_records
from pixvec.run.output_file import PAGE_ENDINGS, appearing, check_place, write_with_columns
from pixvec.similarity.nearest import Hits
from pixvec.similarity.search import COPIES, SIMILARITY, Query, SearchOptions, find_rows
from pixvec.similarity.vectors import find_vector_column, open_rows, provenance_beside, take_rows, vector_provenance
from pixvec.tables import TABLE_ENDINGS, TableReader, check_output_ending, open_frame

_TEXT_FORMATS: Final = {"table": (".txt",), "json": (".json",), "html": PAGE_ENDINGS}
"""What is written as text, and the endings of such files."""


@click.command(cls=Command)
@click.argument("table", type=PATH)
@click.argument("texts", nargs=-1)
@click.option("--image", "images", multiple=True, help="search for images like this one too: a URL or a file")
@click.option("--minus", multiple=True, help="less like this text")
@click.option("-k", "--count", type=click.IntRange(min=1), default=10, show_default=True, help="how many rows to find")
@click.option(
    "--format",
    type=click.Choice((*_TEXT_FORMATS, *TABLE_FORMATS)),
    help="format of stdout, table by default; with -o the file's ending sets it",
)
@click.option(
    "-o",
    "--output",
    type=PATH,
    help="output file: a page (.html), .json, or a table such as .csv or .parquet; - for stdout",
)
@click.option("-c", "--column", help="the column of images; by default the embedded one")
@click.option("--show", multiple=True, help="a column to show; as a table the title and the URL when not given")
@click.option("--restart", is_flag=True, help="replace an output that exists")
@click.option(
    "--unique/--no-unique",
    default=None,
    help="show each image once, with the number of rows that hold it; the default for pages",
)
@with_options(SearchOptions, without=["unique"])
@reads_stdin("table")
def search(table: str, texts: tuple[str, ...], *, unique: bool | None, **given: Any) -> None:
    """Find the rows of TABLE whose images are nearest to TEXTS.

    Several texts and images are one query: rows are sought that are like all of them, and unlike what --minus names.
    The model is the one that the table's vectors were made with. An HTML page shows the thumbnails that were kept
    beside the table. Other images are fetched again under the same guard as for embedding, or read from the folder
    beside the table that they were embedded from.
    """
    form = _Form(**{name: given.pop(name) for name in ("format", "output", "column", "show", "restart")})
    query = Query(texts, given.pop("images"), given.pop("minus"), given.pop("count"))
    options = SearchOptions(**given, unique=form.is_page if unique is None else unique)
    reader, path = open_rows(table)
    with saying_log(quiet=not form.is_page):
        form.check(reader, path, options)
    with saying_warnings(), telling_how_to_trust():
        hits = find_rows(reader, query, options, path=path)
    with saying_log(quiet=True):
        form.write(_title(query), reader, path, hits, options)


class _Form:
    """How what was found is shown."""

    def __init__(
        self, *, format: str | None, output: str | None, column: str | None, show: tuple[str, ...], restart: bool
    ) -> None:
        self._output = None if output in {None, "-"} else Path(str(output))
        self._format = (format or "table") if self._output is None else _format_of(self._output, format)
        self._column, self._show, self._restart = column, list(show), restart
        self._shown = Shown()
        self._about: dict[str, str] = {}

    @property
    def is_page(self) -> bool:
        """Whether it is an HTML page."""
        return self._format == "html"

    def check(self, reader: TableReader, path: Path | None, options: SearchOptions) -> None:
        """Find the columns to show, and what is wrong with the output, before any work."""
        if self._output is None:
            check_stdout(self._format)
        else:
            check_place(self._output, restart=self._restart, inputs=[path] if path else [])
        for name in self._show:
            if reader.schema.names.count(name) != 1:
                several = f"several columns are called {name!r}"
                problem = several if name in reader.schema.names else unknown("column", name, reader.schema.names)
                raise click.UsageError(f"--show {name}: {problem}")
        vectors = find_vector_column(reader, options.vectors)
        known = vector_provenance(reader, vectors, path=path) or {}
        self._shown = Shown.find(reader, path, known, vectors=vectors, column=self._column, titles=self._show)
        self._about = _about(known, path, options)

    def write(self, title: str, reader: TableReader, path: Path | None, hits: Hits, options: SearchOptions) -> None:
        """Write rows to the output or the terminal."""
        if self._format not in _TEXT_FORMATS:
            self._write_rows(reader, path, hits)
            return
        found = self._records(reader, hits, find_vector_column(reader, options.vectors))
        match self._format:
            case "json":
                text = json.dumps(plain_cell(found), indent=2)
            case "html":
                text = self._page(title, found, hits, options)
            case _:
                header, rows = self._table(found, list(_said(hits)))
                if self._output is None:
                    print_table(header, rows)
                    return
                text = plain_table(header, rows, n_cells=None)
        if self._output is None:
            click.echo(text)
            return
        with appearing(self._output, restart=self._restart) as file:
            file.write(f"{text}\n".encode())
        say(f"wrote {self._output}")

    def _write_rows(self, reader: TableReader, path: Path | None, hits: Hits) -> None:
        """Write what was found as a table: what is known of the hits, and all columns of their rows or those shown."""
        found = take_rows(reader, hits.rows, columns=self._show or None)
        found = found.select(self._show) if self._show else found
        said = pa.table(_said(hits))
        kept = found.select([place for place, name in enumerate(found.column_names) if name not in said.column_names])
        schema = pa.schema([*said.schema, *kept.schema], metadata=kept.schema.metadata)
        rows = open_frame(pa.Table.from_arrays([*said.columns, *kept.columns], schema=schema))
        facts = provenance_beside(path)
        if self._output is None:
            with writing_stdout(self._format) as output:
                write_with_columns(rows, pa.table({}), output, restart=False, facts=facts)
            return
        write_with_columns(rows, pa.table({}), self._output, restart=self._restart, facts=facts)
        say(f"wrote {self._output}")

    def _records(self, reader: TableReader, hits: Hits, vectors: str) -> list[dict[str, Any]]:
        """Read what is shown of what was found; what is said of a hit comes first, and goes over cells."""
        everything = [name for name in reader.schema.names if name != vectors]
        names = (self._show or everything) if self._format == "json" else self._shown.needed
        records = take_records(reader, hits.rows, names)
        said = pa.table(_said(hits)).to_pylist()
        return [{**hit, **record, **hit} for hit, record in zip(said, records, strict=True)]

    def _table(self, found: Sequence[dict[str, Any]], known: Sequence[str]) -> tuple[list[str], list[list[str]]]:
        names = self._show or self._shown.names
        near = [{**hit, SIMILARITY: f"{hit[SIMILARITY]:.4f}"} for hit in found]
        rows = [[*(str(hit[name]) for name in known), *(self._shown.text(hit, name) for name in names)] for hit in near]
        return [*(ROW if name == "row" else name for name in known), *names], rows

    def _page(self, title: str, found: Sequence[dict[str, Any]], hits: Hits, options: SearchOptions) -> str:
        what = count(len(found), "image" if options.unique else "row")
        notes = list(map(_note, pa.table(_said(hits)).to_pylist()))
        tiles = self._shown.tiles(found, notes, options)
        return render_gallery(title, [Section(f"{what}, nearest first", tiles)], facts=self._about)


def _format_of(output: Path, format: str | None) -> str:
    """Choose a format by the ending of the output, which `format` must not contradict."""
    texts = {ending: name for name, endings in _TEXT_FORMATS.items() for ending in endings}
    ending = check_output_ending(output, (*texts, *TABLE_ENDINGS))
    found = texts.get(ending, ending.removeprefix("."))
    if format not in {None, found}:
        raise click.UsageError(f"--format {format} and -o {output} contradict each other: leave --format out")
    return found


def _said(hits: Hits) -> dict[str, Any]:
    """Say what is known of hits, before the cells of their rows and in place of columns called so."""
    said = {"rank": np.arange(1, len(hits.rows) + 1), "row": hits.rows, SIMILARITY: hits.similarities}
    return said if hits.copies is None else {**said, COPIES: hits.copies}


def _note(hit: dict[str, Any]) -> str:
    """Say where a hit stands, how near it is, and how many rows hold its image."""
    copies = f" · {hit[COPIES]:,} copies" if hit.get(COPIES, 1) > 1 else ""
    return f"rank {hit['rank']} · score {hit[SIMILARITY]:.4f}\nrow {hit['row']:,}{copies}"


def _about(facts: dict[str, Any], path: Path | None, options: SearchOptions) -> dict[str, str]:
    model = options.model or facts.get("model")
    known = {"Table": path and path.name, "Model": model, "Score": "cosine similarity to the query"}
    return {name: str(value) for name, value in known.items() if value}


def _title(query: Query) -> str:
    wanted = [f"“{text}”" for text in query.texts] + [str(image) for image in query.images]
    return " + ".join(wanted) + "".join(f" - “{text}”" for text in query.minus)
