"""Directions and their cosines."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import pixvec.similarity.links.space
from pixvec.similarity.links.space import Space
from pixvec.values import Vector
from tests.similarity.links.clusters import clusters


def cosine(left: Vector, right: Vector) -> np.float32:
    """Compute it with sums that are rounded once."""
    a, b = left.astype(float).tolist(), right.astype(float).tolist()
    dot, aa, bb = (math.fsum(x * y for x, y in zip(*pair, strict=True)) for pair in ((a, b), (a, a), (b, b)))
    return np.float32(dot / math.sqrt(aa * bb))


@pytest.mark.parametrize("dim", [1, 2, 3, 15, 16, 17, 31, 33, 96, 100, 512, 768, 777])
def test_a_cosine_is_that_of_exact_arithmetic(dim: int) -> None:
    vectors = clusters(20, dim, spread=1)
    space = Space.of(vectors)
    found = space.cosines(np.arange(19), np.arange(1, 20))
    expected = [cosine(left, right) for left, right in itertools.pairwise(vectors)]
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("dim", [2, 15, 16, 17, 100, 512, 777])
def test_the_bits_of_a_cosine_depend_on_nothing_but_the_pair(dim: int) -> None:
    space = Space.of(clusters(600, dim, spread=1))
    left, right = np.random.default_rng(0).integers(0, 600, (2, 1000))
    expected = space.cosines(left, right)
    assert space.cosines(right, left).tobytes() == expected.tobytes()
    assert space.cosines(left[::-1], right[::-1])[::-1].tobytes() == expected.tobytes()
    assert [space.cosines(left[i : i + 1], right[i : i + 1])[0] for i in range(50)] == expected[:50].tolist()


def test_cosines_with_several_others_are_those_of_the_pairs() -> None:
    space = Space.of(clusters(600, 77, spread=1))
    numbers = np.random.default_rng(0).integers(0, 600, (100, 7))
    found = space.cosines(np.arange(100), numbers)
    assert found.shape == (100, 7)
    assert found.tobytes() == space.cosines(np.repeat(np.arange(100), 7), numbers.ravel()).tobytes()


def test_different_vectors_of_the_same_checksum_are_distinct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixvec.similarity.links.space, "_sharing_a_sum", lambda _, rows: rows)  # as if all had the same
    assert Space.of(np.array([[1, 2], [2, 1], [1, 2], [2, 1], [3, 3]], np.float32)).direction.tolist() == [
        0,
        1,
        0,
        1,
        2,
    ]


def test_the_cosine_of_a_vector_with_itself_is_one() -> None:
    vectors = clusters(500, 77, spread=1) * np.logspace(-38, 36, 500, dtype=np.float64).astype(np.float32)[:, None]
    numbers = np.arange(len(Space.of(vectors)))
    assert (Space.of(vectors).cosines(numbers, numbers) == 1).all()


def test_equal_vectors_share_a_direction_which_is_numbered_by_its_first_row() -> None:
    a, b, none, zero = [1, 0], [0, 2], [np.nan, 1], [0, 0]
    space = Space.of(np.array([none, b, a, zero, b, a], np.float32))
    assert space.rows.tolist() == [1, 2]
    assert space.direction.tolist() == [-1, 0, 1, -1, 0, 1]
    assert space.has_vector.tolist() == [False, True, True, True, True, True]
    assert space.lengths.tolist() == [2, 1]
