"""Links between rows: the rows whose vectors are nearest, and their cosines.

Vectors, (N, D) float32, become distinct directions (`space`). A neighbour search (`neighbors`) finds the nearest
directions of each: `exact` up to 200,000 directions, `approximate` above that. `rows` turns directions into rows again,
duplicates included. A cosine is that of the vectors as given, computed in float64 in an order that depends on D alone
and rounded to float32, so that links have the same bits for any number of threads and any backend.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.concurrency.parallel import one_blas_thread
from pixvec.errors import UsageError
from pixvec.options import Options, option
from pixvec.similarity.links.approximate import ApproximateSearch
from pixvec.similarity.links.exact import ExactSearch
from pixvec.similarity.links.neighbors import NeighborSearch, Pairs, ReportProgress
from pixvec.similarity.links.rows import neighboring_rows
from pixvec.similarity.links.space import Space
from pixvec.values import Vectors

__all__ = ["LinkOptions", "Links", "link_vectors"]

_MAX_EXACT = 200_000
"""Distinct vectors up to which all pairs are compared."""
MAX_LINKS: Final = 2**31 - 1
"""Arrow's lists have 32-bit offsets."""


@dataclass(frozen=True, kw_only=True)
class LinkOptions(Options):
    """Which links are made.

    Raises
    ------
    UsageError
        For a value that an option cannot take.
    """

    n_nearest: int = option(15, "how many neighbours a row is linked to at most", minimum=1)
    similarity_min: float = option(0.0, "no link between vectors of a smaller cosine", minimum=-1, maximum=1)
    similarity_min_q: float = option(0.0, "no link below this quantile of all links", minimum=0, maximum=1)
    metric: Literal["angular"] = option("angular", "how nearness is measured")
    n_trees: int = option(30, "accepted and without effect", minimum=1)
    search_k_mult: int = option(2, "accepted and without effect", minimum=1)


@dataclass(frozen=True, slots=True)
class Links:
    """M links of N rows; those of row i are at ``starts[i]`` to ``starts[i + 1]``, nearest first.

    Parameters
    ----------
    starts
        (N + 1,).
    targets
        Row numbers, (M,).
    weights
        Cosines, (M,).
    has_vector
        (N,): False where a row has no vector and its links are null.
    recall
        The share of the true neighbours that was found, measured on a sample of rows; None where all were.
    """

    starts: NDArray[np.int64]
    targets: NDArray[np.int64]
    weights: NDArray[np.float32]
    has_vector: NDArray[np.bool_]
    recall: float | None

    def columns(self) -> tuple[pa.ListArray, pa.ListArray]:
        """Return targets, list<int64>, and weights, list<float32>, one cell per row; null where it has no vector."""
        starts = pa.array(self.starts, pa.int32(), mask=np.append(~self.has_vector, False))
        targets, weights = pa.array(self.targets), pa.array(self.weights)
        return pa.ListArray.from_arrays(starts, targets), pa.ListArray.from_arrays(starts, weights)


def link_vectors(
    vectors: Vectors,
    options: LinkOptions,
    *,
    search: NeighborSearch | None = None,
    max_links: int = MAX_LINKS,
    on_progress: ReportProgress | None = None,
    stop: threading.Event | None = None,
) -> Links:
    """Link each row to the rows whose vectors are nearest to its own.

    Parameters
    ----------
    vectors
        (N, D) float32 of any lengths; a row with NaN or infinity has no vector. A zero vector has no direction, and
        no links.
    options
        How many links, and which. `similarity_min_q` is a quantile, interpolated linearly, of the weights that
        `n_nearest` and `similarity_min` leave; links at or above it stay.
    search
        How neighbours are found; by default exactly up to 200,000 distinct vectors, and approximately above that.
    max_links
        How many links there may be.
    on_progress
        Called now and then, and at the end, with how many of the rows are done, and N.
    stop
        Set it from another thread to end the work.

    Raises
    ------
    UsageError
        When there might be more links than `max_links`.
    StoppedError
        Soon after `stop` is set.
    """
    space = Space.of(vectors)
    _check_count(options.n_nearest, int(np.count_nonzero(space.has_vector)), len(vectors), max_links=max_links)
    k = min(options.n_nearest, len(vectors))  # any number may be asked for
    report = on_progress and _in_rows(on_progress, len(vectors))
    with one_blas_thread():  # several products are computed at once
        neighbors = (search or _default_search(space)).nearest(space, k, on_progress=report, stop=stop)
    pairs = _selected(neighboring_rows(space, neighbors, k), options)
    if on_progress:
        on_progress(len(vectors), len(vectors))
    return _links(pairs, space.has_vector, neighbors.recall)


def _check_count(n_nearest: int, n_vectors: int, n_rows: int, *, max_links: int) -> None:
    n_links = n_vectors * min(n_nearest, n_rows)
    if n_links > max_links:
        holder = "a column holds" if max_links == MAX_LINKS else "the recipe may still make"
        raise UsageError(
            f"`n_nearest={n_nearest}` with {n_vectors} vectors would be {n_links} links, "
            f"and {holder} {max_links}: take `n_nearest={max_links // n_vectors}`"
        )


def _in_rows(on_progress: ReportProgress, n_rows: int) -> ReportProgress:
    """Report progress in directions as progress in rows."""
    return lambda n_done, n_directions: on_progress(n_rows * n_done // n_directions, n_rows)


def _default_search(space: Space) -> NeighborSearch:
    return ExactSearch() if len(space) <= _MAX_EXACT else ApproximateSearch()


def _selected(parts: Iterable[Pairs], options: LinkOptions) -> Pairs:
    """Select the pairs that both limits of `options` leave."""
    near = [part.take(part.cosines >= options.similarity_min) for part in parts]
    pairs = Pairs.concatenated([Pairs.none(), *near])
    if not options.similarity_min_q or not len(pairs):
        return pairs
    return pairs.take(pairs.cosines >= np.quantile(pairs.cosines.astype(np.float64), options.similarity_min_q))


def _links(pairs: Pairs, has_vector: NDArray[np.bool_], recall: float | None) -> Links:
    by_row = pairs.take(np.argsort(pairs.queries, kind="stable"))
    starts = np.zeros(len(has_vector) + 1, np.int64)
    np.cumsum(np.bincount(by_row.queries, minlength=len(has_vector)), out=starts[1:])
    return Links(starts, by_row.targets, by_row.cosines, has_vector, recall)
