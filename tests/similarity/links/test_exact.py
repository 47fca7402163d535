"""The nearest of all, whatever the coarse filter and rescoring leave out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pixvec.similarity.links.exact import CoarseFilter, ExactSearch
from pixvec.similarity.links.products import Products
from pixvec.similarity.links.products.backend import BLOCK, GROUP, Precision
from pixvec.similarity.links.products.tiles import Tiles
from pixvec.similarity.links.space import Space
from pixvec.values import Vectors
from tests.similarity.links.backends import PRECISIONS, OpenVINOIn
from tests.similarity.links.clusters import clusters, expected_neighbors

K = 15


def line(n: int, step: float) -> Vectors:
    """Make vectors that turn by `step` from one to the next, in a plane of an 8-dimensional space."""
    angles = np.arange(n) * step
    return np.pad(np.stack([np.cos(angles), np.sin(angles)], axis=1), [(0, 0), (0, 6)]).astype(np.float32)


@pytest.mark.parametrize(
    "vectors",
    [
        clusters(2, 8, spread=1),
        clusters(K, 8, spread=1),
        clusters(K + 2, 8, spread=1),
        clusters(GROUP * K, 24, spread=1),
        clusters(BLOCK + 1, 64, spread=1),
        clusters(1100, 3, spread=1),
        clusters(1100, 1, spread=1) + np.float32(1e3),
        clusters(1100, 24, spread=0.01),
        clusters(1100, 24, spread=1e-4),
        clusters(1100, 16, spread=1e-7, per_cluster=1100),
        np.sort(clusters(1100, 16, spread=1), axis=0),
        line(1000, 1e-4),
        line(1000, 1e-7),
    ],
    ids=[
        *("two", "fewer than asked for", "two more", "as many groups as asked for", "not whole blocks", "3-D", "1-D"),
        *("tight", "1e-4 apart", "1e-7 apart", "sorted", "on a line, 1e-4 apart", "on a line, 1e-7 apart"),
    ],
)
def test_the_nearest_are_found(vectors: Vectors) -> None:
    vectors = np.unique(vectors, axis=0)
    directions, cosines = expected_neighbors(vectors, K)
    found = ExactSearch().nearest(Space.of(vectors), K)
    np.testing.assert_array_equal(found.directions, directions)
    np.testing.assert_array_equal(found.cosines, cosines)


def test_tiles_after_the_first_are_searched_both_ways() -> None:
    space = Space.of(clusters(9000, 24, spread=1))
    found = ExactSearch().nearest(space, K)
    for query in np.random.default_rng(1).choice(9000, 60, replace=False):
        cosines = space.cosines(np.full(9000, query), np.arange(9000))
        cosines[query] = -2
        expected = np.argsort(-cosines, kind="stable")[:K]
        np.testing.assert_array_equal(found.directions[query], expected)
        np.testing.assert_array_equal(found.cosines[query], cosines[expected])


def test_of_ties_the_first_are_found() -> None:
    vectors = (np.arange(1, 4201) * np.where(np.arange(4200) % 3, 1, -1)).astype(np.float32)[:, None]
    found = ExactSearch().nearest(Space.of(vectors), K)
    assert found.directions[0].tolist() == list(range(3, 48, 3))
    assert found.directions[2].tolist() == [1, *(number for number in range(4, 24) if number % 3)]
    assert found.directions[4198].tolist() == [number for number in range(23) if number % 3]
    assert (found.cosines == 1).all()


def n_pairs(tiles: Tiles, k: int, *precisions: Precision) -> int:
    """Count the pairs of a query and a group that the coarse filter leaves."""
    return sum(len(shortlist.groups) for shortlist in CoarseFilter(tiles, k, OpenVINOIn(precisions)).shortlists())


@pytest.fixture(scope="module", params=[1.0, 0.01], ids=["loose", "tight"])
def searched(request: pytest.FixtureRequest) -> tuple[Vectors, NDArray[np.int64], NDArray[np.float32]]:
    """Return vectors and their nearest, which take seconds to find by sorting all pairs."""
    vectors = clusters(1100, 96, spread=request.param)
    return vectors, *expected_neighbors(vectors, K)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_coarse_filter_leaves_out_no_neighbor(
    precision: Precision, searched: tuple[Vectors, NDArray[np.int64], NDArray[np.float32]]
) -> None:
    vectors, directions, cosines = searched
    for shortlist in CoarseFilter(Tiles.of(Space.of(vectors)), K, OpenVINOIn([precision])).shortlists():
        kept = np.zeros((len(shortlist.queries), -(-len(vectors) // GROUP)), bool)
        kept[shortlist.positions, shortlist.groups] = True
        assert np.take_along_axis(kept, directions[shortlist.queries] // GROUP, axis=1).all()
        assert (cosines[shortlist.queries, -1] >= shortlist.lower_bounds).all()


def test_the_coarse_filter_leaves_out_most() -> None:
    assert n_pairs(Tiles.of(Space.of(clusters(6000, 96, spread=1))), 3, "fp32") < 6000 * 10


def test_products_that_are_not_exact_are_not_used() -> None:
    tiles = Tiles.of(Space.of(clusters(2 * BLOCK, 96, spread=1)))
    if Products(tiles, "int8", backend=OpenVINOIn(["int8"])).are_exact():
        pytest.skip("this processor's int8 products are exact")
    assert n_pairs(tiles, 3, "int8", "fp32") == n_pairs(tiles, 3, "fp32")


def test_int8_gives_way_where_it_leaves_too_many_groups() -> None:
    tiles = Tiles.of(Space.of(clusters(4 * BLOCK, 96, spread=0.3, per_cluster=4 * BLOCK)))
    assert n_pairs(tiles, 3, "int8", "fp32") == n_pairs(tiles, 3, "fp32") < n_pairs(tiles, 3, "int8")
