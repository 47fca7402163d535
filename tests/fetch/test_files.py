from __future__ import annotations

import asyncio
import errno
import os
from pathlib import Path

import pytest

from pixvec.errors import FetchError
from pixvec.fetch.budget import ByteBudget
from pixvec.fetch.files import LocalFile, LocalFiles, _as_fetch_error, _open_below


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.png").write_bytes(b"outside")
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "a.png").write_bytes(b"inside")
    (tmp_path / "inside" / "folder").symlink_to(tmp_path / "outside")
    (tmp_path / "inside" / "link.png").symlink_to(tmp_path / "outside" / "a.png")
    return tmp_path / "inside"


def test_a_file_counts_against_the_budget_until_it_is_done_with(folder: Path) -> None:
    async def run() -> tuple[bytes, int, int]:
        budget = ByteBudget(100)
        files = LocalFiles(folder, max_bytes=100)
        with budget.lease() as lease:
            body = await files.read(LocalFile("a.png"), lease)
            n_bytes = budget.n_bytes
        return body, n_bytes, budget.n_bytes

    assert asyncio.run(run()) == (b"inside", 6, 0)


@pytest.mark.parametrize("parts", [("link.png",), ("folder", "a.png"), ("folder", "link.png")], ids="/".join)
def test_a_link_that_was_put_there_after_the_look_leads_nowhere(folder: Path, parts: tuple[str, ...]) -> None:
    with pytest.raises((FetchError, OSError)):
        os.close(_open_below(folder, *parts))


def test_the_folder_itself_may_be_a_link(folder: Path) -> None:
    async def run() -> bytes:
        budget = ByteBudget(100)
        with budget.lease() as lease:
            return await LocalFiles(folder / "folder", max_bytes=100).read(LocalFile("a.png"), lease)

    assert asyncio.run(run()) == b"outside"


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, "file_not_found"),
        (errno.ENOTDIR, "file_not_found"),
        (errno.ENAMETOOLONG, "file_not_found"),
        (errno.ELOOP, "path_blocked"),
        (errno.EACCES, "file_error"),
        (errno.EIO, "file_error"),
        (errno.EMFILE, "file_error"),
    ],
    ids=lambda value: errno.errorcode.get(value, value),
)
def test_what_the_system_says_has_a_code(number: int, code: str) -> None:
    error = _as_fetch_error(OSError(number, "secret", "/secret/path"))
    assert error.code == code
    assert "secret" not in error.detail
