"""How many cores a process may use: what affinity leaves, or less where a container's quota says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixvec.concurrency.cpu import cpu_quota, n_cores, n_usable

ONE = "100000"


def quota(tmp_path: Path, membership: str, files: dict[str, str]) -> int | None:
    """Read the quota of a process whose groups and limits are these."""
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n")
    return cpu_quota(membership=tmp_path / "membership", cgroups=tmp_path / "cgroup")


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        pytest.param("0::/\n", {"cpu.max": f"200000 {ONE}"}, 2, id="a container's own root"),
        pytest.param("0::/\n", {"cpu.max": f"150000 {ONE}"}, 2, id="rounded up"),
        pytest.param("0::/\n", {"cpu.max": f"1000 {ONE}"}, 1, id="never below one"),
        pytest.param("0::/\n", {"cpu.max": "50000 10000"}, 5, id="another period"),
        pytest.param("0::/\n", {"cpu.max": f"max {ONE}"}, None, id="no limit"),
        pytest.param("0::/\n", {}, None, id="no controller"),
        pytest.param("", {"cpu.max": f"200000 {ONE}"}, None, id="no groups"),
        pytest.param("0::/a/b\n", {"a/b/cpu.max": f"300000 {ONE}"}, 3, id="its own group"),
        pytest.param(
            "0::/a/b\n", {"a/b/cpu.max": f"max {ONE}", "a/cpu.max": f"300000 {ONE}"}, 3, id="a parent's limit"
        ),
        pytest.param(
            "0::/a/b\n",
            {"a/b/cpu.max": f"400000 {ONE}", "a/cpu.max": f"600000 {ONE}", "cpu.max": f"900000 {ONE}"},
            4,
            id="the tightest counts",
        ),
        pytest.param("0::/a/b\n", {"a/other/cpu.max": f"100000 {ONE}"}, None, id="another group's limit"),
        pytest.param("0::/docker/1a\n", {"cpu.max": f"200000 {ONE}"}, 2, id="the outside's path, the inside's files"),
        pytest.param("0::/../other\n", {"cpu.max": f"200000 {ONE}"}, 2, id="a path that leads out"),
        pytest.param(
            "3:cpu,cpuacct:/a\n0::/\n",
            {"cpu,cpuacct/a/cpu.cfs_quota_us": "250000", "cpu,cpuacct/a/cpu.cfs_period_us": ONE},
            3,
            id="version 1",
        ),
        pytest.param(
            "3:cpuacct,cpu:/\n", {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": ONE}, 3, id="by a link"
        ),
        pytest.param(
            "3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": ONE}, None, id="version 1, no limit"
        ),
        pytest.param(
            "3:cpuset:/\n", {"cpuset/cpu.cfs_quota_us": "1", "cpuset/cpu.cfs_period_us": ONE}, None, id="no CPU time"
        ),
        pytest.param("4:cpu:/\n0::/a\n", {"unified/a/cpu.max": f"200000 {ONE}"}, 2, id="both versions"),
        pytest.param("0::/\n", {"cpu.max": "nonsense"}, None, id="nonsense"),
    ],
)
def test_a_quota_is_worth_so_many_cores(
    membership: str, files: dict[str, str], expected: int | None, tmp_path: Path
) -> None:
    assert expected == quota(tmp_path, membership, files)


@pytest.mark.parametrize(("cores", "expected"), [(1, 1), (10_000, n_usable())])
def test_the_smaller_of_affinity_and_quota_counts(cores: int, expected: int, tmp_path: Path) -> None:
    quota(tmp_path, "0::/\n", {"cpu.max": f"{cores}00000 {ONE}"})
    assert expected == n_cores(membership=tmp_path / "membership", cgroups=tmp_path / "cgroup")
    assert n_usable() == n_cores(membership=tmp_path / "none", cgroups=tmp_path)
