"""`pixvec embed`: a table file with URLs or texts -> the same table with vectors."""

from __future__ import annotations

import json
from typing import Any

import click

from pixvec.cli.console import default_progress, say
from pixvec.cli.flags import PATH, Command, with_json, with_options
from pixvec.cli.next_command import next_command, telling_how_to_trust
from pixvec.cli.notes import saying_log
from pixvec.cli.streams import STREAM_FORMATS, reads_stdin, writes_stdout
from pixvec.pipeline.report import BugsMetError, Report, TooManyFailedError
from pixvec.run import FileOptions, run_file


@click.command(cls=Command)
@click.argument("input", type=PATH)
@click.option(
    "-o",
    "--output",
    type=PATH,
    required=True,
    help="output file (its ending sets the format), a folder/ of Parquet parts, or - for stdout",
)
@with_json
@with_options(FileOptions)
@writes_stdout(
    *STREAM_FORMATS, note="stdout: the table is written there at the end, and a stopped run cannot be resumed"
)
@reads_stdin("input", note="stdin: a stopped run can only be resumed by sending the same bytes again")
def embed(input: str, output: str, as_json: bool, **options: Any) -> None:
    """Embed a column of image URLs of INPUT: a table file, a pattern in quotes, a folder of tables or images, or -.

    With --texts a column of texts is embedded instead, into the same space; long ones are cut where the model's length
    ends.

    The output has INPUT's rows and columns, in their order, and beside each row its vector or the reason why it has
    none. A run that was stopped goes on when the same command is given again, unless it writes to stdout. Exit status:
    0 every row decided, 1 the run broke, 2 wrong use, 3 no row has a vector or more failed than --max-failed allows,
    130 interrupted.
    """
    settings = FileOptions(**options, progress=default_progress())
    try:
        with saying_log(quiet=settings.quiet), telling_how_to_trust():
            report = run_file(input, output, settings)
    except (TooManyFailedError, BugsMetError) as error:
        _summarize(error.report, output, settings, as_json=as_json)
        raise
    _summarize(report, output, settings, as_json=as_json)


def _summarize(report: Report, output: str, settings: FileOptions, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"output": output, **report.as_json()}, indent=2))
    elif not settings.quiet:
        command = next_command(report, output, settings)
        next_ = [f"next: {command}"] if command else []
        say("\n".join([str(report), _outcome(report, output, settings), *next_]))


def _outcome(report: Report, output: str, settings: FileOptions) -> str:
    if not report.was_finished:
        return f"wrote {output}"
    return f"{output} has no rows to retry" if settings.retried_words else f"{output} was finished already"
