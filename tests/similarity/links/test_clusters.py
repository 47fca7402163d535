"""Clusters that are small, not too small, and hold every point once."""

from __future__ import annotations

import numpy as np
import pytest

from pixvec.similarity.links.clusters import Cluster, find_clusters
from pixvec.values import Vectors
from tests.similarity.links.clusters import clusters

SIZE, MIN_MEMBERS = 32, 10


def clusters_of(points: Vectors, seed: int = 0) -> list[Cluster]:
    return find_clusters(points, SIZE, min_members=MIN_MEMBERS, seed=seed)


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
    ids=["tight", "no clusters", "few", "all the same", "zeros", "many equal and others", "a few outliers"],
)
def test_each_point_is_a_member_of_one_cluster_of_a_good_size(points: Vectors) -> None:
    found = clusters_of(points)
    members = [cluster.members for cluster in found]
    assert sorted(np.concatenate(members).tolist()) == list(range(len(points)))
    assert all(MIN_MEMBERS <= len(some) <= 8 * SIZE + MIN_MEMBERS for some in members)


@pytest.mark.parametrize(
    "points",
    [clusters(3000, 16, spread=0.1), np.concatenate([clusters(2000, 16, spread=0.001, per_cluster=1000)] * 2)],
    ids=["plain", "dense"],
)
def test_each_point_is_a_second_member_of_one_other_cluster_at_most(points: Vectors) -> None:
    found = clusters_of(points)
    second_members = np.concatenate([cluster.second_members for cluster in found])
    assert len(second_members) == len(set(second_members.tolist()))
    assert len(second_members) > 0
    assert all(len(cluster.second_members) <= 8 * SIZE + MIN_MEMBERS for cluster in found)


def test_near_points_are_mostly_together() -> None:
    points = clusters(4000, 16, spread=0.05, per_cluster=20)
    found = np.empty(4000, int)
    for number, cluster in enumerate(clusters_of(points)):
        found[cluster.members] = number
    drawn = np.arange(4000) % 200
    together = [np.bincount(found[drawn == number]).max() / 20 for number in range(200)]
    assert np.mean(together) > 0.8


def test_another_seed_gives_other_clusters() -> None:
    points = clusters(2000, 16, spread=1)
    first, again, other = clusters_of(points), clusters_of(points), clusters_of(points, seed=1)
    assert _members(first) == _members(again)
    assert _members(first) != _members(other)


def _members(found: list[Cluster]) -> list[list[int]]:
    return [cluster.members.tolist() for cluster in found]
