"""A disk that is really full ends a run with one line; what is finished stays, and is gone on with later."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import pixvec
from pixvec.testing.server import ImageServer
from tests.run.conftest import N_ROWS, Run, contents, n_kept, run_options

ROOM_BYTES = 40 << 10
"""Room for the input, the log and a few parts."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, so small that it fills up."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system can be mounted by root alone")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Leave little room on a disk."""
    ballast = disk / "ballast"
    used = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, used.f_bavail * used.f_frsize - ROOM_BYTES)
    return ballast


@pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out/"])
def test_a_full_disk_loses_nothing(
    output: str, disk: Path, site: ImageServer, checkpoint: str, whole: dict[str, bytes]
) -> None:
    run = Run(disk, site, run_options(site, checkpoint))
    ballast = fill(disk)
    with pytest.raises(pixvec.RunError, match=f"cannot be written: {os.strerror(errno.ENOSPC)}") as caught:
        run(output)
    n_safe = n_kept(caught.value)
    assert len(run.parts(output)) * run.options["part_rows"] <= n_safe < N_ROWS
    assert n_safe > 0
    assert not any(name.startswith("unfinished") for name in run.leftovers())

    n_requests = len(site.requests)
    ballast.unlink()
    assert run(output).n_resumed == n_safe
    assert len(site.requests) - n_requests == N_ROWS - n_safe
    made = contents(disk)
    assert made == {name: whole[name] for name in made}
    assert run.leftovers() == []
