"""Record batches as a file states them -> tables that are safe to read.

Arrow trusts the offsets, lengths, indices and text of a file: one wrong number there, and a read ends the process.
Every batch is therefore validated in full before anything else reads it, which takes 0.2 ms a megabyte.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pixvec.errors import UsageError
from pixvec.formatting.names import shown

_MAX_SCALES: Final = {32: 9, 64: 18, 128: 38, 256: 76}
"""The largest powers of ten in decimals, by their bits: Arrow looks others up beyond the end of its table."""


@contextmanager
def reporting_damage(path: Path, format: str) -> Iterator[None]:
    """Turn what is wrong with a file into one line that names it.

    Raises
    ------
    UsageError
        For whatever Arrow or the system says of it.
    """
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        what = " ".join(str(error).split())
        raise UsageError(f"{path} cannot be read as {format}: {what}") from error


def validated(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Validate each batch of a file, and give it as a table.

    Raises
    ------
    pa.ArrowInvalid
        When one is damaged: names the column and the row.
    """
    n_rows = 0
    checked: dict[int, pa.Array] = {}
    for batch in batches:
        batch.validate()
        for place, column in enumerate(batch.columns):
            try:
                _validate(column, checked, place)
            except pa.ArrowInvalid as error:
                name = shown(batch.schema.names[place])
                raise pa.ArrowInvalid(f"column {name} is damaged in {_where(column, n_rows)}: {error}") from None
        n_rows += batch.num_rows
        yield pa.Table.from_batches([batch])


def check_schema(schema: pa.Schema) -> None:
    """Check what Arrow does not check of a file's schema: that names are text, and no decimal's scale is too large.

    Raises
    ------
    pa.ArrowInvalid
        If they aren't, or one is.
    """
    for field in schema:
        _check_field(field)


def _check_field(field: pa.Field) -> None:
    type_ = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    try:
        name, _ = field.name, getattr(type_, "tz", None)
    except UnicodeDecodeError as error:
        raise pa.ArrowInvalid(f"the name of a column, or of a time zone, is not UTF-8: {error}") from None
    if pa.types.is_decimal(type_) and abs(type_.scale) > _MAX_SCALES[type_.bit_width]:
        raise pa.ArrowInvalid(f"column {shown(name)} is a decimal of scale {type_.scale:,}")
    for place in range(type_.num_fields):
        _check_field(type_.field(place))


def _validate(column: pa.Array, checked: dict[int, pa.Array], place: int) -> None:
    """Validate a column; a dictionary that it shares with the batch before is not read again.

    Any bytes are numbers and times. Validated in full, a date in milliseconds has to be midnight, and many are not.
    """
    if not pa.types.is_dictionary(column.type):
        column.validate(full=not pa.types.is_primitive(column.type))
    elif place in checked and _is_same(column.dictionary, checked[place]):
        _check_indices(column)
    else:
        column.validate(full=True)
        checked[place] = column.dictionary


def _is_same(one: pa.Array, other: pa.Array) -> bool:
    """Tell whether two arrays are the same memory."""
    buffers, others = one.buffers(), other.buffers()
    addresses, its = ([buffer and (buffer.address, buffer.size) for buffer in them] for them in (buffers, others))
    return addresses == its and (one.offset, len(one), one.type) == (other.offset, len(other), other.type)


def _check_indices(column: pa.DictionaryArray) -> None:
    column.indices.validate(full=True)
    ends = pc.min_max(column.indices)
    least, most = ends["min"].as_py(), ends["max"].as_py()
    if least is not None and not 0 <= least <= most < len(column.dictionary):
        raise pa.ArrowInvalid(f"an index of a dictionary of {len(column.dictionary):,} is {least} or {most}")


def _where(column: pa.Array, first_row: int) -> str:
    """Name the row that is damaged, or the rows among which it is, since of what is nested the whole is validated."""
    if pa.types.is_nested(column.type) or pa.types.is_dictionary(column.type):
        return f"rows {first_row:,} to {first_row + len(column) - 1:,} (counted from 0)"
    row = bisect_left(range(len(column)), True, key=lambda row: not _is_sound(column.slice(0, row + 1)))
    return f"row {first_row + row:,} (counted from 0)"


def _is_sound(column: pa.Array) -> bool:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True
