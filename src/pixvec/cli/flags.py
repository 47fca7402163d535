"""Options' dataclasses -> flags: each has the name, default and help that it has in Python."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import click

from pixvec.options import Option, options_of

_SHORT = {"column": "-c"}


def with_options(
    options_type: type, *, without: Collection[str] = ()
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command a flag for each option of a dataclass, but for those that are named."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for known in reversed(options_of(options_type)):
            if known.name not in without:
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
