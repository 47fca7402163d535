"""The types of columns as recipes name them: ``url``, ``text``, ``category``, ``list[number]`` and so on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

import pyarrow as pa

from pixvec.fetch import looks_like_url
from pixvec.recipe.dataset import Dataset, InputColumn
from pixvec.table.url_column import N_SAMPLED_CELLS, holds_urls
from pixvec.vector_table import parse_vector

MAX_CATEGORIES: Final = 100

_TYPES: Final[tuple[tuple[Callable[[pa.DataType], bool], str], ...]] = (
    (pa.types.is_boolean, "boolean"),
    (pa.types.is_integer, "number"),
    (pa.types.is_floating, "number"),
    (pa.types.is_decimal, "number"),
    (pa.types.is_temporal, "date"),
    (pa.types.is_dictionary, "category"),
    (pa.types.is_string, "text"),
    (pa.types.is_large_string, "text"),
    (pa.types.is_string_view, "text"),
    (pa.types.is_struct, "struct"),
    (pa.types.is_binary, "binary"),
    (pa.types.is_large_binary, "binary"),
)


def column_types(
    dataset: Dataset, named: Collection[str], *, files_under: str | os.PathLike[str] | None = None
) -> dict[str, str | None]:
    """Find the type of each column of a dataset; None for one of which nothing is known.

    Parameters
    ----------
    dataset
        What the recipe is about.
    named
        The columns that the recipe names: all of their cells are looked at. Of the others, which are only ever
        suggested, the first thousand are.
    files_under
        The folder whose files are let in: their paths count as URLs.
    """
    is_url = looks_like_url if files_under is None else partial(_is_url_or_file, files_under)
    names = Counter(dataset.names)
    return {
        name: column_type(dataset.column(name), is_url, n_cells=None if name in named else N_SAMPLED_CELLS)
        for name, n_found in names.items()
        if name in named or n_found == 1
    }


def column_type(
    column: InputColumn, is_url: Callable[[str], bool] = looks_like_url, *, n_cells: int | None = None
) -> str | None:
    """Find the type of a column, from all or the first of its cells; None where that is not known."""
    type_ = _type(column.type)
    if type_ not in {"text", "category"}:
        return type_
    return _type_of_texts(column.name, _present(islice(column.cells(), n_cells)), is_url)


def _is_url_or_file(folder: str | os.PathLike[str], text: str) -> bool:
    # os.path takes any text; a Path raises for some.
    return looks_like_url(text) or os.path.isfile(os.path.join(folder, text.removeprefix("file://")))  # noqa: PTH113, PTH118


def _type(type_: pa.DataType | None) -> str | None:
    if type_ is None:
        return None
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return None if pa.types.is_null(type_.value_type) else f"list[{_type(type_.value_type)}]"
    return next((name for is_of_type, name in _TYPES if is_of_type(type_)), None)


def _present(cells: Iterable[object]) -> Iterator[object]:
    """Leave out what is empty: CSV has no other null."""
    return (cell for cell in cells if cell is not None and not (isinstance(cell, str) and not cell))


def _type_of_texts(name: str, cells: Iterator[object], is_url: Callable[[str], bool]) -> str | None:
    """Tell texts that are URLs, or vectors in JSON, or few that repeat themselves, from others."""
    n_cells = n_urls = 0
    different: set[str] = set()
    for cell in cells:
        if n_cells == 0 and isinstance(cell, str) and parse_vector(cell) is not None:
            return "list[number]"
        text = cell if isinstance(cell, str) else repr(cell)
        n_cells += 1
        n_urls += is_url(text)
        if len(different) <= MAX_CATEGORIES:
            different.add(text)
    if not n_cells or holds_urls(name, n_urls, n_cells):
        return "url" if n_cells else None
    return "category" if len(different) <= min(MAX_CATEGORIES, n_cells / 2) else "text"
