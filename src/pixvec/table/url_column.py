"""Which column of a table holds the URLs, where the caller doesn't say; and whether one holds texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Final

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.naming import unknown
from pixvec.table.cell_text import is_text
from pixvec.table.chunk import TableReader
from pixvec.table.pictures import COLUMN, PictureFolder

N_SAMPLED_CELLS: Final = 1_000
MIN_URL_SHARE: Final = 0.8
# A column that is nearly always empty must not cost a look at the whole of a large table.
MAX_SAMPLED_CHUNKS: Final = 100
USUAL_NAMES: Final = frozenset(
    {
        *("image_url", "image", "img_url", "img", "photo_url", "photo"),
        *("picture_url", "picture", "thumbnail", "src"),
    }
)


def find_url_column(table: TableReader, name: str | None = None, *, looks_like_url: Callable[[str], bool]) -> str:
    """Find the column of URLs: `name` if it is given, else the one whose first cells say so, else that of pictures.

    Raises
    ------
    UsageError
        If there is no such column, or more than one.
    """
    if name is None:
        found = COLUMN if isinstance(table, PictureFolder) else _find_by_cells(table, looks_like_url)
    else:
        found = name
    kind = _type_of(table, found)
    if not (_may_be_text(kind) or _may_be_pictures(kind)):
        raise UsageError(f"column {found!r} holds neither text nor pictures: name another with `column`")
    return found


def find_text_column(table: TableReader, name: str) -> str:
    """Check that a column holds texts.

    Raises
    ------
    UsageError
        If there is no such column, or more than one, or it holds something else.
    """
    if not _may_be_text(kind := _type_of(table, name)):
        raise UsageError(f"column {name!r} holds no text, but {kind}: name another with `texts`")
    return name


def _type_of(table: TableReader, name: str) -> pa.DataType:
    """Give the type of the one column that is called so."""
    n_found = table.schema.names.count(name)
    if n_found == 0:
        raise UsageError(unknown("column", name, table.schema.names))
    if n_found > 1:
        raise UsageError(f"{n_found} columns are called {name!r}: rename all but the one that is meant")
    return table.schema.field(name).type


def _find_by_cells(table: TableReader, looks_like_url: Callable[[str], bool]) -> str:
    text_names: list[str] = [field.name for field in table.schema if _may_be_text(field.type)]
    samples = _sample(table, text_names)
    # A table without cells still has its names.
    candidates = [
        name
        for name, sample in zip(text_names, samples, strict=True)
        if _are_urls(sample, looks_like_url) or (not any(samples) and name.lower() in USUAL_NAMES)
    ]
    usual = [name for name in candidates if name.lower() in USUAL_NAMES]
    for choice in (candidates, usual):
        if len(set(choice)) == 1:
            return choice[0]
    structs: list[str] = [field.name for field in table.schema if _is_picture_struct(field.type)]
    if not candidates and len(structs) == 1:
        return structs[0]
    if candidates:
        raise UsageError(f"several columns hold URLs: {_listed(candidates)}; choose one with `column`")
    if not table.schema.names:
        raise UsageError("the table has no columns")
    raise UsageError(f"none of the columns {_listed(table.schema.names)} holds URLs; name one with `column`")


def _sample(table: TableReader, names: list[str]) -> list[list[str]]:
    """Read the first cells that are not empty of each text column."""
    samples: list[list[str]] = [[] for _ in names]
    for chunk in islice(table.chunks(N_SAMPLED_CELLS, columns=names), MAX_SAMPLED_CHUNKS):
        text_columns = [column for column in chunk.table.columns if _may_be_text(column.type)]
        for sample, column in zip(samples, text_columns, strict=True):
            sample.extend(filter(None, column.to_pylist()))
        if all(len(sample) >= N_SAMPLED_CELLS for sample in samples):
            break
    return [sample[:N_SAMPLED_CELLS] for sample in samples]


def _may_be_text(type_: pa.DataType) -> bool:
    return is_text(type_) or type_ == pa.null()


def _may_be_pictures(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, _is_picture_struct)
    return any(is_kind(type_) for is_kind in kinds)


def _is_picture_struct(type_: pa.DataType) -> bool:
    """Tell whether this is how `datasets` writes pictures."""
    return bool(pa.types.is_struct(type_)) and {field.name for field in type_} == {"bytes", "path"}


def _are_urls(sample: list[str], looks_like_url: Callable[[str], bool]) -> bool:
    return bool(sample) and sum(map(looks_like_url, sample)) >= MIN_URL_SHARE * len(sample)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))
