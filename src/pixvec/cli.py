"""The command line: the only file that prints and sets exit statuses.

Its flags are made from the options' dataclasses, so that each has the name, default and help that it has in Python.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from pixvec.errors import ModelError, PixvecError, UsageError
from pixvec.options import Option, options_of
from pixvec.report import Report
from pixvec.run import FileOptions, run_file

BROKE, WRONG_USE, TOO_MANY_FAILED, INTERRUPTED = 1, 2, 3, 130
_LINE_EVERY_S = 10.0
_SHORT = {"column": "-c"}


def main() -> None:
    """Run the command line, and leave with its exit status."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status; errors of ours become one line on stderr."""
    try:
        return cli.main(arguments, prog_name="pixvec", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return WRONG_USE
    except (click.Abort, KeyboardInterrupt):
        _say("pixvec: interrupted; nothing was written")
        return INTERRUPTED
    except PixvecError as error:
        _say(f"pixvec: {error}")
        return WRONG_USE if isinstance(error, UsageError | ModelError) else BROKE


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="pixvec")
def cli() -> None:
    """Turn a column of image URLs into a column of CLIP vectors."""


def with_options(options_type: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command a flag for each option of a dataclass."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for known in reversed(list(options_of(options_type))):
            command = _flag(known)(command)
        return command

    return decorate


def _flag(known: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    flag = "--" + known.name.replace("_", "-")
    if known.type is bool and known.default:
        flag = f"{flag}/--no-{flag[2:]}"
    names = [name for name in (_SHORT.get(known.name), flag) if name]
    kind = click.Choice(known.choices) if known.choices else str if known.repeats else known.type
    return click.option(
        *names,
        known.name,
        type=kind,
        default=known.default,
        multiple=known.repeats,
        help=known.help,
        show_default=known.default not in (None, False, ()),
        is_flag=known.type is bool,
    )


@cli.command()
@click.argument("input")
@click.option("-o", "--output", required=True, help="the file to write: .csv or .parquet")
@with_options(FileOptions)
def embed(input: str, output: str, **options: Any) -> int:
    """Embed a column of image URLs of INPUT, a CSV or Parquet file.

    The output has INPUT's rows and columns, in their order, and beside each row its vector or the reason why it has
    none. Exit status: 0 every row decided, 1 the run broke, 2 wrong use, 3 more failed than --max-failed allows,
    130 interrupted.
    """
    progress = None if sys.stderr.isatty() else _plain_lines()
    settings = FileOptions(**options, progress=progress)
    report = run_file(input, output, settings)
    if not settings.quiet:
        click.echo(f"{report}\nwrote {output}", err=True)
    return TOO_MANY_FAILED if report.n_failed > settings.max_failed_rows(report.n_rows) else 0


def _plain_lines() -> Callable[[Report], None]:
    """Make a progress function for logs: a line every ten seconds."""
    told = time.monotonic()

    def tell(report: Report) -> None:
        nonlocal told
        if time.monotonic() - told >= _LINE_EVERY_S:
            told = time.monotonic()
            _say(
                f"{report.seconds:.0f} s: {report.n_rows:,} rows, {report.n_failed:,} without a vector, "
                f"{report.rows_per_second:.1f} rows/s"
            )

    return tell


def _say(line: str) -> None:
    click.echo(line, err=True)
