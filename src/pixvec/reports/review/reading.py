"""A table's file -> its rows, some at a time, as a review needs them: cell, code, sentence, and what was embedded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa
import pyarrow.compute as pc

from pixvec.errors import UsageError
from pixvec.fetch import looks_like_url
from pixvec.files.untrusted import parse_json
from pixvec.similarity.vectors import CHUNK_ROWS, vector_provenance
from pixvec.tables import ReadOptions, TableReader, find_embedded_column, open_table
from pixvec.tables.cell_text import is_text
from pixvec.tables.result_columns import result_names

_NUMBERS: Final = ("width", "height", "frames", "n_bytes")
_WORDS: Final = ("sha256", "format", "final_url")
_HOW_TO_NAME: Final = "with `vectors`"


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows.

    Parameters
    ----------
    start
        The number of the first.
    cells
        What the column of URLs holds; None for each row where that column is not known.
    codes, details
        None where there is a vector.
    images
        The facts of ``_image``, each by name, None where nothing was decoded; None where the table has no such column.
    """

    start: int
    cells: list[Any]
    codes: list[str | None]
    details: list[str | None]
    images: dict[str, list[Any]] | None


@dataclass(frozen=True, slots=True)
class ReviewedTable:
    """A table that pixvec made.

    Parameters
    ----------
    column
        The column of URLs; None where it cannot be told.
    vectors
        The column of vectors.
    provenance
        What these were made with; None where nothing says so.
    """

    reader: TableReader
    path: Path
    column: str | None
    vectors: str
    provenance: dict[str, Any] | None

    @classmethod
    def open(cls, path: Path, options: ReadOptions, *, column: str | None, vectors: str | None) -> Self:
        """Find what is what.

        Raises
        ------
        UsageError
            When it is no table, pixvec did not make it, or a column that was named is not there.
        """
        reader = open_table(path, options)
        found = _find_vectors(reader.schema.names, vectors)
        provenance = vector_provenance(reader, found, path=path)
        urls = find_embedded_column(reader, column, provenance or {}, looks_like_url=looks_like_url)
        return cls(reader, path, urls, found, provenance)

    def rows(self) -> Iterator[Rows]:
        """Read all rows, with bounded memory."""
        _, error, detail, image = result_names(self.vectors)
        images = image if self.reader.schema.names.count(image) == 1 else None
        names = [name for name in (self.column, error, detail, images) if name is not None]
        start = 0
        for chunk in self.reader.chunks(CHUNK_ROWS, columns=names):
            table, n_rows = chunk.table, chunk.table.num_rows
            yield Rows(
                start,
                table.column(self.column).to_pylist() if self.column else [None] * n_rows,
                [_text(cell) for cell in table.column(error).to_pylist()],
                [_text(cell) for cell in table.column(detail).to_pylist()],
                _facts(table.column(images)) if images else None,
            )
            start += n_rows


def _find_vectors(names: list[str], wanted: str | None) -> str:
    """Find the column that has its reasons beside it: unlike the vectors, these are there when every row failed."""
    found = [name for name in dict.fromkeys(names) if set(result_names(name)[:3]) <= set(names)]
    if wanted is not None:
        found = [name for name in found if name == wanted]
    if not found:
        named = "column of vectors" if wanted is None else f"column {wanted!r}"
        raise UsageError(f"there is no {named} with its _error and _detail beside it: review a table that pixvec wrote")
    if len(found) > 1:
        raise UsageError(f"several columns hold vectors: {', '.join(map(repr, found))}; choose one {_HOW_TO_NAME}")
    if any(names.count(name) > 1 for name in result_names(found[0])[:3]):
        raise UsageError(f"several columns are called {found[0]!r}, or as its reasons are: rename all but one")
    return found[0]


def _text(cell: object) -> str | None:
    return str(cell) if cell not in (None, "") else None


def _facts(column: pa.ChunkedArray) -> dict[str, list[Any]] | None:
    """Read what was embedded from structs, or from JSON, which stands for them where a format holds only text."""
    if is_text(column.type):
        said = [_from_json(cell) for cell in column.to_pylist()]
        return {name: [_checked(name, row.get(name)) for row in said] for name in (*_WORDS, *_NUMBERS)}
    if pa.types.is_struct(column.type) and {*_WORDS, *_NUMBERS} <= {field.name for field in column.type}:
        return {
            name: [_checked(name, value) for value in pc.struct_field(column, name).to_pylist()]
            for name in (*_WORDS, *_NUMBERS)
        }
    return None


def _from_json(cell: str | None) -> dict[str, Any]:
    try:
        said = parse_json(cell or "null")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _checked(name: str, value: Any) -> Any:
    """Take a value of the type that it should have; None for any other. Hashes become text."""
    if isinstance(value, bytes):
        return value.hex() if name == "sha256" else None
    return value if type(value) is (int if name in _NUMBERS else str) else None
