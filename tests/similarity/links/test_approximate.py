"""Neighbours where all pairs would be too many."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pixvec.concurrency.stop import StoppedError
from pixvec.similarity.links.approximate import ApproximateSearch
from pixvec.similarity.links.exact import ExactSearch
from pixvec.similarity.links.space import Space
from tests.similarity.links.clusters import clusters


@pytest.mark.parametrize(
    ("n", "spread", "k"),
    [(3000, 0.01, 15), (3000, 1.0, 15), (3000, 100.0, 15), (3000, 1.0, 1), (1300, 1.0, 100)],
    ids=["tight", "loose", "no clusters", "the nearest alone", "more than a group holds"],
)
def test_the_recall_it_claims_is_the_recall_it_has(n: int, spread: float, k: int) -> None:
    space = Space.of(clusters(n, 16, spread=spread))
    found, true = ApproximateSearch().nearest(space, k), ExactSearch().nearest(space, k)
    recall = np.mean([len(np.intersect1d(*pair)) / k for pair in zip(found.directions, true.directions, strict=True)])
    assert recall > 0.9
    assert found.recall == pytest.approx(recall, abs=0.03)


def test_bits_are_the_same_each_time() -> None:
    space = Space.of(clusters(3000, 16, spread=0.5))
    first, second = (ApproximateSearch().nearest(space, 15) for _ in range(2))
    assert (first.directions.tobytes(), first.recall) == (second.directions.tobytes(), second.recall)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot hold a process to a core")
def test_bits_do_not_depend_on_the_number_of_cores() -> None:
    program = """
import hashlib, os, sys
from tests.similarity.links.clusters import clusters
from pixvec.similarity.links.approximate import ApproximateSearch
from pixvec.similarity.links.space import Space
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:int(sys.argv[1])])
found = ApproximateSearch().nearest(Space.of(clusters(5000, 200, spread=1)), 15)
print(hashlib.sha256(found.directions.tobytes() + found.cosines.tobytes()).hexdigest(), found.recall)
"""
    root = Path(__file__).parents[3]
    one, all_cores = (
        subprocess.run([sys.executable, "-c", program, n], cwd=root, check=True, capture_output=True, text=True)
        for n in ("1", "64")
    )
    assert one.stdout == all_cores.stdout


def test_it_stops_when_asked() -> None:
    space, stop = Space.of(clusters(5000, 8, spread=1)), threading.Event()
    with pytest.raises(StoppedError):
        ApproximateSearch().nearest(space, 15, on_progress=lambda *_: stop.set(), stop=stop)
