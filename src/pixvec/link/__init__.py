"""Vectors to links: each row's nearest others and their cosines, exact up to 200,000 distinct vectors.

In: vectors (N, D) float32, NaN where a row has none. Out: for each row the numbers of the nearest rows. A cosine is
that of the vectors as given, computed in float64 in an order that depends on D alone and rounded to float32, so that
links are the same, bit for bit, whatever the number of threads. This package must not know where vectors come from.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from pixvec.errors import UsageError
from pixvec.link.approximate import nearest_approximately
from pixvec.link.exact import nearest
from pixvec.link.ranking import Neighbors, Pairs
from pixvec.link.rows import neighboring_rows
from pixvec.link.space import Space
from pixvec.options import Options, option
from pixvec.values import Vectors

__all__ = ["LinkOptions", "Links", "link_vectors"]

OnProgress: TypeAlias = Callable[[int, int], None]

_MAX_EXACT = 200_000
"""Distinct vectors up to which all pairs are looked at."""
_MAX_LINKS = 2**31 - 1
"""As many as Arrow's lists count."""


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
    """M links of N rows: those of row i are at ``starts[i]`` to ``starts[i + 1]``, nearest first.

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
        """Give targets, list<int64>, and weights, list<float32>, for each row; null where it has no vector."""
        starts = pa.array(self.starts, pa.int32(), mask=np.append(~self.has_vector, False))
        targets, weights = pa.array(self.targets), pa.array(self.weights)
        return pa.ListArray.from_arrays(starts, targets), pa.ListArray.from_arrays(starts, weights)


def link_vectors(
    vectors: Vectors,
    options: LinkOptions,
    *,
    on_progress: OnProgress | None = None,
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
    on_progress
        Called now and then, and at the end, with how many of the rows are done, and N.
    stop
        Set it from another thread to end the work.

    Raises
    ------
    UsageError
        When there would be more links than a column holds.
    StoppedError
        Soon after `stop` is set.
    """
    space = Space.of(vectors)
    k = min(options.n_nearest, len(vectors))  # a number of any size may be asked for
    n_vectors = int(np.count_nonzero(space.has_vector))
    if n_vectors * k > _MAX_LINKS:
        raise UsageError(
            f"`n_nearest={options.n_nearest}` with {n_vectors} vectors would be {n_vectors * k} links, "
            f"and a column holds {_MAX_LINKS}: take `n_nearest={_MAX_LINKS // n_vectors}`"
        )
    with threadpool_limits(1, user_api="blas"):  # one thread in each product: several are at work side by side
        neighbors, recall = _neighbors(space, k, on_progress and _in_rows(on_progress, len(vectors)), stop)
    parts = [_strong(pairs, options.similarity_min) for pairs in neighboring_rows(space, neighbors, k)]
    pairs = Pairs.joined([Pairs.none(), *parts])
    if options.similarity_min_q and len(pairs):
        pairs = _strong(pairs, np.quantile(pairs.cosines.astype(np.float64), options.similarity_min_q))
    if on_progress:
        on_progress(len(vectors), len(vectors))
    return _links(pairs, space.has_vector, recall)


def _in_rows(on_progress: OnProgress, n_rows: int) -> OnProgress:
    """Tell of distinct vectors as of the rows that hold them."""
    return lambda n_done, n_vectors: on_progress(n_rows * n_done // n_vectors, n_rows)


def _neighbors(
    space: Space, k: int, on_progress: OnProgress | None, stop: threading.Event | None
) -> tuple[Neighbors, float | None]:
    if len(space) <= _MAX_EXACT:
        return nearest(space, k, on_progress=on_progress, stop=stop), None
    return nearest_approximately(space, min(k, len(space) - 1), on_progress=on_progress, stop=stop)


def _strong(pairs: Pairs, least: float | np.float64) -> Pairs:
    return pairs.take(pairs.cosines >= least)


def _links(pairs: Pairs, has_vector: NDArray[np.bool_], recall: float | None) -> Links:
    by_row = pairs.take(np.argsort(pairs.places, kind="stable"))
    starts = np.zeros(len(has_vector) + 1, np.int64)
    np.cumsum(np.bincount(by_row.places, minlength=len(has_vector)), out=starts[1:])
    return Links(starts, by_row.numbers, by_row.cosines, has_vector, recall)
