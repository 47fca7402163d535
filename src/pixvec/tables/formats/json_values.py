"""Values of JSON -> Arrow types that hold them all, and values that fit these types.

A type is settled over every value there is. Where values disagree, or no type holds them without loss, it is text:
strings as they are, and the JSON of all else.
"""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

MAX_FIELDS: Final = 1_000
"""An object with more keys than this is a dictionary by whatever they are, and no record."""
MAX_DEPTH: Final = 20
_EXACT_FLOAT: Final = 1 << 53
_LONG: Final = 1 << 63

_SCALARS: Final = {
    frozenset[str](): pa.null(),
    frozenset(["bool"]): pa.bool_(),
    frozenset(["int"]): pa.int64(),
    frozenset(["long"]): pa.int64(),
    frozenset(["int", "long"]): pa.int64(),
    frozenset(["float"]): pa.float64(),
    frozenset(["int", "float"]): pa.float64(),
}


class Shape:
    """What the values of one place look like, all together; a place is a key, or what a list holds."""

    def __init__(self, depth: int = 0) -> None:
        self.fields: dict[str, Shape] = {}
        self._depth = depth
        self._kinds: set[str] = set()
        self._item: Shape | None = None

    def add(self, value: Any) -> None:
        """Look at one more value."""
        if value is None:
            return
        self._kinds.add(_kind(value))
        if isinstance(value, list | dict) and self._depth == MAX_DEPTH:
            self._kinds.add("deep")
        elif isinstance(value, list):
            self._item = self._item or Shape(self._depth + 1)
            for item in value:
                self._item.add(item)
        elif isinstance(value, dict) and len(self.fields) <= MAX_FIELDS:
            self.add_fields(value)

    def add_fields(self, record: dict[str, Any]) -> None:
        """Look at the values of one more object."""
        for key, value in record.items():
            if key not in self.fields:
                self.fields[key] = Shape(self._depth + 1)
            self.fields[key].add(value)

    @property
    def type(self) -> pa.DataType:
        """The type that holds all values."""
        if self._kinds == {"list"} and self._item:
            return pa.list_(self._item.type)
        if self._kinds == {"dict"} and 0 < len(self.fields) <= MAX_FIELDS:
            return pa.struct([(key, shape.type) for key, shape in self.fields.items()])
        return _SCALARS.get(frozenset(self._kinds), pa.string())


def fitted(value: Any, type_: pa.DataType) -> Any:
    """Turn a value of JSON into one that Arrow takes for a type that was settled."""
    if value is None:
        return None
    if pa.types.is_string(type_):
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if pa.types.is_list(type_):
        return [fitted(item, type_.value_type) for item in value]
    if pa.types.is_struct(type_):
        return {field.name: fitted(value.get(field.name), field.type) for field in type_}
    return value


def _kind(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int):
        return type(value).__name__
    if -_EXACT_FLOAT <= value <= _EXACT_FLOAT:
        return "int"
    return "long" if -_LONG <= value < _LONG else "huge"
