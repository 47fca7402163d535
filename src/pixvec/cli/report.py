"""`pixvec report`: a table that pixvec wrote -> what happened to its rows, and why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pixvec.cli.console import say, visible
from pixvec.cli.flags import with_options
from pixvec.output_file import appearing, check_place
from pixvec.review import ReviewOptions, review_table
from pixvec.review.page import render_review
from pixvec.review.text import review_text


@click.command()
@click.argument("table")
@click.option("--html", "page", help="a page to write, one file that needs no other and loads nothing")
@click.option("--json", "as_json", is_flag=True, help="print all figures as JSON")
@click.option("--restart", is_flag=True, help="replace a page that exists")
@with_options(ReviewOptions)
def report(table: str, *, page: str | None, as_json: bool, restart: bool, **given: Any) -> None:
    """Tell what happened to the rows of TABLE, which pixvec wrote: how many have no vector, why, and what to do.

    Failures by code and host with examples, one picture behind many URLs, repeats, formats and sizes, what the vectors
    were made with; and from the log beside the table, the pace over time. No server is asked anything. Queries of URLs
    are left out, as they may be secret.
    """
    if page is not None:
        check_place(Path(page), restart=restart, inputs=[Path(table)])
    found = review_table(table, ReviewOptions(**given))
    if page is not None:
        with appearing(Path(page), restart=restart) as path:
            path.write_text(render_review(found), encoding="utf-8", errors="backslashreplace")
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        click.echo("\n".join(map(visible, review_text(found).split("\n"))))
    if page is not None:
        say(f"wrote {page}")
