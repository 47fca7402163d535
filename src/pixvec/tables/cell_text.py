"""An Arrow column in, the text of its cells out, for formats that hold nothing but text.

Lists and structs become JSON, bytes become hex, a null stays null; text stays text; the rest reads as Arrow prints it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from pixvec.errors import UsageError

TEXT: Final = pa.large_string()  # a chunk of vectors as text can pass the 2 GiB that `string` holds


def is_text(type_: pa.DataType) -> bool:
    """Tell whether a column of this type holds text, dictionaries of text included."""
    return _value_type(type_) in {pa.string(), pa.large_string(), pa.string_view()}


def cell_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Write each cell as text.

    Raises
    ------
    UsageError
        When there is none for a cell: its time zone is unknown.
    """
    try:
        return _cell_texts(column)
    except pa.ArrowException as error:
        raise UsageError(f"a cell of type {column.type} cannot be written as text: {error}") from error


def python_cells(column: pa.ChunkedArray) -> list[Any]:
    """Give each cell as Python's object; one with a time that Python has no word for, with what Arrow prints for it.

    Raises
    ------
    UsageError
        When there is neither.
    """
    try:
        return cast("list[Any]", column.to_pylist())
    except (OverflowError, ValueError):
        return [_python_cell(column.slice(row, 1)) for row in range(len(column))]


def _python_cell(column: pa.ChunkedArray) -> Any:
    try:
        return column.to_pylist()[0]
    except (OverflowError, ValueError):
        type_ = _with_text(column.type, pa.types.is_temporal)
    try:
        return pc.cast(column, type_).to_pylist()[0]
    except pa.ArrowException as error:
        raise UsageError(f"a cell of type {column.type} cannot be written as text: {error}") from error


def _cell_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if _is_numbers(column):
        return _number_texts(column)
    if _is_printed(column.type):
        return pc.cast(column, TEXT)
    type_ = _with_text(column.type, is_beyond_python)
    printed = column if type_ == column.type else pc.cast(column, type_)
    return pa.chunked_array([pa.array(map(_text, python_cells(printed)), TEXT)])


def is_beyond_python(type_: pa.DataType) -> bool:
    """Tell whether Python's own objects, without pandas, lose some of a column's times: they have no nanoseconds."""
    return bool(pa.types.is_duration(type_)) or getattr(type_, "unit", None) == "ns"


def _with_text(type_: pa.DataType, is_beyond: Callable[[pa.DataType], bool]) -> pa.DataType:
    """Put text in the place of such times, also within lists and structs."""
    with_text = partial(_with_text, is_beyond=is_beyond)
    if is_beyond(type_):
        return pa.string()
    if pa.types.is_struct(type_):
        return pa.struct([field.with_type(with_text(field.type)) for field in type_])
    if pa.types.is_map(type_):
        return pa.map_(type_.key_type, with_text(type_.item_type))
    if pa.types.is_fixed_size_list(type_):
        return pa.list_(with_text(type_.value_type), type_.list_size)
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return pa.large_list(with_text(type_.value_type))
    return type_


def _is_printed(type_: pa.DataType) -> bool:
    kinds = (is_text, pa.types.is_primitive, pa.types.is_decimal, pa.types.is_null)
    is_printed = any(is_kind(_value_type(type_)) for is_kind in kinds)
    return is_printed and not pa.types.is_interval(type_)


def _value_type(type_: pa.DataType) -> pa.DataType:
    is_coded = pa.types.is_dictionary(type_) or pa.types.is_run_end_encoded(type_)
    return type_.value_type if is_coded else type_


def is_nested(type_: pa.DataType) -> bool:
    """Tell whether a column of this type becomes JSON."""
    type_ = _value_type(type_)
    return bool(pa.types.is_nested(type_)) and not pa.types.is_union(type_)


def _is_numbers(column: pa.ChunkedArray) -> bool:
    """Tell whether a column holds lists of float32 alone, as vectors and the weights of links do."""
    kinds = (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)
    if not any(is_kind(column.type) for is_kind in kinds) or column.type.value_type != pa.float32():
        return False
    finite = pc.all(pc.is_finite(pc.list_flatten(column)), skip_nulls=False, min_count=0)
    return finite.as_py() is True  # JSON has no word for the others


def _number_texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # Arrow prints a float32 with the fewest digits that read back as the same number.
    numbers = pc.cast(column, pa.list_(TEXT))
    return pc.binary_join_element_wise(_scalar("["), pc.binary_join(numbers, _scalar(",")), _scalar("]"), _scalar(""))


def _text(cell: Any) -> str | None:
    if cell is None:
        return None
    return json_text(cell) if isinstance(cell, list | dict | tuple) else plain(cell)


def json_text(cell: Any) -> str:
    """Write a cell as JSON, which has no word for numbers that are not finite."""
    try:
        return json.dumps(cell, default=plain, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(cell), default=plain, ensure_ascii=False)


def _finite(value: Any) -> Any:
    """Put null in the place of numbers that are not finite."""
    if isinstance(value, dict):
        return {key: _finite(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def plain(value: Any) -> str:
    """Write what neither JSON nor text has a word for: bytes in hex, the rest as Python prints it."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _scalar(text: str) -> pa.Scalar:
    return pa.scalar(text, TEXT)


def recast(column: pa.ChunkedArray, type_: pa.DataType) -> pa.ChunkedArray:
    """Turn cells into another type that says the same: into text, or from what JSON has for bytes and fixed lists."""
    if column.type == type_:
        return column
    if is_text(type_):
        return cell_texts(column).cast(type_)
    return pa.chunked_array([pa.array([_from_json(cell, type_) for cell in column.to_pylist()], type_)])


def _from_json(value: Any, type_: pa.DataType) -> Any:
    if isinstance(value, dict):
        return {field.name: _from_json(value.get(field.name), field.type) for field in type_}
    is_hex = isinstance(value, str) and (pa.types.is_fixed_size_binary(type_) or pa.types.is_binary(type_))
    return bytes.fromhex(value) if is_hex else value
