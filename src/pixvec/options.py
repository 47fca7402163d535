"""Options: each is defined once, as a field of its stage's frozen dataclass, and every face reads it there.

`settings.Settings` inherits the options of all stages, so that one object carries every default and each stage sees its
own part. The command line makes its flags from the same fields, and `takes_options` gives a function the fields as
keyword arguments, typed, without writing them again.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import numbers
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import (
    Any,
    ClassVar,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from pixvec.errors import UsageError
from pixvec.formatting.names import unknown

P = ParamSpec("P")
First = TypeVar("First")
Second = TypeVar("Second")
Options_co = TypeVar("Options_co", covariant=True)
Result = TypeVar("Result")


Group: TypeAlias = Literal["table", "model", "reach", "limits", "runs"]
"""What options are listed under, in this order."""


def option(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    secret: bool = False,
    group: Group | None = None,
    alone: Any = None,
) -> Any:
    """Make a dataclass field that users may set, with the line of help that the command line prints for it.

    What a secret one holds is never shown. The group is that of its class when not given. A flag that is given without
    a value has the value `alone`.
    """
    limits = {"minimum": minimum, "maximum": maximum}
    metadata = {"help": help, **limits, "secret": secret, "group": group, "alone": alone}
    return dataclasses.field(default=default, repr=not secret, metadata=metadata)


def limit(default: Any, *, minimum: float = 1) -> Any:
    """Make a dataclass field that only callers in Python may set."""
    return dataclasses.field(default=default, metadata={"help": None, "minimum": minimum, "maximum": None})


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One option as a face shows it.

    Parameters
    ----------
    types
        What it may be, None aside.
    help
        None for a `limit`.
    """

    name: str
    types: tuple[Any, ...]
    default: Any
    help: str | None
    minimum: float | None
    maximum: float | None
    secret: bool = False
    group: Group | None = None
    alone: Any = None

    @property
    def type(self) -> Any:
        """What a word of the command line is turned into."""
        return self.types[0]

    @property
    def choices(self) -> tuple[str, ...]:
        """The words it takes; empty where it takes more than a list of words."""
        return get_args(self.type) if get_origin(self.type) is Literal else ()

    @property
    def repeats(self) -> bool:
        """Whether it takes any number of values, or one by itself."""
        return get_origin(self.type) is Sequence


def options_of(options_type: type) -> list[Option]:
    """List the options of a dataclass, in the order of its fields."""
    return [known for known in _fields_of(options_type) if known.help is not None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """What every dataclass of options inherits: values are checked when it is made.

    A part that has more to check does so in a ``__post_init__`` that calls this one first, by way of ``super()``; a
    class of several parts then checks them all.

    Raises
    ------
    UsageError
        For a word that is not among the choices, a number out of its range, or a value of another type.
    """

    _group: ClassVar[Group | None] = None

    def __init_subclass__(cls, *, group: Group | None = None) -> None:
        """Remember the group of the options that a class defines, which is not that of those it inherits."""
        super().__init_subclass__()
        cls._group = group

    def __post_init__(self) -> None:
        for known in _fields_of(type(self)):
            value = getattr(self, known.name)
            if known.repeats and isinstance(value, str | list):
                value = (value,) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, known.name, value)
            if value is not None or known.default is not None:
                _check(known, value)


def _fields_of(options_type: type) -> Iterator[Option]:
    hints = get_type_hints(options_type)
    for field in dataclasses.fields(options_type):
        if field.metadata:
            facts = {**field.metadata, "group": field.metadata.get("group") or _group_of(options_type, field.name)}
            yield Option(field.name, _parts(hints[field.name]), field.default, **facts)


def _group_of(options_type: type, name: str) -> Group | None:
    """Find the group of the class that defines an option."""
    owner = next(kind for kind in options_type.__mro__ if name in inspect.get_annotations(kind))
    group: Group | None = vars(owner).get("_group")
    return group


def _parts(hint: Any) -> tuple[Any, ...]:
    """Take a union apart, and drop None: what remains of ``str | None`` is ``str``."""
    parts = get_args(hint) if get_origin(hint) in {types.UnionType, typing.Union} else (hint,)
    return tuple(part for part in parts if part is not types.NoneType)


def _check(known: Option, value: Any) -> None:
    if known.choices:
        if value not in known.choices:
            raise UsageError(f"`{known.name}={value!r}`: expected one of {', '.join(known.choices)}")
        return
    kinds = [get_origin(part) or part for part in known.types]
    if not any(_is_a(value, kind) for kind in kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        shown = "…" if known.secret else repr(value)
        raise UsageError(f"`{known.name}={shown}`: expected {expected}, got {type(value).__name__}")
    if known.maximum is not None and not value <= known.maximum:  # nor is NaN
        raise UsageError(f"`{known.name}={value!r}`: expected at most {known.maximum}")
    if known.minimum is not None and not value >= known.minimum:
        raise UsageError(f"`{known.name}={value!r}`: expected at least {known.minimum}")


def _is_a(value: Any, kind: type) -> bool:
    """Tell whether a value may stand for a type: NumPy's numbers may, a bool for a number may not."""
    stand_ins: dict[type, type] = {int: numbers.Integral, float: numbers.Real, Sequence: tuple}
    return isinstance(value, stand_ins.get(kind, kind)) and isinstance(value, bool) == (kind is bool)


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
        signature = inspect.signature(function)
        *inputs, _ = signature.parameters.values()

        @functools.wraps(function)
        def call(*given: Any, **keywords: Any) -> Any:
            named = {part.name: keywords.pop(part.name) for part in inputs if part.name in keywords}
            bound = inspect.Signature(inputs).bind(*given, **named)
            return function(*bound.args, _build(options_type, keywords))

        options = inspect.signature(options_type).parameters.values()
        call.__signature__ = signature.replace(parameters=[*inputs, *options])  # type: ignore[attr-defined]
        return call

    return decorate


def _build(options_type: Callable[..., Any], keywords: dict[str, Any]) -> Any:
    known = inspect.signature(options_type).parameters
    for name in keywords:
        if name not in known:
            raise UsageError(unknown("option", name, known))
    return options_type(**keywords)
