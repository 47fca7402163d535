"""The command line: the only package that prints and sets exit statuses.

Each command is a module of its own, called like it, and is imported when it is asked for.
"""

from __future__ import annotations

from importlib import import_module

import click

from pixvec.cli.console import abandon_stdout, say, was_printing
from pixvec.cli.messages import Group
from pixvec.errors import ModelError, PixvecError, UsageError
from pixvec.report import TooManyFailedError

BROKE, WRONG_USE, TOO_MANY_FAILED, INTERRUPTED = 1, 2, 3, 130
NOBODY_READS = 141
"""What a shell says of a program in C whose reader left."""
_COMMANDS = ("plan", "embed", "report", "search", "link", "dedupe", "run", "steps", "models")


def load(name: str) -> click.Command | None:
    """Import a command, with all that it needs; None for a name that is no command's."""
    return getattr(import_module(f"pixvec.cli.{name}"), name) if name in _COMMANDS else None


def execute(arguments: list[str]) -> int:
    """Run one command and return its exit status; errors of ours become one line on stderr."""
    try:
        with cli.make_context("pixvec", arguments) as context:
            return _run(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as usage:
        say(usage.format_message())
        return WRONG_USE
    except click.ClickException as error:
        say(f"pixvec: {error.format_message()}")
        return WRONG_USE
    except OSError as error:
        if not was_printing(error):
            raise
        return _give_up_printing(error)


def _run(context: click.Context) -> int:
    try:
        return int(cli.invoke(context) or 0)
    except (KeyboardInterrupt, MemoryError, PixvecError) as end:
        say("; ".join([f"pixvec: {_words(end)}", *getattr(end, "__notes__", [])]))
        return _status(end)


def _give_up_printing(error: OSError) -> int:
    abandon_stdout()
    if isinstance(error, BrokenPipeError):  # who reads has seen enough, as with | head
        return NOBODY_READS
    say(f"pixvec: stdout cannot be written to: {error.strerror or 'it is closed'}")
    return BROKE


def _words(end: BaseException) -> str:
    """Say what ended a command; its notes say what is finished, and how to go on."""
    match end:
        case KeyboardInterrupt():
            return "interrupted"
        case MemoryError():
            return "there is not enough memory"
        case _:
            return str(end)


def _status(end: BaseException) -> int:
    match end:
        case KeyboardInterrupt():
            return INTERRUPTED
        case UsageError() | ModelError():
            return WRONG_USE
        case TooManyFailedError():
            return TOO_MANY_FAILED
        case _:
            return BROKE


class _Commands(Group):
    """The commands, in the order in which a newcomer meets them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return load(cmd_name)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="pixvec")
def cli() -> None:
    """Turn a column of image URLs into a column of CLIP vectors."""
