"""Text columns -> types that lose nothing: each cell, typed, turns back into the same text."""

from __future__ import annotations

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pixvec.tables.chunk import TableReader

_CHUNK_ROWS: Final = 8_192
_CANDIDATES: Final = (
    pa.int64(),
    pa.float64(),
    pa.bool_(),
    pa.date32(),
    *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")),
)


def infer_schema(text: TableReader) -> pa.Schema:
    """Find the type of each column of text over all rows; empty cells say nothing."""
    candidates = [list(_CANDIDATES) for _ in text.schema]
    has_cells = [False for _ in text.schema]
    for chunk in text.chunks(_CHUNK_ROWS):
        for index, column in enumerate(chunk.table.columns):
            cells = column.filter(pc.not_equal(column, ""))
            candidates[index] = [type_ for type_ in candidates[index] if _turns_back(cells, type_)]
            has_cells[index] |= len(cells) > 0
    fields = zip(text.schema, candidates, has_cells, strict=True)
    return pa.schema([field.with_type(types[0]) if types and is_used else field for field, types, is_used in fields])


def typed(cells: pa.Array, type_: pa.DataType) -> pa.Array:
    """Read a column of text as a type that was found for it; an empty cell is null."""
    return cells if cells.type == type_ else pc.cast(pc.if_else(pc.equal(cells, ""), None, cells), type_)


def _turns_back(cells: pa.ChunkedArray, type_: pa.DataType) -> bool:
    try:
        return bool(pc.cast(pc.cast(cells, type_), cells.type).equals(cells))
    except pa.ArrowInvalid:
        return False
