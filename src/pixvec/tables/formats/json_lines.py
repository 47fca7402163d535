"""JSON Lines in and out: one object a row, and an object that is only passed on keeps its very text.

Types are settled over all rows before the first is read, so that the last one may say something new.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress, islice
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.tables.cell_text import cell_texts, is_beyond_python, is_nested, json_text, python_cells
from pixvec.tables.chunk import Chunk, TableReader, TableWriter, check_n_columns, wanted_indices
from pixvec.tables.files import TableFile, TextFile, create_text
from pixvec.tables.folder import FolderReader
from pixvec.tables.formats.json_values import Shape, fitted
from pixvec.tables.options import ReadOptions

MAX_LINE_CHARS: Final = 64 << 20
_MEMBERS: Final = json.JSONDecoder(parse_int=str)  # numbers of any length: they are only passed over
_WHITE_SPACE: Final = " \t\r\n"
_SURROGATE: Final = re.compile(r"\\ud[89a-f]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class JsonChunk(Chunk):
    """Rows of a JSON Lines file, and the lines that they were written in."""

    lines: list[str]

    def head(self, n_rows: int) -> Self:
        """Keep the first rows only."""
        return replace(super(JsonChunk, self).head(n_rows), lines=self.lines[:n_rows])

    def filtered(self, mask: NDArray[np.bool_]) -> Self:
        """Keep the rows where the mask, (n,), is set."""
        return replace(super(JsonChunk, self).filtered(mask), lines=list(compress(self.lines, mask)))

    def widened(self, table: pa.Table, keys: Mapping[str, str | None]) -> Self:
        """Add the keys to each object, and a line break to the last one of a file."""
        members = ", ".join(f"{json_text(key)}: {json_text(value)}" for key, value in keys.items())
        lines = [spliced(line if line.endswith("\n") else f"{line}\n", members) for line in self.lines]
        return replace(super(JsonChunk, self).widened(table, keys), lines=lines)


class JsonReader:
    """A JSON Lines file. Blank lines are no rows.

    Parameters
    ----------
    shape
        What its objects look like, together with those of other files that are one table with it.
    """

    def __init__(self, file: TableFile, options: ReadOptions, shape: Shape) -> None:
        self.text = TextFile.open(file, options.encoding)
        self.n_rows = 0
        self._shape = shape
        for number, line in self._lines():
            record = self._record(number, line)
            check_n_columns(file.path, len(record))
            shape.add_fields(record)
            check_n_columns(file.path, len(shape.fields))
            self.n_rows += 1

    @cached_property
    def schema(self) -> pa.Schema:
        """The keys, and the types that hold all their values."""
        return pa.schema([(key, values.type) for key, values in self._shape.fields.items()])

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        schema = pa.schema([self.schema.field(index) for index in wanted_indices(self.schema, columns)])
        lines = self._lines()
        while numbered := list(islice(lines, n_rows)):
            records = [self._record(number, line) for number, line in numbered]
            yield JsonChunk(self._table(records, schema), [line for _, line in numbered])

    def _table(self, records: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
        try:
            present = frozenset[str]().union(*records)
            columns = [pa.nulls(len(records)), *(_column(records, field, present) for field in schema)]
        except (pa.ArrowException, TypeError, AttributeError) as error:
            raise UsageError(f"{self.text.file.path} changed while it was read") from error
        # Without columns of their own, rows are counted by one that is taken away.
        return pa.Table.from_arrays(columns, ["", *schema.names]).select(range(1, len(columns)))

    def _lines(self) -> Iterator[tuple[int, str]]:
        """Read the lines that hold something, with their numbers."""
        with self.text.reading(newline="\n") as text:
            number = 0
            while line := text.readline(MAX_LINE_CHARS):
                number += 1
                if len(line) == MAX_LINE_CHARS:
                    raise self.text.error(number, f"longer than {MAX_LINE_CHARS:,} characters; is it JSON Lines?")
                if line.strip(_WHITE_SPACE):
                    yield number, line

    def _record(self, number: int, line: str) -> dict[str, Any]:
        try:
            record = _parsed(line)
            if _SURROGATE.search(line):  # half a pair is text for Python's reader, and not for Arrow
                record = json.loads(json.dumps(record, ensure_ascii=False).encode(errors="replace"))
        except (ValueError, RecursionError) as error:
            raise self.text.error(number, f"no JSON: {_reason(error)}") from error
        if not isinstance(record, dict):
            raise self.text.error(number, f"an object was expected, and this is a {type(record).__name__}")
        return record


class JsonWriter(TableWriter):
    """A JSON Lines file that is being written; lines that come from JSON Lines get more members at their end."""

    keeps_metadata = False
    repeats_names = False

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        super().__init__(file, source, results, dropped=dropped)
        self._dropped = frozenset(dropped).intersection(source.schema.names)
        like = source.first if isinstance(source, FolderReader) else source
        self._file = create_text(file, like=like.text if isinstance(like, JsonReader) else None)

    def _append(self, chunk: Chunk, results: pa.Table) -> None:
        if isinstance(chunk, JsonChunk):
            lines = [_without(line, self._dropped) for line in chunk.lines] if self._dropped else chunk.lines
        else:
            lines = [f"{{{members}}}\n" for members in _rows_of_members(chunk.table.select(self._kept))]
        added = _rows_of_members(results) if results.num_columns else [""] * len(lines)
        for line, members in zip(lines, added, strict=True):
            self._file.write(spliced(line, members))

    def _finish(self) -> None:
        self._file.close()


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        raise
    except ValueError:  # a whole number of more digits than Python reads
        return json.loads(line, parse_int=_number)


def _number(digits: str) -> int | str:
    return digits if len(digits) > sys.get_int_max_str_digits() else int(digits)


def _reason(error: Exception) -> str:
    return f"{error.msg} (character {error.pos + 1})" if isinstance(error, json.JSONDecodeError) else str(error)


def read_json_files(files: Sequence[TableFile], options: ReadOptions) -> list[JsonReader]:
    """Open files that are one table: types are settled over all of them."""
    shape = Shape()
    return [JsonReader(file, options, shape) for file in files]


def spliced(line: str, members: str) -> str:
    """Add members at the end of the object that a line holds."""
    head, brace, tail = line.rpartition("}")
    body = head.rstrip(_WHITE_SPACE)
    comma = ", " if members and not body.endswith("{") else ""
    return f"{body}{comma}{members}{head[len(body) :]}{brace}{tail}"


def _column(records: Sequence[dict[str, Any]], field: pa.Field, present: Collection[str]) -> pa.Array:
    """Gather the values of a key; most rows of a table with thousands of keys may have none of them."""
    if field.name not in present:
        return pa.nulls(len(records), field.type)
    return pa.array([fitted(record.get(field.name), field.type) for record in records], field.type)


def _without(line: str, names: Collection[str]) -> str:
    """Take members out of the object that a line holds; the others stay as they are written."""
    start, stop = line.index("{") + 1, line.rindex("}")
    members = [text for name, text in _members(line, start, stop) if name not in names]
    return f"{line[:start]}{','.join(members)}{line[stop:]}"


def _members(line: str, start: int, stop: int) -> Iterator[tuple[str, str]]:
    """Cut the members of an object apart: each with its name, and as it is written, white space included."""
    while line[start:stop].strip(_WHITE_SPACE):
        name, end = _value(line, start)
        _, end = _value(line, line.index(":", end) + 1)
        end = _past_white_space(line, end)
        yield name, line[start:end]
        start = end + 1


def _value(line: str, start: int) -> tuple[Any, int]:
    return _MEMBERS.raw_decode(line, _past_white_space(line, start))


def _past_white_space(line: str, start: int) -> int:
    while line[start] in _WHITE_SPACE:
        start += 1
    return start


def _rows_of_members(table: pa.Table) -> list[str]:
    """Write the cells of each row as the members of an object, without the braces."""
    names = [json.dumps(name, ensure_ascii=False) for name in table.column_names]
    columns = map(_json_texts, table.columns)
    named = [[f"{name}: {text}" for text in texts] for name, texts in zip(names, columns, strict=True)]
    return [", ".join(members) for members in zip(*named, strict=True)] if named else [""] * table.num_rows


def _json_texts(column: pa.ChunkedArray) -> list[str]:
    if is_nested(column.type):
        return [text or "null" for text in cell_texts(column).to_pylist()]
    cells = cell_texts(column) if is_beyond_python(column.type) else column
    return [json_text(cell) for cell in python_cells(cells)]
