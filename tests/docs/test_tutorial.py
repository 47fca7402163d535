"""The tutorial's commands do as written what the page says, in the folder that ``make demo`` leaves."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pixvec.cli import execute

ROOT = Path(__file__).parents[2]
EMBED, *LATER = re.split("^## ", (ROOT / "docs/tutorial.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
N_IMAGES = 12


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line)[1:] for line in re.findall(r"^pixvec .*$", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone")
    command = [sys.executable, "-m", "tools.demo", str(N_IMAGES)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=100)
    return folder / "demo"


def test_the_demos_page_shows_each_image(demo: Path) -> None:
    page = (demo / "gallery.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/webp;base64,') == 4 * 6 + N_IMAGES + 8


def test_later_commands_work_when_the_demos_server_has_ended(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    given = [command for section in LATER for command in commands(section)]
    assert [execute(command) for command in given] == [0] * len(given)
    assert {command[0] for command in given} == {"search", "link", "dedupe"}
    assert Path("found.html").read_text(encoding="utf-8").count('src="data:image/webp;base64,') == 5


def test_the_command_that_retries_spoils_no_row(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    retry = commands(EMBED)[-1]
    assert "--retry-failed" in retry
    before = pq.read_table("photos.parquet")["embedding_error"].to_pylist()
    execute(retry)
    assert pq.read_table("photos.parquet")["embedding_error"].to_pylist() == before
