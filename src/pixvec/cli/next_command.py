"""What a run came to -> the command to give next, as it would be typed: what was given, and what would help."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import click
from click.core import ParameterSource

from pixvec.cli.streams import STREAM
from pixvec.codes import ANY_SERVER, code_of, is_retryable
from pixvec.model.checkpoint import StatedModelError
from pixvec.options import options_of
from pixvec.pipeline.report import Report
from pixvec.run import FileOptions

_SECRET: Final = frozenset(known.name for known in options_of(FileOptions) if known.secret)
_HIDDEN: Final = "…"
_ONLY_ONE_OF: Final = frozenset(["restart", "retry_failed", "retry_codes"])


def next_command(report: Report, output: str, settings: FileOptions) -> str | None:
    """Return what to give next where most rows failed, or more is allowed than when they did; None where nothing helps.

    Secrets are left out: an ellipsis stands for them.
    """
    params = click.get_current_context().params
    if STREAM in {params["input"], params["output"]}:  # what was read or written is gone
        return None
    again = {"restart": True} if output.endswith(".npy") else {"retry_failed": True}  # an array has no reasons
    if report.liftable:
        return _command(again)
    code = code_of(report.main_reason or "")
    if code is None or report.main_reason is None:
        return None
    helping: dict[str, Any] = {
        name: value for name, value in code.lifted_by.items() if value and value != getattr(settings, name)
    }
    if helping.get("allow_address") == ANY_SERVER and report.refused_addresses:
        helping["allow_address"] = sorted(report.refused_addresses)
    if helping or is_retryable(report.main_reason):
        return _command({**helping, **again})
    return shlex.join(["pixvec", "report", output])


@contextmanager
def telling_how_to_trust() -> Iterator[None]:
    """Let the refusal of a model that a table names end with the command that names it."""
    try:
        yield
    except StatedModelError as error:
        params = click.get_current_context().params
        kept = {name: params[name] for name in _ONLY_ONE_OF if params.get(name)}
        error.add_note(_command({"model": error.model, **kept}))
        raise


def _command(added: Mapping[str, Any]) -> str:
    context = click.get_current_context()
    words = [word for param in context.command.params for word in _given(context, param, added)]
    return " ".join([context.command_path, *words])


def _given(context: click.Context, param: click.Parameter, added: Mapping[str, Any]) -> Iterator[str]:
    """Write a parameter as it was given, and as it is added."""
    is_given = context.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
    if is_given and param.name not in _ONLY_ONE_OF:
        yield from _words(param, context.params[str(param.name)])
    if param.name in added:
        yield from _words(param, added[param.name])


def _words(param: click.Parameter, value: Any) -> Iterator[str]:
    flag = param.opts[0] if isinstance(param, click.Option) else None
    if isinstance(param, click.Option) and param.is_flag:
        yield str(flag) if value else param.secondary_opts[0]
        return
    for one in value if isinstance(value, list | tuple) else [value]:
        word = _HIDDEN if param.name in _SECRET else shlex.quote(str(one))
        yield f"{flag} {word}" if flag else word
