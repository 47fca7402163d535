"""`pixvec embed`: a table file with URLs or texts -> the same table with vectors."""

from __future__ import annotations

import json
from typing import Any

import click

from pixvec.cli.console import default_progress, say
from pixvec.cli.flags import PATH, Command, check_json, with_json, with_options
from pixvec.report import BugsMetError, Report, TooManyFailedError
from pixvec.run import FileOptions, run_file


@click.command(cls=Command)
@click.argument("input", type=PATH)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    help="the file to write, its ending says the format; or a folder/ of parts",
)
@with_json
@with_options(FileOptions)
def embed(input: str, output: str, as_json: bool, **options: Any) -> None:
    """Embed a column of image URLs of INPUT: a table file, a pattern in quotes, or a folder, also one of pictures.

    With --texts a column of texts is embedded instead, into the same space; long ones are cut where the model's length
    ends.

    The output has INPUT's rows and columns, in their order, and beside each row its vector or the reason why it has
    none. A run that was stopped goes on when the same command is given again. Exit status: 0 every row decided, 1 the
    run broke, 2 wrong use, 3 more failed than --max-failed allows, 130 interrupted.
    """
    check_json(output, as_json=as_json)
    settings = FileOptions(**options, progress=default_progress())
    try:
        report = run_file(input, output, settings)
    except (TooManyFailedError, BugsMetError) as error:
        _summarize(error.report, output, settings, as_json=as_json)
        raise
    _summarize(report, output, settings, as_json=as_json)


def _summarize(report: Report, output: str, settings: FileOptions, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"output": output, **report.as_json()}, indent=2))
    elif not settings.quiet:
        say(f"{report}\n{output} was finished already" if report.was_finished else f"{report}\nwrote {output}")
