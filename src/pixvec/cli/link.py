"""`pixvec link`: a table with vectors -> the links between its rows, in the shapes that other tools read."""

from __future__ import annotations

from typing import Any

import click
import numpy as np

from pixvec.cli.console import default_progress, say
from pixvec.cli.flags import with_options
from pixvec.export import LinkFileOptions, link_file
from pixvec.link import Links
from pixvec.progress import telling_progress
from pixvec.report import counting_rows


@click.command()
@click.argument("input")
@click.option("-o", "--output", required=True, help="the file to write: .parquet, .csv, .graphml or .gexf")
@click.option("--quiet", is_flag=True, help="no progress and no summary")
@with_options(LinkFileOptions)
def link(input: str, output: str, quiet: bool, **options: Any) -> None:
    """Link each row of INPUT, a table with vectors, to the rows whose vectors are nearest.

    Rows without a vector are nobody's neighbour, and have no links. Weights are cosines.
    """
    wanted = LinkFileOptions(**options)
    with telling_progress(False if quiet else default_progress(), None) as tell:
        links = link_file(input, output, wanted, tell and counting_rows(tell))
    if not quiet:
        say(f"{_summary(links)}\nwrote {output}")


def _summary(links: Links) -> str:
    n_rows, n_vectors = len(links.has_vector), int(np.count_nonzero(links.has_vector))
    found = "" if links.recall is None else f"; {links.recall:.1%} of the nearest were found, measured on a sample"
    return f"{n_rows:,} rows: {n_vectors:,} with vectors, {len(links.targets):,} links{found}"
