"""The examples of the pages run, in the order in which a reader meets them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from pixvec.cli import execute
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

DOCS = Path(__file__).parent.parent / "docs"
BLOCKS = re.compile(r"```(python|)\n(.*?)```", re.DOTALL)
REACHING = {"embed", "search", "run"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ImageServer) -> Path:
    """A table of photos, one of them gone, and one of texts, where the examples look for them."""
    urls = [*(server.add(f"/{seed}.jpg", body=image_bytes(seed=seed)) for seed in range(6)), server.url("/gone.jpg")]
    pd.DataFrame({"id": range(len(urls)), "image_url": urls}).to_csv(tmp_path / "photos.csv", index=False)
    pd.DataFrame({"caption": ["a red bicycle", None, "a cat"]}).to_csv(tmp_path / "texts.csv", index=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_command(line: str, server: ImageServer) -> None:
    _, command, *words = shlex.split(line, comments=True)
    flags = ["--model", "demo", "--allow-address", server.address] if command in REACHING else []
    assert execute([command, *words, *flags]) == 0


def run_code(code: str, server: ImageServer) -> None:
    options = f"model='demo', allow_address=({server.address!r},)"
    exec(re.sub(r"(embed_images\(.*\]\))", lambda call: f"{call[1][:-1]}, {options})", code), {})


@pytest.mark.filterwarnings("ignore::pixvec.PixvecWarning")
@pytest.mark.parametrize(
    "page", ["tutorial.md", "format.md", "index.md", "cache.md", "search.md", "links.md", "runs.md", "texts.md"]
)
def test_the_examples_of_a_page_run(page: str, photos: Path, server: ImageServer) -> None:
    if page == "format.md":
        run_command("pixvec embed photos.csv -o photos.parquet", server)
    n_run = 0
    for language, block in BLOCKS.findall((DOCS / page).read_text(encoding="utf-8")):
        if language == "python":
            run_code(block, server)
            n_run += 1
        for line in block.splitlines():
            if language == "" and line.startswith("pixvec "):
                run_command(line, server)
                n_run += 1
    assert n_run > 0
