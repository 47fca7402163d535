"""Neighbours where all pairs would be too many."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from link.clusters import clusters
from pixvec.engine import StoppedError
from pixvec.link.approximate import nearest_approximately
from pixvec.link.exact import nearest
from pixvec.link.space import Space


@pytest.mark.parametrize(
    ("n", "spread", "k"),
    [(3000, 0.01, 15), (3000, 1.0, 15), (3000, 100.0, 15), (3000, 1.0, 1), (1300, 1.0, 100)],
    ids=["tight", "loose", "no clusters", "the nearest alone", "more than a group holds"],
)
def test_the_recall_it_claims_is_the_recall_it_has(n: int, spread: float, k: int) -> None:
    space = Space.of(clusters(n, 16, spread=spread))
    found, claimed = nearest_approximately(space, k)
    true = nearest(space, k)
    recall = np.mean([len(np.intersect1d(*pair)) / k for pair in zip(found.numbers, true.numbers, strict=True)])
    assert recall > 0.9
    assert abs(claimed - recall) < 0.03


def test_weights_and_order_are_those_of_an_exact_search() -> None:
    space = Space.of(clusters(3000, 16, spread=0.5))
    found, _ = nearest_approximately(space, 15)
    exact = space.cosines(np.repeat(np.arange(3000), 15), found.numbers.ravel())
    np.testing.assert_array_equal(found.cosines.ravel(), exact)
    order = np.lexsort((found.numbers, -found.cosines), axis=1)
    np.testing.assert_array_equal(order, np.broadcast_to(np.arange(15), order.shape))
    assert (found.numbers != np.arange(3000)[:, None]).all()


def test_bits_are_the_same_each_time() -> None:
    space = Space.of(clusters(3000, 16, spread=0.5))
    first, second = (nearest_approximately(space, 15) for _ in range(2))
    assert (first[0].numbers.tobytes(), first[1]) == (second[0].numbers.tobytes(), second[1])


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to a core")
def test_bits_do_not_depend_on_the_number_of_cores() -> None:
    program = """
import hashlib, os, sys
from link.clusters import clusters
from pixvec.link.approximate import nearest_approximately
from pixvec.link.space import Space
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
found, recall = nearest_approximately(Space.of(clusters(5000, 200, spread=1)), 15)
print(hashlib.sha256(found.numbers.tobytes() + found.cosines.tobytes()).hexdigest(), recall)
"""
    tests = Path(__file__).parents[1]
    one, all_cores = (
        subprocess.run([sys.executable, "-c", program, n], cwd=tests, check=True, capture_output=True, text=True)
        for n in ("1", "64")
    )
    assert one.stdout == all_cores.stdout


def test_it_stops_when_asked() -> None:
    stop = threading.Event()
    with pytest.raises(StoppedError):
        nearest_approximately(Space.of(clusters(5000, 8, spread=1)), 15, on_progress=lambda *_: stop.set(), stop=stop)
