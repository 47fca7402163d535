"""A step: what it takes, what it makes, which parameters it has, and what gets it ready to work.

Errors, ``describe`` and the reference are made from it, so that a step is written down once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import pyarrow as pa

from pixvec.options import Option
from pixvec.recipe.context import StepContext
from pixvec.recipe.values import Value, format_value

Work: TypeAlias = Callable[..., Sequence[pa.Table]]
"""Takes an `InputColumn` for each input that is a column, and makes a table for each output: its column and those
beside it, each called what is added to the output's name."""
Prepare: TypeAlias = Callable[[StepContext, Mapping[str, Any]], Work]
"""Takes the parameters that a recipe sets, and loads what the step needs, so that it fails before any step works."""

_PYTHON_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
}
_SAID: Final = {"boolean": "true or false", "integer": "a whole number", "number": "a number", "string": "a text"}
_RECIPE_TYPES: Final[dict[Any, str]] = {bool: "boolean", int: "integer", float: "number", str: "string"}
_ALSO_ACCEPTS: Final = {"text": {"category"}, "url": {"binary"}}
"""A column of texts that repeat themselves is found to be one of categories, and still holds texts; and where an image
is fetched by its URL, its bytes will do."""


@dataclass(frozen=True, slots=True)
class Slot:
    """An input or an output of a step.

    Parameters
    ----------
    name
        What it is called in the signature.
    type
        ``dataset``, ``model``, or the type of a column: ``url``, ``text``, ``list[number]`` and so on.
    help
        One line for a person.
    optional
        Whether it may be left out.
    beside
        Columns that are written beside this output: their names are added to its own.
    """

    name: str
    type: str
    help: str
    optional: bool = False
    beside: tuple[Slot, ...] = ()

    def __str__(self) -> str:
        return f"{'*' if self.optional else ''}{self.name}: {self.type}"

    def accepts(self, found: str | None) -> bool:
        """Tell whether it takes a value of this type; None is a column of which nothing is known."""
        if found is None:
            return self.type not in {"dataset", "model"}
        return found == self.type or found in _ALSO_ACCEPTS.get(self.type, ())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a step.

    Parameters
    ----------
    name, default, help
        As users write it, what it is when they don't, and one line for a person.
    type
        ``boolean``, ``integer``, ``number`` or ``string``.
    choices
        The words it takes; empty for any.
    minimum, maximum
        The range of a number, ends included.
    """

    name: str
    type: str
    default: Value
    help: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @classmethod
    def of(cls, option: Option, *, maximum: float | None = None) -> Parameter:
        """Make an option of pixvec a parameter, with a maximum for recipes where the option has none."""
        kind = "string" if option.choices else _RECIPE_TYPES[option.type]
        most = maximum if option.maximum is None else option.maximum
        return cls(option.name, kind, option.default, option.help or "", option.choices, option.minimum, most)

    def __str__(self) -> str:
        return f"{self.name}: {self.type} = {format_value(self.default)}"

    def accepts(self, value: Value) -> bool:
        """Tell whether it takes this value."""
        if isinstance(value, bool) != (self.type == "boolean") or not isinstance(value, _PYTHON_TYPES[self.type]):
            return False
        if self.choices:
            return value in self.choices
        return not isinstance(value, int | float) or self._is_in_range(value)

    @property
    def expected(self) -> str:
        """Say which values it takes."""
        if self.choices:
            return f"one of {', '.join(map(format_value, self.choices))}"
        ends = [f"at least {self.minimum}"] * (self.minimum is not None)
        ends += [f"at most {self.maximum}"] * (self.maximum is not None)
        return ", ".join([_SAID[self.type], *ends])

    def _is_in_range(self, number: float) -> bool:
        is_enough = self.minimum is None or number >= self.minimum
        return is_enough and (self.maximum is None or number <= self.maximum)


@dataclass(frozen=True, slots=True)
class Step:
    """A step that recipes may use.

    Parameters
    ----------
    name, help, example
        As recipes write it, what it does in one line, and one use of it.
    inputs, parameters, outputs
        What it takes and makes, in the order in which recipes write them.
    ends_recipe
        Whether no step may follow it.
    prepare
        Gets it ready to work.
    """

    name: str
    help: str
    example: str
    inputs: tuple[Slot, ...]
    parameters: tuple[Parameter, ...] = ()
    outputs: tuple[Slot, ...] = ()
    ends_recipe: bool = False
    prepare: Prepare = field(kw_only=True, compare=False, repr=False)

    def __str__(self) -> str:
        params = ", ".join(f'"{parameter.name}": {format_value(parameter.default)}' for parameter in self.parameters)
        arguments = [*map(str, self.inputs), f"{{{params}}}"] if params else map(str, self.inputs)
        outputs = f" -> ({', '.join(map(str, self.outputs))})" if self.outputs else ""
        return f"{self.name}({', '.join(arguments)}){outputs}"
