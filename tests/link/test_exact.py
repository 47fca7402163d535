"""The nearest of all, whatever the sieves leave out."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from link.clusters import clusters, expected_neighbors
from pixvec.engine import resolve_precision
from pixvec.link.exact import nearest
from pixvec.link.products import Kind, Products, to_bf16
from pixvec.link.screen import Screen
from pixvec.link.space import Space
from pixvec.link.units import BLOCK, GROUP, Units
from pixvec.values import Vectors

K = 15
KINDS = [
    "fp32",
    "int8",
    pytest.param("bf16", marks=pytest.mark.skipif(resolve_precision("auto") == "fp32", reason="no bf16")),
]


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
        *("tight", "1e-4 apart", "a crowd", "sorted", "in line, 1e-4 apart", "in line, 1e-7 apart"),
    ],
)
def test_the_nearest_are_found(vectors: Vectors) -> None:
    vectors = np.unique(vectors, axis=0)
    numbers, cosines = expected_neighbors(vectors, K)
    found = nearest(Space.of(vectors), K)
    np.testing.assert_array_equal(found.numbers, numbers)
    np.testing.assert_array_equal(found.cosines, cosines)


def test_tiles_after_the_first_are_searched_both_ways() -> None:
    space = Space.of(clusters(9000, 24, spread=1))
    found = nearest(space, K)
    for query in np.random.default_rng(1).choice(9000, 60, replace=False):
        cosines = space.cosines(np.full(9000, query), np.arange(9000))
        cosines[query] = -2
        expected = np.argsort(-cosines, kind="stable")[:K]
        np.testing.assert_array_equal(found.numbers[query], expected)
        np.testing.assert_array_equal(found.cosines[query], cosines[expected])


def test_of_a_crowd_that_is_equally_near_the_first_are_found() -> None:
    vectors = (np.arange(1, 4201) * np.where(np.arange(4200) % 3, 1, -1)).astype(np.float32)[:, None]
    found = nearest(Space.of(vectors), K)
    assert found.numbers[0].tolist() == list(range(3, 48, 3))
    assert found.numbers[2].tolist() == [1, *(number for number in range(4, 24) if number % 3)]
    assert found.numbers[4198].tolist() == [number for number in range(23) if number % 3]
    assert (found.cosines == 1).all()


@pytest.fixture(scope="module", params=[1.0, 0.01], ids=["loose", "tight"])
def screened(request: pytest.FixtureRequest) -> tuple[Vectors, NDArray[np.int64], NDArray[np.float32]]:
    """Vectors and their nearest, which take seconds to find by sorting all pairs."""
    vectors = clusters(1100, 96, spread=request.param)
    return vectors, *expected_neighbors(vectors, K)


@pytest.mark.parametrize("kind", KINDS)
def test_the_screen_leaves_out_no_neighbor(
    kind: Kind, screened: tuple[Vectors, NDArray[np.int64], NDArray[np.float32]]
) -> None:
    vectors, numbers, cosines = screened
    for batch in Screen(Units.of(Space.of(vectors)), K, [kind]).all():
        kept = np.zeros((len(batch.queries), -(-len(vectors) // GROUP)), bool)
        kept[batch.places, batch.groups] = True
        assert np.take_along_axis(kept, numbers[batch.queries] // GROUP, axis=1).all()
        assert (cosines[batch.queries, -1] >= batch.floors).all()


def test_the_screen_leaves_out_most() -> None:
    vectors = clusters(6000, 96, spread=1)
    batches = list(Screen(Units.of(Space.of(vectors)), 3, ["fp32"]).all())
    assert sum(len(batch.groups) for batch in batches) < 6000 * 10


@pytest.mark.parametrize("kind", KINDS)
def test_no_maximum_is_further_from_the_truth_than_is_said(kind: Kind) -> None:
    units = Units.of(Space.of(clusters(BLOCK, 96, spread=1) * np.linspace(0.01, 1, 96, dtype=np.float32)))
    products = Products(units, kind)
    if kind == "int8" and not products.are_sound():
        pytest.skip("this processor's int8 sums saturate, so that the search does without them")
    exact = units.vectors.astype(np.float64)
    of_block, of_tile = products.maxima(slice(0, BLOCK), units.tiles[0])
    wrong_by = np.abs((exact @ exact.T).reshape(BLOCK, -1, GROUP).max(axis=2) - of_block)
    assert products.are_sound()
    assert (wrong_by.max(axis=1) <= products.errors).all()
    np.testing.assert_array_equal(of_tile.T, of_block)


def test_products_that_are_not_sound_are_not_used() -> None:
    units = Units.of(Space.of(clusters(2 * BLOCK, 96, spread=1)))
    if Products(units, "int8").are_sound():
        pytest.skip("this processor's int8 products are sound")

    def groups(*kinds: Kind) -> list[list[int]]:
        return [batch.groups.tolist() for batch in Screen(units, 3, kinds).all()]

    assert groups("int8", "fp32") == groups("fp32")


def test_int8_gives_way_where_it_tells_too_little_apart() -> None:
    units = Units.of(Space.of(clusters(4 * BLOCK, 96, spread=0.3, per_cluster=4 * BLOCK)))

    def n_left(*kinds: Kind) -> int:
        return sum(len(batch.groups) for batch in Screen(units, 3, kinds).all())

    assert n_left("int8", "fp32") == n_left("fp32") < n_left("int8")


def test_bf16_rounds_to_nearest_and_ties_to_even() -> None:
    step = 2.0**-7
    numbers = np.array([1 + 0.4 * step, 1 + 0.6 * step, 1 + 0.5 * step, 1 + 1.5 * step, -1 - 0.6 * step], np.float32)
    assert to_bf16(numbers).tolist() == [1, 1 + step, 1, 1 + 2 * step, -1 - step]
