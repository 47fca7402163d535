"""`pixvec report`: a table that pixvec wrote -> what happened to its rows, and why."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from pixvec.cli.console import say, show
from pixvec.cli.embed import embed
from pixvec.cli.flags import PATH, Command, with_options
from pixvec.cli.messages import in_flags
from pixvec.cli.streams import reads_stdin
from pixvec.reports.review import ReviewOptions, review_table
from pixvec.reports.review.findings import Failure, Review
from pixvec.reports.review.page import render_review
from pixvec.reports.review.text import review_text
from pixvec.run.output_file import PAGE_ENDINGS, appearing, check_place
from pixvec.tables import check_output_ending


@click.command(cls=Command)
@click.argument("table", type=PATH)
@click.option("--html", "page", type=PATH, help="page to write: one file that loads nothing")
@click.option("--json", "as_json", is_flag=True, help="print all figures as JSON")
@click.option("--restart", is_flag=True, help="replace a page that exists")
@with_options(ReviewOptions)
@reads_stdin("table")
def report(table: str, *, page: str | None, as_json: bool, restart: bool, **given: Any) -> None:
    """Tell what happened to the rows of TABLE, which pixvec wrote: how many have no vector, why, and what to do.

    Failures by code and host with examples, one image behind many URLs, repeats, formats and sizes, what the vectors
    were made with; and from the log beside the table, the pace over time. No server is asked anything. Queries of URLs
    are left out, as they may be secret.
    """
    if page is not None:
        check_place(Path(page), restart=restart, inputs=[Path(table)])
        check_output_ending(page, PAGE_ENDINGS)
    found = review_table(table, ReviewOptions(**given))
    told = _in_flags(found)
    if page is not None:
        with appearing(Path(page), restart=restart) as file:
            file.write(render_review(told).encode(errors="backslashreplace"))
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        show(review_text(told))
    if page is not None:
        say(f"wrote {page}")


def _in_flags(review: Review) -> Review:
    """Name options as flags of the command that would lift a failure."""
    return replace(review, failures=tuple(map(_failure_in_flags, review.failures)))


def _failure_in_flags(failure: Failure) -> Failure:
    spelled = partial(in_flags, command=embed, quote="`")
    examples = tuple(replace(one, detail=spelled(one.detail)) for one in failure.examples)
    return replace(failure, meaning=spelled(failure.meaning), advice=spelled(failure.advice), examples=examples)
