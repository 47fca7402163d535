"""What people read while a command works: lines on stderr, so that stdout stays free for results."""

from __future__ import annotations

import os
import shutil
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import click

from pixvec.cli.messages import of_this_command
from pixvec.errors import PixvecError
from pixvec.formatting.text import count, duration, share
from pixvec.formatting.width import wrapped
from pixvec.pipeline.report import OnProgress, Report

_LINE_EVERY_S = 10.0
_HIDDEN: set[str] = set()
"""Folders whose files are called by their names alone."""


def say(text: str) -> None:
    """Print some lines on stderr."""
    _print_aside(_readable(text))


def say_note(text: str) -> None:
    """Print what a command does on its own account, on stderr."""
    _print_aside(f"{click.style('pixvec:', bold=True)} {_readable(text)}")


def say_problem(text: str) -> None:
    """Print what went wrong, or what one should know of, on stderr."""
    _print_aside(f"{click.style('pixvec:', fg='red', bold=True)} {_readable(text)}")


def takes_colour() -> bool | None:
    """Say False where nobody wants colour; None leaves it to click, which knows whether it prints to a terminal."""
    return False if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" else None


def _print_aside(text: str) -> None:
    # Nobody may be listening, which is no reason to lose a run.
    with suppress(OSError):
        click.echo(text, err=True, color=takes_colour())


def show(text: str) -> None:
    """Print some lines on stdout, the result of a command for people; a terminal gets them wrapped between words."""
    n_cells = terminal_width()
    lines = _readable(text).split("\n")
    click.echo("\n".join(lines if n_cells is None else (wrapped(line, n_cells) for line in lines)))


def terminal_width() -> int | None:
    """Count the cells of a line of the terminal that stdout is; None where it is none, which gets everything whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _readable(text: str) -> str:
    """Show what would do something to a terminal, and name options as flags."""
    for folder in _HIDDEN:
        text = text.replace(f"{folder}{os.sep}", "")
    return "\n".join(map(visible, of_this_command(text).split("\n")))


@contextmanager
def hide(folder: str) -> Iterator[None]:
    """Leave the path of a folder out of what is printed on stderr while the block runs, and of errors that end it."""
    _HIDDEN.add(folder)
    try:
        yield
    except PixvecError as error:
        error.args = tuple(str(part).replace(f"{folder}{os.sep}", "") for part in error.args)
        raise
    finally:
        _HIDDEN.remove(folder)


def was_printing(error: OSError) -> bool:
    """Tell whether an error was met when something was printed; click prints whatever is."""
    return any(frame.f_code is click.echo.__code__ for frame, _ in traceback.walk_tb(error.__traceback__))


def abandon_stdout() -> None:
    """Let what is left to print go nowhere, or the interpreter tries again at its end."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def visible(text: str) -> str:
    r"""Write characters that would do something, or show nothing, as their escapes: ``\x1b``, ``\u202e``, ``\n``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def default_progress() -> OnProgress | None:
    """Choose how progress is shown: None leaves it to the library, which has a bar for terminals."""
    return None if _is_terminal() else _plain_lines()


def _plain_lines() -> Callable[[Report], None]:
    """Make a progress function for logs: a line every ten seconds."""
    told = time.monotonic()

    def tell(report: Report) -> None:
        nonlocal told
        if time.monotonic() - told >= _LINE_EVERY_S:
            told = time.monotonic()
            say(progress_line(report))

    return tell


def progress_line(report: Report) -> str:
    """Say in a line how far a call is."""
    parts = [f"{report.seconds:.0f} s: {count(report.n_rows, 'row')}"]
    if report.n_expected is not None:
        parts.append(f"{share(report.n_rows, report.n_expected)} of {report.n_expected:,}")
    parts += [f"{report.n_failed:,} without a vector", f"{report.rows_per_second:.1f} rows/s"]
    if report.seconds_left is not None:
        parts.append(f"{duration(report.seconds_left)} left")
    return ", ".join(parts)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
