"""Which column of a table holds vectors; and these vectors as one array, with what they were made with.

Vectors are a column of lists of floating-point numbers, or in formats that hold nothing but text, such lists in JSON.
Reads tables of every kind through their readers, and must not know what the vectors are for.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.formatting.names import listed, shown, unknown
from pixvec.run.output import read_facts
from pixvec.tables import Frame, TableReader, keeps_metadata, open_frame, open_table
from pixvec.tables.columns import open_column
from pixvec.tables.folder import FolderReader
from pixvec.tables.result_columns import checked_facts, read_provenance
from pixvec.values import Vectors

CHUNK_ROWS: Final = 4_096
USUAL_NAMES: Final = frozenset({"embedding", "embeddings", "vector", "vectors"})
N_SAMPLED_CELLS: Final = 20
_MAX_SAMPLED_CHUNKS: Final = 100
"""A column that is nearly always empty must not cost a look at the whole of a large table."""
_HOW_TO_NAME = "with `vectors`"


@dataclass(frozen=True, slots=True)
class VectorColumn:
    """The vectors of a table.

    Parameters
    ----------
    name
        The column they are in.
    vectors
        (N, D) float32, NaN where a row has none.
    provenance
        What they were made with; None where nothing says so.
    """

    name: str
    vectors: Vectors
    provenance: dict[str, Any] | None


def open_rows(table: object) -> tuple[TableReader, Path | None]:
    """Open a table file or a table in memory; give the file's path too.

    Columns of Python objects become Arrow's; one whose cells have no common type is left out.

    Raises
    ------
    UsageError
        When it is no table.
    """
    if isinstance(table, str | os.PathLike):
        return open_table(table), Path(table)
    frame = open_frame(table)
    return (frame if isinstance(table, pa.Table) else open_frame(_as_arrow(frame))), None


def take_rows(table: TableReader, rows: NDArray[np.int64], *, columns: Collection[str] | None = None) -> pa.Table:
    """Read some rows, in the order of their numbers in `rows`, (n,); of all columns or some."""
    parts, places = [], []
    start = 0
    for chunk in table.chunks(CHUNK_ROWS, columns=columns):
        here = np.flatnonzero((rows >= start) & (rows < start + chunk.table.num_rows))
        parts.append(chunk.table.take(rows[here] - start))
        places.extend(here.tolist())
        start += chunk.table.num_rows
        if len(places) == len(rows):
            break
    return pa.concat_tables(parts).take(np.argsort(places)) if parts else table.schema.empty_table()


def find_vector_column(table: TableReader, name: str | None = None) -> str:
    """Find the column of vectors: `name` if it is given, else the one that holds lists of floating-point numbers.

    Of several, it is the one that is called as such a column usually is, else the one whose type gives all its lists
    one length, else the one that says what its vectors were made with.

    Raises
    ------
    UsageError
        If there is no such column, or more than one, or its vectors are of several models.
    """
    found = _find(table) if name is None else name
    n_found = table.schema.names.count(found)
    if n_found == 0:
        raise UsageError(unknown("column", found, table.schema.names))
    if n_found > 1:
        raise UsageError(f"{n_found} columns are called {found!r}: rename all but the one with the vectors")
    if found not in _vector_columns(table, [found]):
        type_ = table.schema.field(found).type
        raise UsageError(f"column {found!r} holds no vectors ({type_}): name another {_HOW_TO_NAME}")
    check_one_space(table, found)
    return found


def read_vector_column(table: TableReader, name: str, *, path: Path | None) -> VectorColumn:
    """Read the vectors of a column.

    Parameters
    ----------
    table
        What to read.
    name
        The column, as `find_vector_column` found it.
    path
        The file that the table is in: for a format without metadata, one beside it says what the vectors were made
        with.

    Raises
    ------
    UsageError
        When a vector has another length than the first.
    """
    chunks = vector_chunks(table, name)
    if table.n_rows is None:
        vectors = np.concatenate(list(chunks) or [np.empty((0, 1), np.float32)])
    else:
        vectors = _filled(chunks, table.n_rows)
    return VectorColumn(name, vectors, vector_provenance(table, name, path=path))


def vector_chunks(table: TableReader, name: str) -> Iterator[Vectors]:
    """Read the vectors of a column some at a time: (n, D) float32, NaN where a row has none; D is 1 where none has.

    Raises
    ------
    UsageError
        When a vector has another length than the first.
    """
    dim = _dim(table, name)
    n_rows = 0
    for lists in _list_chunks(table, name):
        yield _vectors(lists, dim, name=name, first_row=n_rows)
        n_rows += len(lists)


def vector_provenance(table: TableReader, name: str, *, path: Path | None) -> dict[str, Any] | None:
    """Read what the vectors of a column were made with, of several files what all say; None where nothing says so."""
    said = _facts_by_file(table, name).values()
    known = [facts for facts in said if facts is not None]
    if not known or len(known) < len(said):
        return provenance_beside(path).get(name)
    return {fact: value for fact, value in known[0].items() if all(facts.get(fact) == value for facts in known)}


def check_one_space(table: TableReader, name: str) -> None:
    """Refuse a column whose files hold vectors of several models, which have nothing to say to each other.

    Raises
    ------
    UsageError
        When two of the files say so.
    """
    models = {}
    for file, said in _facts_by_file(table, name).items():
        facts = said or {}
        if weights := facts.get("weights_sha256"):
            models[weights] = f"{shown(facts.get('model', '?'))} in {file}"
    if len(models) > 1:
        raise UsageError(f"the vectors of {name!r} are of several models, {' and '.join(models.values())}")


def _facts_by_file(table: TableReader, name: str) -> dict[str, dict[str, Any] | None]:
    """Read what a table's files that have a column say of it, within or beside them, by the files' names."""
    files = table.files if isinstance(table, FolderReader) else {Path(): table}
    return {
        str(path): read_provenance(reader.schema, name) or provenance_beside(path).get(name)
        for path, reader in files.items()
        if reader.schema.get_all_field_indices(name)
    }


def provenance_beside(path: Path | None) -> dict[str, dict[str, Any]]:
    """Read what a file beside a table says that its columns of vectors were made with, by their names.

    Nothing where there is no such file, or it is another table's, or the table's format says it itself.
    """
    if path is None or not path.is_file() or keeps_metadata(path):
        return {}
    facts = read_facts(path, "") or {}
    columns = facts.get("columns", {facts["output_column"]: facts} if "output_column" in facts else {})
    checked = {name: checked_facts(said) for name, said in columns.items()} if isinstance(columns, dict) else {}
    return {name: said for name, said in checked.items() if said is not None}


def _as_arrow(frame: Frame) -> pa.Table:
    names = [name for name, n_found in Counter(frame.schema.names).items() if n_found == 1]
    columns = {name: _arrow_column(open_column(frame.column(name)).values) for name in names}
    present = {name: column for name, column in columns.items() if column is not None}
    fields = [pa.field(name, it.type, metadata=frame.schema.field(name).metadata) for name, it in present.items()]
    return pa.table(present, schema=pa.schema(fields))


def _arrow_column(cells: list[object]) -> pa.Array | None:
    try:
        return pa.array(cells)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _find(table: TableReader) -> str:
    candidates = _vector_columns(table, table.schema.names)
    usual = [name for name in candidates if name.lower() in USUAL_NAMES]
    fixed = [name for name in candidates if pa.types.is_fixed_size_list(table.schema.field(name).type)]
    known = [name for name in candidates if vector_provenance(table, name, path=None)]
    for choice in (candidates, usual, fixed, known):
        if len(choice) == 1:
            return choice[0]
    if candidates:
        several = next(filter(None, (known, fixed, candidates)))
        raise UsageError(f"several columns hold vectors: {listed(several)}; choose one {_HOW_TO_NAME}")
    raise UsageError(
        f"none of the columns {listed(table.schema.names)} holds vectors; make one with `pixvec embed`, "
        f"or name one {_HOW_TO_NAME}"
    )


def _vector_columns(table: TableReader, names: Iterable[str]) -> list[str]:
    """Pick the columns of vectors among those whose names do not repeat."""
    counts = Counter(table.schema.names)
    types = {name: table.schema.field(name).type for name in names if counts[name] == 1}
    texts = {*_json_columns(table, [name for name, type_ in types.items() if _is_text(type_)])}
    return [name for name, type_ in types.items() if name in texts or _is_floats(type_)]


def _json_columns(table: TableReader, names: list[str]) -> list[str]:
    """Pick the columns of text whose first cells are lists of numbers in JSON."""
    samples: dict[str, list[str]] = {name: [] for name in names}
    chunks = table.chunks(N_SAMPLED_CELLS, columns=names) if names else iter(())
    for chunk in islice(chunks, _MAX_SAMPLED_CHUNKS):
        for name, sample in samples.items():
            sample.extend(filter(None, chunk.table.column(name).to_pylist()))
        if all(len(sample) >= N_SAMPLED_CELLS for sample in samples.values()):
            break
    return [name for name, sample in samples.items() if sample and all(map(parse_vector, sample[:N_SAMPLED_CELLS]))]


def _is_floats(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_fixed_size_list, pa.types.is_list, pa.types.is_large_list)
    return any(is_kind(type_) for is_kind in kinds) and bool(pa.types.is_floating(type_.value_type))


def _is_text(type_: pa.DataType) -> bool:
    return any(is_kind(type_) for is_kind in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _list_chunks(table: TableReader, name: str) -> Iterator[pa.ChunkedArray]:
    for chunk in table.chunks(CHUNK_ROWS, columns=[name]):
        column = chunk.table.column(name)
        yield _parsed(column) if _is_text(column.type) or pa.types.is_null(column.type) else column


def _parsed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array([parse_vector(cell) for cell in column.to_pylist()], pa.list_(pa.float64()))])


def parse_vector(cell: str | None) -> list[float] | None:
    """Read a list of numbers in JSON; None for whatever else a cell says."""
    if not cell or not cell.lstrip().startswith("["):
        return None
    try:
        numbers = json.loads(cell, parse_int=float)  # whole numbers of any size
    except (ValueError, RecursionError):
        return None
    return numbers if all(isinstance(number, float) for number in numbers) else None


def _dim(table: TableReader, name: str) -> int:
    type_ = table.schema.field(name).type
    if pa.types.is_fixed_size_list(type_):
        return max(1, int(type_.list_size))
    return next((int(longest) for lists in _list_chunks(table, name) if (longest := _longest(lists))), 1)


def _longest(lists: pa.ChunkedArray) -> int:
    """Give the length of the first list that is not empty; 0 where there is none."""
    lengths = _lengths(lists)
    return int(lengths[lengths > 0][0]) if lengths.any() else 0


def _lengths(lists: pa.ChunkedArray) -> NDArray[np.int64]:
    """Count the numbers of each list: none where it is null."""
    lengths: NDArray[np.int64] = pc.fill_null(pc.list_value_length(lists), 0).to_numpy().astype(np.int64)
    return lengths


def _vectors(lists: pa.ChunkedArray, dim: int, *, name: str, first_row: int) -> Vectors:
    lengths = _lengths(lists)
    wrong = np.flatnonzero((lengths > 0) & (lengths != dim))
    if len(wrong):
        raise UsageError(
            f"column {name!r}: row {first_row + wrong[0]:,} (counted from 0) has {lengths[wrong[0]]:,} numbers, "
            f"and the first vector {dim:,}"
        )
    vectors = np.full((len(lists), dim), np.nan, np.float32)  # (n, D)
    numbers = pc.cast(pc.list_flatten(lists), pa.float32(), safe=False)
    vectors[lengths > 0] = numbers.to_numpy(zero_copy_only=False).reshape(-1, dim)
    return vectors


def _reserved(n_rows: int, dim: int) -> Vectors:
    try:
        return np.empty((n_rows, dim), np.float32)
    except (MemoryError, ValueError) as error:  # a ValueError is of more than a process can address
        raise UsageError(f"{n_rows:,} vectors of {dim:,} numbers do not fit into memory") from error


def _filled(chunks: Iterator[Vectors], n_rows: int) -> Vectors:
    """Put chunks into one array, which is there once, not twice."""
    vectors = np.empty((0, 1), np.float32)
    start = 0
    for chunk in chunks:
        if not start:
            vectors = _reserved(n_rows, chunk.shape[1])  # (N, D)
        vectors[start : start + len(chunk)] = chunk
        start += len(chunk)
    return vectors
