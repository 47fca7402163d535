"""The protocol of neighbour search, which every implementation follows."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from pixvec.similarity.links import LinkOptions, link_vectors
from pixvec.similarity.links.approximate import ApproximateSearch
from pixvec.similarity.links.exact import ExactSearch
from pixvec.similarity.links.neighbors import Neighbors, NeighborSearch, Pairs, ReportProgress
from pixvec.similarity.links.products.numpy import NumPyBackend
from pixvec.similarity.links.space import Space
from tests.similarity.links.clusters import bits_of, clusters

SEARCHES: list[NeighborSearch] = [ExactSearch(), ExactSearch(NumPyBackend()), ApproximateSearch()]


@dataclass(frozen=True)
class SearchOfAllPairs:
    """A search in a few lines: it sorts the cosines of all pairs."""

    def nearest(
        self,
        space: Space,
        k: int,
        *,
        on_progress: ReportProgress | None = None,
        stop: threading.Event | None = None,
    ) -> Neighbors:
        n = len(space)
        left, right = np.nonzero(~np.eye(n, dtype=bool))
        found = Neighbors.empty(n, min(k, n - 1))
        found.fill(np.arange(n), Pairs(left, right, space.cosines(left, right)).ranked())
        return found


def test_links_are_made_with_any_search() -> None:
    vectors = clusters(400, 24, spread=1)
    vectors[100:200] = vectors[:100]
    expected = link_vectors(vectors, LinkOptions())
    assert bits_of(link_vectors(vectors, LinkOptions(), search=SearchOfAllPairs())) == bits_of(expected)


@pytest.mark.parametrize("search", SEARCHES, ids=["exact", "exact on NumPy", "approximate"])
def test_all_others_are_neighbors_where_more_are_asked_for(search: NeighborSearch) -> None:
    space = Space.of(clusters(600, 8, spread=1))
    found = search.nearest(space, 10_000)
    expected = [[other for other in range(600) if other != query] for query in range(600)]
    assert np.sort(found.directions, axis=1).tolist() == expected


@pytest.mark.parametrize("search", SEARCHES, ids=["exact", "exact on NumPy", "approximate"])
def test_neighbors_are_ranked_by_their_exact_cosines(search: NeighborSearch) -> None:
    space = Space.of(clusters(1500, 16, spread=0.5))
    found = search.nearest(space, 15)
    exact = space.cosines(np.arange(1500), found.directions)
    order = np.lexsort((found.directions, -found.cosines), axis=1)
    np.testing.assert_array_equal(found.cosines, exact)
    np.testing.assert_array_equal(order, np.broadcast_to(np.arange(15), order.shape))
    assert (found.directions != np.arange(1500)[:, None]).all()


@pytest.mark.parametrize("search", SEARCHES, ids=["exact", "exact on NumPy", "approximate"])
def test_progress_is_in_directions(search: NeighborSearch) -> None:
    reported: list[tuple[int, int]] = []
    search.nearest(Space.of(clusters(1500, 16, spread=0.5)), 5, on_progress=lambda *counts: reported.append(counts))
    assert reported == sorted(reported)
    assert {total for _, total in reported} == {reported[-1][0]} == {1500}


def test_only_approximate_neighbors_have_a_recall() -> None:
    space = Space.of(clusters(1500, 16, spread=0.5))
    exact, approximate = (search.nearest(space, 5).recall for search in (ExactSearch(), ApproximateSearch()))
    assert exact is None
    assert approximate is not None
