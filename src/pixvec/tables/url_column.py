"""Which column of a table holds the URLs, where the caller doesn't say; and whether one holds texts."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, Final, TypeAlias

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.formatting.names import listed, shown, unknown
from pixvec.tables.cell_text import is_text
from pixvec.tables.chunk import TableReader
from pixvec.tables.images import COLUMN, ImageFolder

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

LooksLikeUrl: TypeAlias = Callable[[str], bool]
Samples: TypeAlias = list[tuple[str, list[str]]]
"""The name and first cells of each column of text."""

_LOGGER: Final = logging.getLogger("pixvec")


def find_url_column(table: TableReader, name: str | None = None, *, looks_like_url: LooksLikeUrl) -> str:
    """Find the column of URLs: `name` if it is given, else by names and first cells; the log says which was taken.

    Raises
    ------
    UsageError
        If there is no such column, or more than one, or the table's names look like its first row.
    """
    if name is None:
        found = COLUMN if isinstance(table, ImageFolder) else _find_by_cells(table, looks_like_url)
    else:
        found = name
        if name not in table.schema.names:
            _check_names(table.schema.names, looks_like_url)
    kind = _type_of(table, found)
    if _is_list_of_text(kind):
        raise UsageError(f"column {found!r} {_several(found)}; or name another column with `column`")
    if not (_may_be_text(kind) or _may_be_images(kind)):
        raise UsageError(f"column {found!r} holds neither text nor images: name another with `column`")
    return found


def find_embedded_column(
    table: TableReader, name: str | None, facts: Mapping[str, Any], *, looks_like_url: LooksLikeUrl
) -> str | None:
    """Find the column that was embedded: `name` if it is given, else by what the vectors were made with, or by cells.

    Returns
    -------
    str or None
        None where no name is given and no column is found.

    Raises
    ------
    UsageError
        If a name is given and there is no such column, or more than one.
    """
    stated = facts.get("column")
    if name is None and isinstance(stated, str) and table.schema.names.count(stated) == 1:
        return stated
    try:
        return find_url_column(table, name, looks_like_url=looks_like_url)
    except UsageError:
        if name is not None:
            raise
        return None


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


def holds_urls(name: str, n_urls: int, n_cells: int) -> bool:
    """Tell whether a column holds URLs: one URL is enough where the column has a usual name, else it takes 80 %.

    Parameters
    ----------
    n_urls, n_cells
        How many cells look like URLs, of those that are not empty.
    """
    return n_urls > 0 and (_is_usual(name) or n_urls >= MIN_URL_SHARE * n_cells)


def _type_of(table: TableReader, name: str) -> pa.DataType:
    """Give the type of the one column that is called so."""
    n_found = table.schema.names.count(name)
    if n_found == 0:
        raise UsageError(unknown("column", name, table.schema.names))
    if n_found > 1:
        raise UsageError(f"{n_found} columns are called {name!r}: rename all but the one that is meant")
    return table.schema.field(name).type


def _find_by_cells(table: TableReader, looks_like_url: LooksLikeUrl) -> str:
    samples = _sample(table)
    choice = _candidates(table, samples, looks_like_url)
    _check_names(choice or table.schema.names, looks_like_url, needs_scheme=not choice)
    if len(choice) > 1:
        raise UsageError(f"several columns hold URLs: {listed(choice)}; choose one with `column`")
    if choice:
        _tell(choice[0], samples, looks_like_url)
        return choice[0]
    if not table.schema.names:
        raise UsageError("the table has no columns")
    lists = [field.name for field in table.schema if _is_list_of_text(field.type)]
    hint = f"; {lists[0]!r} {_several(lists[0])}" if lists else ""
    raise UsageError(f"none of the columns {listed(table.schema.names)} holds URLs; name one with `column`{hint}")


def _candidates(table: TableReader, samples: Samples, looks_like_url: LooksLikeUrl) -> list[str]:
    """List the columns that may be meant: what a usual name says counts before cells, and URLs before images.

    One with a usual name and several URLs in a cell counts too, so that no other column is taken in its place.
    """
    is_empty = not any(sample for _, sample in samples)  # a table without cells still has its names
    urls = [name for name, sample in samples if holds_urls(name, sum(map(looks_like_url, sample)), len(sample))]
    usual = [field for field in table.schema if _is_usual(field.name)]
    several = {name for name, sample in samples if any("://" in cell for cell in sample)}
    kinds: tuple[list[str], ...] = (
        [name for name, _ in samples if _is_usual(name) and (is_empty or name in urls)],
        [
            field.name
            for field in usual
            if _may_be_images(field.type) or _is_list_of_text(field.type) or field.name in several
        ],
        urls,
        [field.name for field in table.schema if _is_image_struct(field.type)],
    )
    return list(dict.fromkeys(next(filter(None, kinds), [])))


def header_problem(names: Iterable[str], looks_like_url: LooksLikeUrl, *, needs_scheme: bool = True) -> str | None:
    """Say that a table's first row was probably taken for its names, as one of them is a URL; None where none is.

    A name such as ``price.usd/kg`` is a URL only to those who know that the column holds some, and need no scheme.
    """
    url = next((name for name in names if looks_like_url(name) and ("://" in name or not needs_scheme)), None)
    return url and (
        f"a column is called {shown(url)}: the first line of a CSV file without a header was probably read as its "
        "header; read it with `no_header=True`"
    )


def _check_names(names: Iterable[str], looks_like_url: LooksLikeUrl, *, needs_scheme: bool = True) -> None:
    if problem := header_problem(names, looks_like_url, needs_scheme=needs_scheme):
        raise UsageError(f"{problem}, or name the column with `column` if that is its name")


def _tell(found: str, samples: Samples, looks_like_url: LooksLikeUrl) -> None:
    """Log which column was taken, and which others one might have expected."""
    passed_over = [name for name, sample in samples if _is_usual(name) and not any(map(looks_like_url, sample))]
    others = f"; no URL is among the first cells of {listed(passed_over)}" if passed_over else ""
    _LOGGER.info("reading images from column %r%s", found, others)


def _sample(table: TableReader) -> Samples:
    """Read the first cells that are not empty of each text column, whose names may repeat."""
    samples: Samples = [(field.name, []) for field in table.schema if _may_be_text(field.type)]
    names = [name for name, _ in samples]
    for chunk in islice(table.chunks(N_SAMPLED_CELLS, columns=names), MAX_SAMPLED_CHUNKS):
        text_columns = [column for column in chunk.table.columns if _may_be_text(column.type)]
        for (_, sample), column in zip(samples, text_columns, strict=True):
            if len(sample) < N_SAMPLED_CELLS and column.null_count < len(column):
                sample.extend(cell for cell in column.to_pylist() if cell and not cell.isspace())
        if all(len(sample) >= N_SAMPLED_CELLS for _, sample in samples):
            break
    return [(name, sample[:N_SAMPLED_CELLS]) for name, sample in samples]


def _is_usual(name: str) -> bool:
    return name.lower() in USUAL_NAMES


def _may_be_text(type_: pa.DataType) -> bool:
    return is_text(type_) or type_ == pa.null()


def _may_be_images(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, _is_image_struct)
    return any(is_kind(type_) for is_kind in kinds)


def _is_image_struct(type_: pa.DataType) -> bool:
    """Tell whether this is how `datasets` writes images."""
    return bool(pa.types.is_struct(type_)) and {field.name for field in type_} == {"bytes", "path"}


def _is_list_of_text(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view)
    return any(is_kind(type_) for is_kind in kinds) and is_text(type_.value_type)


def _several(name: str) -> str:
    return (
        f"has several texts in a cell: make a row of each first, with `table.explode({name!r})` in pandas and polars "
        f"or `SELECT * REPLACE (unnest({name}) AS {name})` in DuckDB"
    )
