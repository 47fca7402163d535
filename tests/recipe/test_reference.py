"""The examples of the reference run, in Python and on the command line."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

REFERENCE = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")
(RECIPE,) = re.findall(r"```recipe\n(.*?)```", REFERENCE, re.DOTALL)
NEW = ["embedding", "embedding_error", "embedding_detail", "embedding_image", "targets", "weights"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: ImageServer) -> Path:
    """The recipe of the reference, and photos, where the examples look for them."""
    urls = [server.add(f"/{seed}.jpg", body=image_bytes(seed=seed)) for seed in range(3)]
    pd.DataFrame({"image_url": urls}).to_csv(tmp_path / "photos.csv", index=False)
    (tmp_path / "recipe.txt").write_text(RECIPE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_in_python_run(folder: Path, server: ImageServer, capsys: pytest.CaptureFixture[str]) -> None:
    options = f"model='demo', allow_address=({server.address!r},)"
    for code in re.findall(r"```python\n(.*?)```", REFERENCE, re.DOTALL):
        exec(re.sub(r"(run_recipe\(.*)\)", rf"\1, {options})", code), {})
    assert pq.read_schema(folder / "linked.parquet").names == ["image_url", *NEW]
    assert capsys.readouterr().out == "embed_images(ds.image_url) -> (ds.v)\n\n"


def test_the_examples_on_the_command_line_run(folder: Path, server: ImageServer) -> None:
    (lines,) = re.findall(r"```\n(pixvec run .*?)```", REFERENCE, re.DOTALL)
    run, *others = [shlex.split(line, comments=True) for line in lines.splitlines()]
    for _, *words in [[*run, "--model", "demo", "--allow-address", server.address], *others]:
        subprocess.run([sys.executable, "-m", "pixvec", *words], check=True, capture_output=True, timeout=60)
    assert pq.read_schema(folder / "photos.parquet").names == ["image_url", *NEW]
