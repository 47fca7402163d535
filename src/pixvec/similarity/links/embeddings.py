"""Links for columns of vectors in Python: a list, array, Series or Arrow column in, two columns of its kind out."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.options import takes_options
from pixvec.similarity.links import LinkOptions, Links, link_vectors
from pixvec.values import Vectors

_Columns: TypeAlias = tuple[Any, Any]
_Wrap: TypeAlias = Callable[[Links], _Columns]
"""Turns links into the targets and weights of a family."""


@dataclass(frozen=True, slots=True)
class LinkColumns:
    """Links as two columns of N cells, each in the family that the embeddings came in; unpacks into the two.

    Parameters
    ----------
    targets
        For each row the numbers of the nearest rows, nearest first; None where it has no vector.
    weights
        The cosines of these links.
    recall
        The share of the true neighbours that was found, measured on a sample of rows; None where all were.
    """

    targets: Any
    weights: Any
    recall: float | None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.targets, self.weights))


@takes_options(LinkOptions)
def link_embeddings(embeddings: object, options: LinkOptions) -> LinkColumns:
    """Link each row to the rows whose embeddings are nearest to its own.

    Parameters
    ----------
    embeddings
        N vectors: a list or a one-dimensional NumPy array of them, an array (N, D), a pandas or polars Series, or a
        pyarrow column of lists. None, NaN, an empty list, and a vector that holds NaN or infinity are rows without a
        vector: they have no links and are nobody's target. A vector of zeros has no direction: its links are empty.
    **options
        The fields of `LinkOptions`. Row numbers count from 0, whatever the index of a Series.

    Returns
    -------
    LinkColumns
        For a list, lists of numbers and None; for an array or a pandas Series, the same of arrays; for Arrow and
        polars, columns of lists.

    Raises
    ------
    UsageError
        When `embeddings` is no column of vectors of one length, or an option has a value that it cannot take.
    """
    vectors, wrap = _open(embeddings)
    links = link_vectors(vectors, options)
    return LinkColumns(*wrap(links), links.recall)


def _open(embeddings: Any) -> tuple[Vectors, _Wrap]:
    if isinstance(embeddings, list):
        return _stack(embeddings), _lists
    if isinstance(embeddings, np.ndarray):
        return _open_array(embeddings), _object_arrays
    if isinstance(embeddings, pa.Array | pa.ChunkedArray):
        return _flatten(embeddings), Links.columns
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")  # whoever has a Series has imported them
    if pandas is not None and isinstance(embeddings, pandas.Series):
        return _stack(embeddings.tolist()), lambda links: _pandas_series(links, embeddings)
    if polars is not None and isinstance(embeddings, polars.Series):
        return _flatten(embeddings.to_arrow()), lambda links: tuple(map(polars.from_arrow, links.columns()))
    raise UsageError(
        f"embeddings must be a list, an array, a Series or an Arrow column, not {type(embeddings).__name__}"
    )


def _open_array(array: NDArray[Any]) -> Vectors:
    if array.ndim == 1 and array.dtype == object:
        return _stack(array.tolist())
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise UsageError(
            "an array of embeddings must be (N, D) and hold numbers, or (N,) and hold vectors; "
            f"this one is {array.ndim}-D and {array.dtype}"
        )
    return _float32(array)


def _stack(cells: Sequence[Any]) -> Vectors:
    """Make one array of vectors, (N, D), with NaN in rows that have none."""
    present = ((row, _vector(row, cell)) for row, cell in enumerate(cells) if not _is_null(cell))
    found = {row: vector for row, vector in present if len(vector)}
    dim = len(next(iter(found.values()), np.empty(1)))
    vectors = np.full((len(cells), dim), np.nan, np.float32)  # (N, D)
    for row, vector in found.items():
        if len(vector) != dim:
            raise UsageError(f"row {row} (counted from 0) of embeddings has {len(vector)} numbers, others {dim}")
        vectors[row] = vector
    return vectors


def _vector(row: int, cell: Any) -> NDArray[np.float32]:
    try:
        numbers = np.asarray(cell)
        if numbers.ndim == 1 and numbers.dtype.kind in "biufO":
            return _float32(numbers)
    except (TypeError, ValueError) as error:
        raise UsageError(f"row {row} (counted from 0) of embeddings is no vector of numbers: {error}") from error
    found = f"{type(cell).__name__}, {numbers.ndim}-D and {numbers.dtype}"
    raise UsageError(f"row {row} (counted from 0) of embeddings is no vector of numbers but {found}")


def _float32(numbers: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite: no vector
        return numbers.astype(np.float32, copy=False)


def _is_null(cell: object) -> bool:
    is_nan = isinstance(cell, float | np.floating) and bool(np.isnan(cell))
    return cell is None or is_nan or type(cell).__name__ in {"NAType", "NaTType"}


def _flatten(column: Any) -> Vectors:
    """Make one array of an Arrow column of lists, (N, D), with NaN where it is null."""
    kind = column.type
    if pa.types.is_null(kind):
        return np.full((len(column), 1), np.nan, np.float32)
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not is_list or not _holds_numbers(kind.value_type):
        raise UsageError(f"an Arrow column of embeddings must hold lists of numbers; this one is {kind}")
    lengths = np.asarray(pc.fill_null(pc.list_value_length(column), 0))  # (N,)
    dims = list(dict.fromkeys(lengths[lengths > 0].tolist()))
    if len(dims) > 1:
        raise UsageError(f"embeddings must be of one length: some have {dims[0]} numbers, some {dims[1]}")
    dim = dims[0] if dims else 1
    vectors = np.full((len(column), dim), np.nan, np.float32)  # (N, D)
    vectors[lengths > 0] = _float32(_numbers(column)).reshape(-1, dim)
    return vectors


def _numbers(column: Any) -> NDArray[Any]:
    """Concatenate the numbers of all lists that are not null."""
    flat: NDArray[Any] = pc.list_flatten(column.drop_null()).to_numpy(zero_copy_only=False)
    return flat


def _holds_numbers(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind))


def _cells(links: Links, values: NDArray[Any]) -> list[NDArray[Any] | None]:
    """Cut targets or weights into those of each row."""
    bounds = links.starts.tolist()
    return [
        values[bounds[row] : bounds[row + 1]] if has_vector else None
        for row, has_vector in enumerate(links.has_vector.tolist())
    ]


def _lists(links: Links) -> _Columns:
    targets, weights = (
        [None if cell is None else cell.tolist() for cell in _cells(links, values)]
        for values in (links.targets, links.weights)
    )
    return targets, weights


def _object_arrays(links: Links) -> _Columns:
    targets, weights = (
        np.fromiter(_cells(links, values), object, len(links.has_vector)) for values in (links.targets, links.weights)
    )
    return targets, weights


def _pandas_series(links: Links, like: Any) -> _Columns:
    targets, weights = (
        type(like)(cells, index=like.index, name=name, dtype=object)
        for name, cells in zip(("targets", "weights"), _object_arrays(links), strict=True)
    )
    return targets, weights
