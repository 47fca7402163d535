"""Options: each is defined once, as a field of its stage's frozen dataclass, and every face reads it there.

`settings.Settings` inherits the options of all stages, so that one object carries every default and each stage sees
its own part. The command line makes its flags from the same fields, and `takes_options` gives a function the fields
as keyword arguments, typed, without writing them again. This module must not know any option.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import inspect
import types
import typing
from collections.abc import Callable, Iterator
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from pixvec.errors import UsageError

P = ParamSpec("P")
First = TypeVar("First")
Second = TypeVar("Second")
Options_co = TypeVar("Options_co", covariant=True)
Result = TypeVar("Result")


def option(default: Any, help: str, *, minimum: int | None = None) -> Any:
    """Make a dataclass field that users may set, with the line of help that the command line prints for it."""
    return dataclasses.field(default=default, metadata={"help": help, "minimum": minimum})


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option as a face shows it: an optional type is given by its other half."""

    name: str
    type: Any
    default: Any
    help: str
    minimum: int | None

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it takes; empty where it takes more than a list of words."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def repeats(self) -> bool:
        """Whether it takes any number of values."""
        return get_origin(self.type) is tuple


def options_of(options_type: type) -> Iterator[Option]:
    """List the options of a dataclass, in the order of its fields."""
    hints = get_type_hints(options_type)
    for field in dataclasses.fields(options_type):
        if "help" in field.metadata:
            yield Option(
                field.name,
                _required(hints[field.name]),
                field.default,
                field.metadata["help"],
                field.metadata["minimum"],
            )


def check_options(options: Any) -> None:
    """Refuse a value that an option cannot take, and name the option.

    Raises
    ------
    UsageError
        For a word that is not among the choices, a number below the minimum, or a value of another type.
    """
    for known in options_of(type(options)):
        value = getattr(options, known.name)
        if value is not None or known.default is not None:
            _check(known, value)


def _check(known: Option, value: Any) -> None:
    if known.choices and value not in known.choices:
        raise UsageError(f"{known.name}={value!r}: expected one of {', '.join(known.choices)}")
    kind = get_origin(known.type) or known.type
    if isinstance(kind, type) and (not isinstance(value, kind) or isinstance(value, bool) != (kind is bool)):
        raise UsageError(f"{known.name}={value!r}: expected {kind.__name__}, got {type(value).__name__}")
    if known.minimum is not None and value < known.minimum:
        raise UsageError(f"{known.name}={value!r}: expected at least {known.minimum}")


def _required(hint: Any) -> Any:
    """Drop None from a type: what remains of ``str | None`` is ``str``."""
    if get_origin(hint) in {types.UnionType, typing.Union}:
        (kept,) = (part for part in get_args(hint) if part is not types.NoneType)
        return kept
    return hint


class _TakesOptions(Protocol[P, Options_co]):
    @overload
    def __call__(
        self, function: Callable[[First, Options_co], Result], /
    ) -> Callable[Concatenate[First, P], Result]: ...

    @overload
    def __call__(
        self, function: Callable[[First, Second, Options_co], Result], /
    ) -> Callable[Concatenate[First, Second, P], Result]: ...


def takes_options(options_type: Callable[P, Options_co]) -> _TakesOptions[P, Options_co]:
    """Let callers pass a function's last parameter, an options dataclass, as keyword arguments of its fields."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*inputs: Any, **keywords: Any) -> Any:
            return function(*inputs, _build(options_type, keywords))

        signature = inspect.signature(function)
        inputs = [part.replace(kind=part.POSITIONAL_ONLY) for part in signature.parameters.values()][:-1]
        keywords = inspect.signature(options_type).parameters.values()
        call.__signature__ = signature.replace(parameters=[*inputs, *keywords])  # type: ignore[attr-defined]
        return call

    return decorate


def _build(options_type: Callable[..., Any], keywords: dict[str, Any]) -> Any:
    known = inspect.signature(options_type).parameters
    for name in keywords:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; it takes {', '.join(known)}"
            raise UsageError(f"there is no option {name!r}{hint}")
    return options_type(**keywords)
