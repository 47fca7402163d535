"""Points in cells that are small, not too small, and hold every point once."""

from __future__ import annotations

import numpy as np
import pytest

from link.clusters import clusters
from pixvec.link.cells import Cell, find_cells
from pixvec.values import Vectors

SIZE, LEAST = 32, 10


def cells_of(points: Vectors, seed: int = 0) -> list[Cell]:
    return find_cells(points, SIZE, least=LEAST, seed=seed)


@pytest.mark.parametrize(
    "points",
    [
        clusters(3000, 16, spread=0.1),
        clusters(3000, 16, spread=100),
        clusters(SIZE, 4, spread=1),
        np.ones((3000, 4), np.float32),
        np.zeros((3000, 4), np.float32),
        np.concatenate([np.ones((2900, 4), np.float32), clusters(100, 4, spread=1)]),
        np.concatenate([clusters(2990, 4, spread=0.01, per_cluster=2990), -clusters(10, 4, spread=1)]),
    ],
    ids=["tight", "no clusters", "few", "all the same", "zeros", "a crowd and others", "few stand alone"],
)
def test_each_point_is_in_one_cell_of_a_good_size(points: Vectors) -> None:
    cells = cells_of(points)
    members = [cell.members for cell in cells]
    assert sorted(np.concatenate(members).tolist()) == list(range(len(points)))
    assert all(LEAST <= len(some) <= 8 * SIZE + LEAST for some in members)


@pytest.mark.parametrize(
    "points",
    [clusters(3000, 16, spread=0.1), np.concatenate([clusters(2000, 16, spread=0.001, per_cluster=1000)] * 2)],
    ids=["plain", "crowds"],
)
def test_each_point_visits_one_other_cell_at_most(points: Vectors) -> None:
    cells = cells_of(points)
    visitors = np.concatenate([cell.visitors for cell in cells])
    assert len(visitors) == len(set(visitors.tolist()))
    assert len(visitors) > 0
    assert all(len(cell.visitors) <= 8 * SIZE + LEAST for cell in cells)


def test_near_points_are_mostly_together() -> None:
    points = clusters(4000, 16, spread=0.05, per_cluster=20)
    cell_of = np.empty(4000, int)
    for number, cell in enumerate(cells_of(points)):
        cell_of[cell.members] = number
    cluster = np.arange(4000) % 200
    together = [np.bincount(cell_of[cluster == number]).max() / 20 for number in range(200)]
    assert np.mean(together) > 0.8


def test_another_seed_gives_other_cells() -> None:
    points = clusters(2000, 16, spread=1)
    first, again, other = cells_of(points), cells_of(points), cells_of(points, seed=1)
    assert [cell.members.tolist() for cell in first] == [cell.members.tolist() for cell in again]
    assert [cell.members.tolist() for cell in first] != [cell.members.tolist() for cell in other]
