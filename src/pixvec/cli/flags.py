"""Options' dataclasses -> flags: each has the name, default and help that it has in Python, and is listed in its group.

Also what all commands have in common: help in groups, and `--json`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, get_args

import click

from pixvec import options
from pixvec.formatting.names import unknown
from pixvec.options import Option, options_of

PATH: Final = click.Path()
"""The type of an argument or option that a shell completes with files; any text is taken."""
_SHORT: Final = {"column": "-c"}
_FIRST: Final = ("column", "texts")
"""Options that most commands are given: they are listed first in their group."""

_Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class _Flag(click.Option):
    """An option of the library; with a value of its own for when it stands `alone`."""

    def __init__(self, *names: Any, group: options.Group | None, alone: Any, **facts: Any) -> None:
        super().__init__(*names, **facts, metavar=None if alone is None else f"[={alone}]")
        self.group = group
        self.alone = alone


class _Formatter(click.HelpFormatter):
    """Prints headings in bold, where the terminal has it."""

    def write_heading(self, heading: str) -> None:
        super().write_heading(click.style(heading, bold=True))


class _Context(click.Context):
    formatter_class = _Formatter


class Command(click.Command):
    """A command whose help lists its options in their groups, and whose flags may leave out a value that they take."""

    context_class = _Context

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give a flag that stands alone its value, so that it does not take the next argument for that."""
        flags = [param for param in self.params if isinstance(param, _Flag) and param.alone is not None]
        alone = {name: f"{name}={flag.alone}" for flag in flags for name in flag.opts}
        pairs = zip(args, [*args[1:], ""], strict=False)  # there may be none
        spelled = [word if after.isdigit() else alone.get(word, word) for word, after in pairs]
        return super().parse_args(ctx, spelled)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what is the command's own first."""
        groups: dict[str | None, list[tuple[str, str]]] = {None: []} | {group: [] for group in get_args(options.Group)}
        for param in sorted(self.get_params(ctx), key=lambda param: param.name not in _FIRST):
            if isinstance(param, click.Option) and (record := param.get_help_record(ctx)):
                groups[getattr(param, "group", None)].append(record)
        for group, records in groups.items():
            if records:
                with formatter.section(group.capitalize() if group else "Options"):
                    formatter.write_dl(records)


class Group(click.Group):
    """Commands of which the one that runs is known to `messages.of_this_command`."""

    context_class = _Context

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one may be meant."""
        known = self.list_commands(ctx)
        if not (args[0] in known or args[0].startswith("-") or ctx.resilient_parsing):
            raise click.UsageError(unknown("command", args[0], known), ctx)
        name, command, rest = super().resolve_command(ctx, args)
        ctx.find_root().obj = command
        return name, command, rest


def with_options(options_type: type, *, without: Collection[str] = ()) -> _Decorator:
    """Give a command a flag for each option of a dataclass, but for those that are named."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for known in reversed(options_of(options_type)):
            if known.name not in without:
                command = _flag(known)(command)
        return command

    return decorate


def _flag(known: Option) -> _Decorator:
    flag = "--" + known.name.replace("_", "-")
    if known.type is bool and known.default:
        flag = f"{flag}/--no-{flag[2:]}"
    names = [name for name in (_SHORT.get(known.name), flag) if name]
    return click.option(
        *names,
        known.name,
        cls=_Flag,
        group=known.group,
        type=_type_of(known),
        default=known.default,
        multiple=known.repeats,
        help=known.help,
        show_default=known.default not in (None, False, (), ""),
        is_flag=known.type is bool,
        alone=known.alone,
    )


def _type_of(known: Option) -> Any:
    if known.choices:
        return click.Choice(known.choices)
    if Path in known.types:
        return PATH
    return str if known.repeats else known.type


def with_json(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`."""
    return click.option("--json", "as_json", is_flag=True, help="print the result as one JSON object")(command)


def check_json(output: str | None, *, as_json: bool) -> None:
    """Refuse two things on stdout.

    Raises
    ------
    click.UsageError
        For `--json` beside `-o -`.
    """
    if as_json and output == "-":
        raise click.UsageError("--json and -o - both write to stdout: give -o a file, or leave --json out")
