"""The examples of the pages run, in the order in which a reader meets them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from pixvec.cli import execute
from pixvec.recipe import STEPS, RecipeError, check, parse
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

DOCS = Path(__file__).parents[2] / "docs"
BLOCKS = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:\$ )?(pixvec .*)$", re.MULTILINE)
REACHING = {"embed", "plan", "search", "run"}
TESTED_APART = {"tables.md"}


def examples(page: Path) -> list[tuple[str, str]]:
    """Give the code and the commands of a page, each with its language, in their order."""
    return [
        (language, example)
        for language, block in BLOCKS.findall(page.read_text(encoding="utf-8"))
        for example in ([block] if language == "python" else COMMAND.findall(block))
    ]


PAGES = [page.name for page in sorted(DOCS.glob("*.md")) if page.name not in TESTED_APART and examples(page)]


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
    reaching = ["--model", "demo", "--allow-address", server.address, "--isolate", "never"]
    assert execute([command, *words, *(reaching if command in REACHING else [])]) == 0


def run_code(code: str, server: ImageServer) -> None:
    options = f"model='demo', allow_address=({server.address!r},), isolate='never'"

    def reaching(call: re.Match[str]) -> str:
        return call[1].replace(', model="demo"', "") + f", {options})"

    exec(re.sub(r"((?:embed_images|embed_file|run_recipe)\(.*)\)$", reaching, code, flags=re.MULTILINE), {})


@pytest.mark.filterwarnings("ignore::pixvec.PixvecWarning")
@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, photos: Path, server: ImageServer) -> None:
    if page == "format.md":
        run_command("pixvec embed photos.csv -o photos.parquet", server)
    text = (DOCS / "recipe.md").read_text(encoding="utf-8")
    (photos / "recipe.txt").write_text(re.findall(r"```recipe\n(.*?)```", text, re.DOTALL)[0])
    for language, example in examples(DOCS / page):
        if language == "python":
            run_code(example, server)
        else:
            run_command(example, server)


def test_no_block_of_a_page_is_overlooked() -> None:
    texts = {page.name: page.read_text(encoding="utf-8") for page in DOCS.glob("*.md")}
    fences = {name: len(re.findall("^```", text, re.MULTILINE)) for name, text in texts.items()}
    assert {name: 2 * len(BLOCKS.findall(text)) for name, text in texts.items()} == fences


def test_a_recipes_errors_read_as_the_page_shows() -> None:
    recipe = parse('embed_text_with_model(ds.captoin, {"precision": "fp16"}) -> (ds.v)')
    with pytest.raises(RecipeError) as raised:
        check(recipe, STEPS, {"caption": "text"})
    assert f"```\n{raised.value}\n```" in (DOCS / "recipe.md").read_text(encoding="utf-8")
