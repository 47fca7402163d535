"""The command line: the only package that prints and sets exit statuses.

Each command is a module of its own, called like it, and is imported when it is asked for: what lists them all, as help
and completion do, must not wait for the libraries that they need.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Final

import click
from click.shell_completion import CompletionItem, shell_complete

from pixvec.cli.console import abandon_stdout, say, say_problem, takes_colour, was_printing
from pixvec.cli.flags import Group
from pixvec.errors import ModelError, PixvecError, UsageError
from pixvec.pipeline.report import TooManyFailedError

BROKE, WRONG_USE, TOO_MANY_FAILED, INTERRUPTED = 1, 2, 3, 130
NOBODY_READS = 141
"""What a shell says of a program in C whose reader left."""
_COMPLETION: Final = "_PIXVEC_COMPLETE"
"""Where a shell says what it wants to complete."""
_COMMANDS: Final = {
    "plan": "estimate a run before it starts",
    "embed": "add a column of vectors to a table of image URLs",
    "report": "explain which rows have no vector, and why",
    "search": "find rows by words or by an image",
    "link": "link each row to the rows most like it",
    "dedupe": "group the rows that show the same image",
    "run": "run a recipe on a table",
    "steps": "list or explain the steps of recipes",
    "models": "list known models, or check one",
}
"""In the order in which a newcomer meets them, each in under 60 characters, so that no terminal cuts it."""


def load(name: str) -> click.Command | None:
    """Import a command, with all that it needs; None for a name that is no command's."""
    return getattr(import_module(f"pixvec.cli.{name}"), name) if name in _COMMANDS else None


def execute(arguments: list[str]) -> int:
    """Run one command and return its exit status; errors of ours become one line on stderr."""
    if instruction := os.environ.get(_COMPLETION):
        return shell_complete(cli, {}, "pixvec", _COMPLETION, instruction)
    try:
        with cli.make_context("pixvec", arguments, color=takes_colour()) as context:
            return _run(context)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.exceptions.NoArgsIsHelpError as usage:
        say(usage.format_message())
        return WRONG_USE
    except click.ClickException as error:
        say_problem(error.format_message())
        return WRONG_USE
    except OSError as error:
        if not was_printing(error):
            raise
        return _give_up_printing(error)


def _run(context: click.Context) -> int:
    try:
        return int(cli.invoke(context) or 0)
    except (KeyboardInterrupt, MemoryError, PixvecError) as end:
        say_problem("; ".join([_words(end), *getattr(end, "__notes__", [])]))
        return _status(end)


def _give_up_printing(error: OSError) -> int:
    abandon_stdout()
    if isinstance(error, BrokenPipeError):  # who reads has seen enough, as with | head
        return NOBODY_READS
    say_problem(f"stdout cannot be written to: {error.strerror or 'it is closed'}")
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
    """All commands, none of them imported but the one that runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 (click's signature)
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        return load(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name, help=words) for name, words in _COMMANDS.items() if name.startswith(incomplete)]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="pixvec")
def cli() -> None:
    """Turn a column of image URLs into a column of CLIP vectors."""
