"""The README's code runs, and its table of codes is whole."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from pixvec.cli import execute
from pixvec.codes import CODES
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.filterwarnings("ignore::pixvec.PixvecWarning")
def test_the_example_runs(
    checkpoint: str,
    server: ImageServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    urls = [*(server.add(f"/{seed}.jpg", body=image_bytes(seed=seed)) for seed in range(4)), server.url("/dead.jpg")]
    pd.DataFrame({"image_url": urls}).to_csv(tmp_path / "photos.csv", index=False)
    monkeypatch.chdir(tmp_path)
    code = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[0]
    options = f"model={checkpoint!r}, allow_address=({server.address!r},)"
    code = code.replace('model="openai/clip-vit-base-patch32"', options)
    code = re.sub(r"(embed_(?:images|table)\(.*?\]\]?)\)", rf"\1, {options})", code)
    exec(code, {})
    printed = capsys.readouterr().out
    assert re.search(r"http_404\s+1", printed)
    assert "5 rows: 4 vectors, 1 without" in printed


def test_the_commands_run_and_tell_what_is_shown(
    checkpoint: str,
    server: ImageServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    urls = [server.add(f"/{seed}.jpg", body=image_bytes(seed=seed)) for seed in range(61)]
    urls += [server.add("/half.jpg", body=image_bytes()[:2_000]), server.add("/page", body=b"<html>"), "anna.jpg", ""]
    urls += [server.url("/gone.jpg"), "http://169.254.169.254/latest/meta-data/"]
    pd.DataFrame({"image_url": urls}).to_csv(tmp_path / "photos.csv", index=False)
    pd.DataFrame({"caption": ["a red bicycle", "a cat"]}).to_csv(tmp_path / "texts.csv", index=False)
    (tmp_path / "recipe.txt").write_text("embed_images(ds.image_url) -> (ds.embedding)")
    monkeypatch.chdir(tmp_path)
    for line in re.findall(r"^\$ pixvec (.*)$", README, re.MULTILINE):
        command, *words = shlex.split(line, comments=True)
        reaching = ["--model", checkpoint, "--allow-address", server.address, "--isolate", "never"]
        flags = reaching if command in {"embed", "search", "run"} else []
        assert execute([command, *words, *flags]) == 0
    shown = re.findall(r"^67 rows.*?^wrote photos.parquet$", README, re.MULTILINE | re.DOTALL)[0]
    assert without_times(shown) in without_times(capsys.readouterr().err)


def without_times(told: str) -> str:
    told = re.sub("private addresses dialled: .*\n", "", told)  # the tests' server is one
    return re.sub(r"[\d.]+ s, [\d.]+ rows/s, bottleneck: \w+|[\d.]+ MB", "…", told)


def test_every_image_is_there_and_small() -> None:
    images = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert images
    assert [name for name in images if not 0 < (ROOT / name).stat().st_size < 150_000] == []


def test_every_code_is_listed() -> None:
    listed = set(re.findall(r"`(\w+)`", README))
    assert set(CODES) - listed == set()
