"""How many cores this process may use: its affinity says so, and in a container the CPU quota of its control groups."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Final

_MEMBERSHIP: Final = Path("/proc/self/cgroup")
_CGROUPS: Final = Path("/sys/fs/cgroup")


def n_cores(*, membership: Path = _MEMBERSHIP, cgroups: Path = _CGROUPS) -> int:
    """Count the cores that this process may use; a quota of one and a half cores counts as two.

    Parameters
    ----------
    membership
        The file that names the control groups of this process.
    cgroups
        The folder that control groups are mounted in.
    """
    quota = cpu_quota(membership=membership, cgroups=cgroups)
    return n_usable() if quota is None else min(n_usable(), quota)


def n_usable() -> int:
    """Count the cores that the scheduler may put this process on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_quota(*, membership: Path = _MEMBERSHIP, cgroups: Path = _CGROUPS) -> int | None:
    """Return the cores that the CPU quota is worth, rounded up; None where there is none."""
    quotas = [quota for folder in _folders(membership, cgroups) if (quota := _quota(folder))]
    return math.ceil(min(quotas)) if quotas else None


def _folders(membership: Path, cgroups: Path) -> Iterator[Path]:
    """Find the folders of the control groups that this process is in, and of their parents, which limit it too.

    A container may see its own group as the root, under the path that it has outside: so folders may be missing.
    """
    with suppress(OSError):
        for line in membership.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            group = PurePosixPath(path).relative_to("/")
            for mount in _mounts(cgroups, controllers):
                yield from (mount / parent for parent in (group, *group.parents) if ".." not in parent.parts)


def _mounts(cgroups: Path, controllers: str) -> list[Path]:
    """Name where a hierarchy that may limit CPU time is mounted: the one of version 2, or that of its controllers."""
    if not controllers:
        return [cgroups, cgroups / "unified"]
    return [cgroups / controllers, cgroups / "cpu"] if "cpu" in controllers.split(",") else []


def _quota(folder: Path) -> float | None:
    """Read how many cores' time a group may take; None where it has no limit, or does not exist."""
    with suppress(OSError, ValueError):  # version 2 writes "max" for no limit
        if (file := folder / "cpu.max").exists():
            quota, period = map(int, file.read_text().split())
        else:
            quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 and period > 0 else None
    return None
