"""The top k, in whatever order and however often candidates come."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pixvec.similarity.links.top_k import TopK

N, K = 12, 4


NUMBERS = st.integers(0, N - 1)
Addition: TypeAlias = tuple[set[int], set[int], bool]


@given(st.lists(st.tuples(st.sets(NUMBERS), st.sets(NUMBERS, min_size=1), st.booleans())))
def test_the_greatest_are_kept_once_each(additions: list[Addition]) -> None:
    cosines = np.random.default_rng(0).permutation(N * N).reshape(N, N).astype(np.float32)
    top_k = TopK(np.arange(N), K)
    met: list[set[int]] = [set() for _ in range(N)]
    for rows, others, is_merged in additions:
        some, those = np.array(sorted(rows), int), np.array(sorted(others), int)
        if is_merged:
            top_k.merge(some, np.tile(those, (len(some), 1)), cosines[np.ix_(some, those)])
        else:
            top_k.update(some, those, cosines[np.ix_(some, those)])
        for row in rows:
            met[row] |= others - {row}
    for row, numbers, kept in zip(range(N), top_k.directions, top_k.cosines, strict=True):
        expected = sorted(met[row], key=lambda other: -cosines[row, other])[:K]
        assert {number for number, cosine in zip(numbers, kept, strict=True) if cosine > -np.inf} == set(expected)
        assert kept[kept > -np.inf].tolist() == sorted(cosines[row, expected])
