"""A recipe as frozen values, each of which prints as the text it is read from.

A value knows its place in that text. Values that say the same are equal, wherever they were read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final, TypeAlias

PLAIN_NAME: Final = re.compile(r"[^\W\d]\w*")
"""A name that needs no quotes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A stretch of a recipe's text: offsets in characters, the end not included."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Placed:
    """A value with its place."""

    place: Place = field(default=Place(0, 0), compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Column(Placed):
    """One column: ``ds.name``."""

    dataset: str
    name: str

    def __str__(self) -> str:
        return (
            f"{self.dataset}.{self.name}" if PLAIN_NAME.fullmatch(self.name) else f"{self.dataset}[{_quote(self.name)}]"
        )


@dataclass(frozen=True, slots=True)
class Columns(Placed):
    """Some columns of a dataset, ``ds[["a", "b"]]``, or all but these: ``ds[!["a", "b"]]``."""

    dataset: str
    columns: tuple[Column, ...]
    excluded: bool = False

    def __str__(self) -> str:
        names = ", ".join(_quote(column.name) for column in self.columns)
        return f"{self.dataset}[{'!' if self.excluded else ''}[{names}]]"


@dataclass(frozen=True, slots=True)
class Dataset(Placed):
    """A whole dataset: ``ds``, or one that a step makes."""

    dataset: str

    def __str__(self) -> str:
        return self.dataset


@dataclass(frozen=True, slots=True)
class Model(Placed):
    """A model by its name: ``"churn-model"``."""

    name: str

    def __str__(self) -> str:
        return _quote(self.name)


Input: TypeAlias = Column | Columns | Dataset | Model
Output: TypeAlias = Column | Dataset
Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | Params | None"


@dataclass(frozen=True, slots=True)
class Param(Placed):
    """One parameter; its place is its name's."""

    name: str
    value: Value
    value_place: Place = field(default=Place(0, 0), compare=False, repr=False, kw_only=True)

    def __str__(self) -> str:
        return f"{_quote(self.name)}: {format_value(self.value)}"


@dataclass(frozen=True, slots=True)
class Params(Placed):
    """Parameters by name; also an object within a parameter."""

    members: tuple[Param, ...] = ()

    def __str__(self) -> str:
        return f"{{{', '.join(map(str, self.members))}}}"


@dataclass(frozen=True, slots=True)
class Call(Placed):
    """One use of a step, with its inputs, parameters and outputs; its place is the step's name."""

    step: str
    inputs: tuple[Input, ...] = ()
    params: Params = Params()
    outputs: tuple[Output, ...] = ()

    def __str__(self) -> str:
        arguments = [*self.inputs, self.params] if self.params.members else self.inputs
        outputs = f" -> ({', '.join(map(str, self.outputs))})" if self.outputs else ""
        return f"{self.step}({', '.join(map(str, arguments))}){outputs}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """Steps, one after another, and the text they were read from; ``str(recipe)`` prints them anew."""

    calls: tuple[Call, ...]
    text: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        return "".join(f"{call}\n" for call in self.calls)


def format_value(value: object) -> str:
    """Print the value of a parameter as JSON."""
    match value:
        case None | bool():
            return json.dumps(value)
        case str():
            return _quote(value)
        case tuple():
            return f"[{', '.join(map(format_value, value))}]"
        case _:
            return str(value)


def _quote(text: str) -> str:
    """Write a JSON string in which everything can be seen."""
    return '"' + "".join(c if c.isprintable() and c not in '"\\' else json.dumps(c)[1:-1] for c in text) + '"'
