"""A table's vectors in; out, which rows show the same image, and which of these is the best.

Rows are the same image when a chain of strong links joins them: pairs whose vectors' cosine is at least a threshold,
or whose files have the same hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pixvec.files.untrusted import parse_json
from pixvec.formatting.text import count
from pixvec.options import Options, option, takes_options
from pixvec.run.output_file import check_new_columns
from pixvec.similarity.links import LinkOptions, link_vectors
from pixvec.similarity.vectors import CHUNK_ROWS, find_vector_column, open_rows, read_vector_column
from pixvec.tables import TableReader, open_frame
from pixvec.tables.cell_text import is_text
from pixvec.tables.result_columns import result_names
from pixvec.values import Vectors

GROUP: Final = "duplicate_group"
BEST: Final = "duplicate_best"
_FACTS: Final = ("sha256", "width", "height", "n_bytes")
_IMAGE: Final = pa.struct([("sha256", pa.string()), *((fact, pa.int64()) for fact in _FACTS[1:])])
_FIRST_NEAREST: Final = 32
_MORE: Final = 4
"""How many times as many neighbours are looked at each time that there may be more."""

Numbers: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]
Edges: TypeAlias = tuple[Numbers, Numbers]


@dataclass(frozen=True, kw_only=True)
class DuplicateOptions(Options):
    """What counts as the same image.

    Raises
    ------
    UsageError
        For a value that an option cannot take.
    """

    threshold: float = option(
        0.97, "rows whose vectors have at least this cosine show the same image", minimum=-1, maximum=1
    )
    keep: Literal["all", "best"] = option(
        "all", "rows of the output: all, or best, which drops the rows whose duplicate_best is false"
    )
    drop_failed: bool = option(False, "drop the rows without a vector from the output")
    vectors: str | None = option(None, "the column of vectors; found by its cells when not given")
    replace_column: bool = option(False, "drop columns of these names that the table already has, instead of stopping")


@dataclass(frozen=True, slots=True)
class Duplicates:
    """The groups among N rows.

    Parameters
    ----------
    group
        The lowest row number of each row's group, (N,); -1 where a row is alone, or has no vector or a zero one.
    is_best
        (N,): False where another row of the group is better.
    has_vector
        (N,): False where a row has none.
    same_file, same_vector
        The first row with the same file, (N,), and with the same vector; a row itself where its own is not known.
    similarity
        The cosine of each row to the best of its group, (N,); NaN outside of groups.
    recall
        The share of strong links that was found, measured on a sample; None where all were.
    """

    group: Numbers
    is_best: Mask
    has_vector: Mask
    same_file: Numbers
    same_vector: Numbers
    similarity: NDArray[np.float32]
    recall: float | None = None

    def columns(self) -> pa.Table:
        """Give the columns ``duplicate_group`` (null outside of groups) and ``duplicate_best``."""
        return pa.table({GROUP: pa.array(self.group, mask=self.group < 0), BEST: pa.array(self.is_best)})

    def groups(self) -> list[Numbers]:
        """List the rows of each group, the best one first, the largest groups first."""
        rows = np.flatnonzero(self.group >= 0)
        by_group = rows[np.lexsort((rows, ~self.is_best[rows], self.group[rows]))]
        cuts = np.flatnonzero(np.diff(self.group[by_group])) + 1
        listed = np.split(by_group, cuts) if len(rows) else []
        return sorted(listed, key=len, reverse=True)

    def as_json(self) -> dict[str, Any]:
        """Give the counts, and the rows of each group, numbered from 0, in JSON's types."""
        groups = [group.tolist() for group in self.groups()]
        return {
            "n_rows": len(self.group),
            "n_failed": int((~self.has_vector).sum()),
            "n_grouped": int((self.group >= 0).sum()),
            "n_groups": len(groups),
            "n_images": int((self.is_best & self.has_vector).sum()),
            "recall": self.recall,
            "groups": groups,
        }

    def kept(self, options: DuplicateOptions) -> Mask:
        """Tell which rows the output has, (N,)."""
        kept = self.is_best if options.keep == "best" else np.ones(len(self.group), bool)
        return kept & self.has_vector if options.drop_failed else kept

    def __str__(self) -> str:
        n_rows, n_grouped = len(self.group), int((self.group >= 0).sum())
        found = "" if self.recall is None else f"; {self.recall:.1%} of the links were found, measured on a sample"
        n_groups, n_failed = len(np.unique(self.group[self.group >= 0])), n_rows - int(self.has_vector.sum())
        failed = f" and {n_failed:,} without a vector" if n_failed else ""
        return (
            f"{count(n_rows, 'row')}: {count(n_grouped, 'row')} in {count(n_groups, 'group')} of duplicates; "
            f"{count(int((self.is_best & self.has_vector).sum()), 'different image')}{failed}{found}"
        )


@takes_options(DuplicateOptions)
def dedupe(table: object, options: DuplicateOptions) -> Any:
    """Find the rows of a table that show the same image.

    Parameters
    ----------
    table
        A pandas or polars DataFrame, a pyarrow Table, a Dataset, or the path of a table file, with a column of vectors.
    **options
        The fields of `DuplicateOptions`: ``threshold``, ``keep``, ``drop_failed``, ``vectors``, ``replace_column``.

    Returns
    -------
    the kind of table that came
        The table with the columns ``duplicate_group``, the lowest row number of the row's group, null where it is
        alone, and ``duplicate_best``, false where another row of the group is better. Of a file, a pyarrow Table.
        With ``keep="best"`` the rows where it is false are left out; row numbers are those of the table that came.

    Raises
    ------
    UsageError
        When there is no column of vectors, or the columns exist.
    """
    reader, path = open_rows(table)
    found = find_duplicates(reader, options)
    if path is not None:
        table = pa.concat_tables([reader.schema.empty_table(), *(chunk.table for chunk in reader.chunks(CHUNK_ROWS))])
    kept = np.flatnonzero(found.kept(options))
    frame = open_frame(table)
    dropped = check_new_columns(frame.schema.names, (GROUP, BEST), replace=options.replace_column)
    if len(kept) == len(found.group):
        return frame.with_results(found.columns(), dropped=dropped)
    return open_frame(frame.take(kept)).with_results(found.columns().take(kept), dropped=dropped)


def find_duplicates(reader: TableReader, options: DuplicateOptions) -> Duplicates:
    """Group the rows of a table.

    The best row of a group has the most pixels, of these the most bytes, of these the lowest number; where the table
    does not say what images were embedded, the lowest number.

    Raises
    ------
    UsageError
        When there is no column of vectors, or the columns exist.
    """
    check_new_columns(reader.schema.names, (GROUP, BEST), replace=options.replace_column)
    column = find_vector_column(reader, options.vectors)
    vectors = read_vector_column(reader, column, path=None).vectors
    facts = _facts(reader, column, len(vectors))
    has_vector = np.asarray(np.isfinite(vectors).all(axis=1))  # (N,)
    has_direction = has_vector & vectors.any(axis=1)
    firsts = _first_equal(vectors, has_direction)
    files = _first_of_file(facts["sha256"], has_direction)
    rows = np.flatnonzero(has_direction & (firsts == np.arange(len(vectors))))
    (left, right), recall = strong_links(vectors[rows], options.threshold)
    labels = join(join(firsts, (np.arange(len(vectors)), files)), (rows[left], rows[right]))
    group, is_best = _judged(np.where(has_direction, labels, -1), facts)
    return Duplicates(group, is_best, has_vector, files, firsts, _similarities(vectors, group, is_best), recall)


def strong_links(vectors: Vectors, threshold: float) -> tuple[Edges, float | None]:
    """Link rows that have at least this cosine: all pairs that decide what hangs together, and maybe not all pairs.

    A row has few strong links as a rule, and they are all found. Where one may have more than were asked for, what
    is missing joins two such rows: the other end would have found it. So these are linked among themselves, with more
    neighbours each, until none is left out or they hang together anyway.

    Returns
    -------
    tuple
        The links, as rows and rows; and the lowest recall that the search for them had, None where it was exact.
    """
    rows = labels = np.arange(len(vectors))
    edges: Edges = (rows[:0], rows[:0])
    recall: float | None = None
    k = _FIRST_NEAREST
    while len(np.unique(labels[rows])) > 1:
        links = link_vectors(vectors[rows], LinkOptions(n_nearest=k, similarity_min=threshold))
        counts = np.diff(links.starts)
        more = np.repeat(rows, counts), rows[links.targets]
        edges = np.concatenate([edges[0], more[0]]), np.concatenate([edges[1], more[1]])
        labels = join(labels, more)
        recall = min((known for known in (recall, links.recall) if known is not None), default=None)
        rows = rows[counts >= k]
        k *= _MORE
    return edges, recall


def join(labels: Numbers, edges: Edges) -> Numbers:
    """Join what edges connect: the label of a row becomes the lowest that it is connected with.

    `labels` are row numbers that label themselves. Labels hook onto lower ones and chains of them are cut short, in a
    number of rounds that grows with the logarithm of the longest chain.
    """
    left, right = edges
    while True:
        low = np.minimum(labels[left], labels[right])
        hooked = labels.copy()
        np.minimum.at(hooked, labels[left], low)
        np.minimum.at(hooked, labels[right], low)
        while not np.array_equal(shorter := hooked[hooked], hooked):
            hooked = shorter
        if np.array_equal(hooked, labels):
            return labels
        labels = hooked


def _first_equal(vectors: Vectors, has_direction: Mask) -> Numbers:
    """Give for each row the first that has the very same vector."""
    firsts: dict[bytes, int] = {}
    labels = np.arange(len(vectors))
    for row in np.flatnonzero(has_direction).tolist():
        labels[row] = firsts.setdefault(blake2b(vectors[row].tobytes(), digest_size=16).digest(), row)
    return labels


def _first_of_file(hashes: pa.Array, has_direction: Mask) -> Numbers:
    """Give for each row the first that has the same file; itself where its file is not known."""
    firsts: dict[bytes, int] = {}
    known = zip(hashes.to_pylist(), has_direction.tolist(), strict=True)
    labels = [row if not has or file is None else firsts.setdefault(file, row) for row, (file, has) in enumerate(known)]
    return np.array(labels, np.int64)


def _similarities(vectors: Vectors, group: Numbers, is_best: Mask) -> NDArray[np.float32]:
    """Give the cosine of each row to the best of its group; some at a time, so that no second copy is made."""
    best_of = np.full(len(group), -1)
    bests = np.flatnonzero(is_best & (group >= 0))
    best_of[group[bests]] = bests
    similarities = np.full(len(group), np.nan, np.float32)
    grouped = np.flatnonzero(group >= 0)
    for rows in np.array_split(grouped, len(grouped) // CHUNK_ROWS + 1):
        here, best = vectors[rows].astype(np.float64), vectors[best_of[group[rows]]].astype(np.float64)  # (n, D)
        lengths = np.linalg.norm(here, axis=1) * np.linalg.norm(best, axis=1)
        similarities[rows] = (here * best).sum(axis=1) / lengths
    return similarities


def _judged(labels: Numbers, facts: dict[str, pa.Array]) -> tuple[Numbers, Mask]:
    """Find the group of each row, -1 for one that is alone, and whether the row is the best of it."""
    rows = np.flatnonzero(labels >= 0)
    sizes = np.bincount(labels[rows], minlength=len(labels))
    group = np.where((labels >= 0) & (sizes[labels] > 1), labels, -1)
    rows = np.flatnonzero(group >= 0)
    pixels = _numbers(facts["width"]) * _numbers(facts["height"])
    ranked = rows[np.lexsort((rows, -_numbers(facts["n_bytes"])[rows], -pixels[rows], group[rows]))]
    is_best = group < 0
    is_best[ranked[np.unique(group[ranked], return_index=True)[1]]] = True
    return group, is_best


def _numbers(column: pa.Array) -> Numbers:
    if not pa.types.is_integer(column.type):
        return np.zeros(len(column), np.int64)
    return np.asarray(pc.fill_null(column, 0).to_numpy(), np.int64)


def _facts(reader: TableReader, column: str, n_rows: int) -> dict[str, pa.Array]:
    """Read what images were embedded; nulls where the table does not say."""
    name = result_names(column)[-1]
    if reader.schema.names.count(name) == 1:
        chunks = [_structs(chunk.table.column(name)) for chunk in reader.chunks(CHUNK_ROWS, columns=[name])]
        cells = pa.chunked_array([part for chunk in chunks for part in chunk.chunks] or [pa.nulls(0, _IMAGE)])
        if pa.types.is_struct(cells.type) and set(_FACTS) <= {field.name for field in cells.type}:
            return {fact: pc.struct_field(cells, fact).combine_chunks() for fact in _FACTS}
    return {fact: pa.nulls(n_rows) for fact in _FACTS}


def _structs(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Read JSON, which stands for structs in formats that hold nothing but text."""
    if not is_text(column.type):
        return column
    cells = [_from_json(cell) for cell in column.to_pylist()]
    try:
        return pa.chunked_array([pa.array(cells, _IMAGE)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.chunked_array([pa.nulls(len(cells), _IMAGE)])


def _from_json(cell: str | None) -> dict[str, Any] | None:
    try:
        said = parse_json(cell or "null")
    except ValueError:
        return None
    return {fact: said.get(fact) for fact in _FACTS} if isinstance(said, dict) else None
