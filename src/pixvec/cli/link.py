"""`pixvec link`: a table with vectors -> the links between its rows, in the shapes that other tools read."""

from __future__ import annotations

import json
from typing import Any

import click
import numpy as np

from pixvec.cli.console import default_progress, say
from pixvec.cli.flags import PATH, Command, with_json, with_options
from pixvec.cli.streams import TABLE_FORMATS, reads_stdin, writes_stdout
from pixvec.pipeline.progress import telling_progress
from pixvec.pipeline.report import counting_rows
from pixvec.similarity.export import LinkFileOptions, link_file
from pixvec.similarity.links import Links


@click.command(cls=Command)
@click.argument("input", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="the table to write, or a graph: .graphml or .gexf")
@click.option("--quiet", is_flag=True, help="no progress and no summary")
@with_json
@with_options(LinkFileOptions)
@writes_stdout(*TABLE_FORMATS, "graphml", "gexf")
@reads_stdin("input")
def link(input: str, output: str, *, quiet: bool, as_json: bool, **options: Any) -> None:
    """Link each row of INPUT, a table with vectors, to the rows whose vectors are nearest.

    Rows without a vector are nobody's neighbour, and have no links. Rows are counted from 0; weights are cosines.
    """
    wanted = LinkFileOptions(**options)
    with telling_progress(False if quiet else default_progress()) as tell:
        links = link_file(input, output, wanted, tell and counting_rows(tell))
    if as_json:
        click.echo(json.dumps({"output": output, **_counts(links)}, indent=2))
    elif not quiet:
        say(f"{_summary(links)}\nwrote {output}")


def _counts(links: Links) -> dict[str, Any]:
    n_vectors = int(np.count_nonzero(links.has_vector))
    counts = {"n_rows": len(links.has_vector), "n_vectors": n_vectors, "n_links": len(links.targets)}
    return {**counts, "recall": links.recall}


def _summary(links: Links) -> str:
    n_rows, n_vectors, n_links, recall = _counts(links).values()
    found = "" if recall is None else f"; {recall:.1%} of the nearest were found, measured on a sample"
    return f"{n_rows:,} rows: {n_vectors:,} with vectors, {n_links:,} links{found}"
