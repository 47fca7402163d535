"""Options as the library names them in messages -> the flags of the command that prints the message.

The library writes an option in backticks, as it stands in Python: ``restart=True``, ``allow_address``.
"""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any, Final

import click

_OPTION: Final = re.compile(r"`(?P<name>[a-z]\w*)(?:=(?P<value>[^`]+))?`")


def of_this_command(text: str) -> str:
    """Write the options that a text names as flags of the command that runs."""
    context = click.get_current_context(silent=True)
    command = context and context.find_root().obj
    return in_flags(text, command) if command else text


def in_flags(text: str, command: click.Command, *, quote: str = "") -> str:
    """Write the options that a text names as flags of a command; what is none of its flags stays as it is."""
    flags = {option.name: option for option in command.params if isinstance(option, click.Option)}

    def flag(found: re.Match[str]) -> str:
        option = flags.get(found["name"])
        words = option and _flag(option, found["value"])
        return f"{quote}{words}{quote}" if words else found[0]

    return _OPTION.sub(flag, text)


def _flag(option: click.Option, value: str | None) -> str | None:
    name = max(option.opts, key=len)
    if value is None:
        return name
    try:
        known = ast.literal_eval(value)
    except (ValueError, SyntaxError):  # a placeholder: …
        return f"{name} {value}"
    if option.is_flag:
        return name if known else next(iter(option.secondary_opts), None)
    values = known if isinstance(known, list | tuple) else [known]
    return " ".join(f"{name} {_word(one)}" for one in values)


def _word(value: Any) -> str:
    """Write a value as one word of a shell."""
    text = str(value)
    return shlex.quote(text) if text.isprintable() else repr(text)
