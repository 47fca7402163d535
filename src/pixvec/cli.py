"""The command line: the only file that prints and sets exit statuses.

Its flags are made from the options' dataclasses, so that each has the name, default and help that it has in Python.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import click

from pixvec.errors import ModelError, PixvecError, UsageError
from pixvec.options import Option, options_of
from pixvec.report import Report, TooManyFailedError
from pixvec.run import FileOptions, run_file

BROKE, WRONG_USE, TOO_MANY_FAILED, INTERRUPTED = 1, 2, 3, 130
_LINE_EVERY_S = 10.0
_SHORT = {"column": "-c"}


def run(arguments: list[str]) -> int:
    """Run one command and return its exit status; errors of ours become one line on stderr."""
    try:
        with cli.make_context("pixvec", arguments) as context:
            return int(cli.invoke(context) or 0)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as usage:
        _say(usage.format_message())
        return WRONG_USE
    except click.ClickException as error:
        _say(f"pixvec: {error.format_message()}")
        return WRONG_USE
    except KeyboardInterrupt:
        _say("pixvec: interrupted")
        return INTERRUPTED
    except PixvecError as error:
        _say(f"pixvec: {error}")
        return _status(error)


def _status(error: PixvecError) -> int:
    match error:
        case UsageError() | ModelError():
            return WRONG_USE
        case TooManyFailedError():
            return TOO_MANY_FAILED
        case _:
            return BROKE


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
def embed(input: str, output: str, **options: Any) -> None:
    """Embed a column of image URLs of INPUT, a CSV or Parquet file.

    The output has INPUT's rows and columns, in their order, and beside each row its vector or the reason why it has
    none. Exit status: 0 every row decided, 1 the run broke, 2 wrong use, 3 more failed than --max-failed allows,
    130 interrupted.
    """
    settings = FileOptions(**options, progress=None if _is_terminal() else _plain_lines())
    try:
        report = run_file(input, output, settings)
    except TooManyFailedError as error:
        _summarize(error.report, output, settings)
        raise
    _summarize(report, output, settings)


def _summarize(report: Report, output: str, settings: FileOptions) -> None:
    if not settings.quiet:
        _say(f"{report}\nwrote {output}")


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


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _say(line: str) -> None:
    # Nobody may be listening, which is no reason to lose a run.
    with suppress(OSError):
        click.echo(line, err=True)
