"""The types of columns as recipes name them: ``url``, ``text``, ``category``, ``list[number]`` and so on."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import Final

import pyarrow as pa

from pixvec.fetch import looks_like_url
from pixvec.recipe.dataset import Dataset
from pixvec.similarity.vectors import parse_vector
from pixvec.tables.url_column import N_SAMPLED_CELLS, holds_urls

MAX_CATEGORIES: Final = 100
_TEXTS: Final = {"text", "category"}

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
        The folder whose files are allowed: their paths count as URLs.
    """
    is_url = looks_like_url if files_under is None else partial(_is_url_or_file, files_under)
    names = [name for name, n_found in Counter(dataset.names).items() if name in named or n_found == 1]
    types = {name: _type(dataset.column(name).type) for name in names}
    texts = {name: _Texts(name, is_url) for name, type_ in types.items() if type_ in _TEXTS}
    # The table is read twice, and not once for each of its columns.
    for those, n_rows in (([name for name in texts if name not in named], N_SAMPLED_CELLS), (named, None)):
        for name, cells in dataset.cells([name for name in those if name in texts], n_rows=n_rows):
            texts[name].add(cells)
    return types | {name: found.type for name, found in texts.items()}


def _is_url_or_file(folder: str | os.PathLike[str], text: str) -> bool:
    # os.path takes any text; a Path raises for some.
    return looks_like_url(text) or os.path.isfile(os.path.join(folder, text.removeprefix("file://")))  # noqa: PTH113, PTH118


def _type(type_: pa.DataType | None) -> str | None:
    if type_ is None:
        return None
    if pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_):
        return None if pa.types.is_null(type_.value_type) else f"list[{_type(type_.value_type)}]"
    return next((name for is_of_type, name in _TYPES if is_of_type(type_)), None)


class _Texts:
    """What the cells of a column of texts are: it tells URLs, vectors in JSON, and few that repeat from others."""

    def __init__(self, name: str, is_url: Callable[[str], bool]) -> None:
        self._name = name
        self._is_url = is_url
        self._n_cells = 0
        self._n_urls = 0
        self._different: set[str] = set()
        self._is_vectors = False

    def add(self, cells: Iterable[object]) -> None:
        """Look at more cells; those that are empty are left out, since CSV has no other null."""
        for cell in cells:
            if cell is None or self._is_vectors or (isinstance(cell, str) and not cell):
                continue
            if not self._n_cells and isinstance(cell, str):
                self._is_vectors = parse_vector(cell) is not None
            text = cell if isinstance(cell, str) else repr(cell)
            self._n_cells += 1
            self._n_urls += self._is_url(text)
            if len(self._different) <= MAX_CATEGORIES:
                self._different.add(text)

    @property
    def type(self) -> str | None:
        """The type; None of cells that are all empty."""
        if self._is_vectors:
            return "list[number]"
        if not self._n_cells or holds_urls(self._name, self._n_urls, self._n_cells):
            return "url" if self._n_cells else None
        return "category" if len(self._different) <= min(MAX_CATEGORIES, self._n_cells / 2) else "text"
