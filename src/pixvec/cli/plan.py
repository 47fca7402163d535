"""`pixvec plan`: a table file with URLs -> what embedding it will meet and cost."""

from __future__ import annotations

import json
from typing import Any

import click

from pixvec.cli.console import say, show
from pixvec.cli.flags import PATH, Command, with_options
from pixvec.cli.notes import saying_log
from pixvec.cli.streams import reads_stdin
from pixvec.reports.planning import PlanOptions, plan_run
from pixvec.reports.planning.text import plan_text


@click.command(cls=Command)
@click.argument("input", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="print all figures as JSON")
@click.option("--quiet", is_flag=True, help="do not tell what is being done meanwhile")
@with_options(PlanOptions)
@reads_stdin("input")
def plan(input: str, *, as_json: bool, quiet: bool, **given: Any) -> None:
    """Tell what embedding INPUT, a table file or a folder, will meet and cost, and write nothing.

    The column is read, and a sample of its URLs over all hosts is fetched and decoded as a run does it: repeats, hosts,
    rows without a vector by cause, formats and sizes, how fast each stage is on this machine, and with that time,
    memory, disk and the bottleneck. Give it the options that the run will have; a cache counts as empty.
    """
    with saying_log(quiet=quiet):
        found = plan_run(input, PlanOptions(**given), (lambda _: None) if quiet else say)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2))
    else:
        show(plan_text(found))
