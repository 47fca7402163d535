"""Options as the library names them in messages -> flags and arguments of the command that prints the message.

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
    """Write the options that a text names as those of the command that runs."""
    context = click.get_current_context(silent=True)
    command = context and context.find_root().obj
    return in_flags(text, command) if command else text


def in_flags(text: str, command: click.Command, *, quote: str = "") -> str:
    """Write the options that a text names as flags or arguments of a command; what is neither stays as it is."""
    params = {param.name: param for param in command.params}

    def flag(found: re.Match[str]) -> str:
        param = params.get(found["name"])
        words = param and _in_words(param, found["value"])
        return f"{quote}{words}{quote}" if words else found[0]

    return _OPTION.sub(flag, text)


def _in_words(param: click.Parameter, value: str | None) -> str | None:
    """Write a flag, which an argument lacks, and values."""
    flag = f"{max(param.opts, key=len)} " if isinstance(param, click.Option) else ""
    if value is None:
        return flag.rstrip() or param.human_readable_name
    try:
        known = ast.literal_eval(value)
    except (ValueError, SyntaxError):  # a placeholder: …
        return f"{flag}{value}"
    if isinstance(param, click.Option) and param.is_flag:
        return flag.rstrip() if known else next(iter(param.secondary_opts), None)
    values = known if isinstance(known, list | tuple) else [known]
    return " ".join(f"{flag}{_word(one)}" for one in values)


def _word(value: Any) -> str:
    """Write a value as one word of a shell."""
    text = str(value)
    return shlex.quote(text) if text.isprintable() else repr(text)
