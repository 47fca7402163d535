"""The examples of docs/tables.md run: its commands, and how other tools see what they wrote."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixvec.cli import execute
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = re.findall(r"^pixvec embed .*$", PAGE, re.MULTILINE)
TOOLS = ("pyspark", "duckdb", "polars", "pandas", "numpy")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, checkpoint: str) -> Iterator[Path]:
    """The files that the page speaks of, and what its commands make of them."""
    folder = tmp_path_factory.mktemp("tables")
    with ImageServer() as server, pytest.MonkeyPatch.context() as patch:
        urls = [server.add(f"/{seed}.png", body=image_bytes("PNG", size=(40, 40), seed=seed)) for seed in range(3)]
        rows = "id,image_url\n" + "".join(f"0{row},{url}\n" for row, url in enumerate([*urls, server.url("/gone.png")]))
        (folder / "photos.csv").write_text(rows)
        (folder / "months").mkdir()
        (folder / "months" / "may.csv").write_text(rows)
        (folder / "images").mkdir()
        (folder / "images" / "a.png").write_bytes(image_bytes("PNG", size=(40, 40)))
        patch.chdir(folder)
        for command in COMMANDS:
            flags = ["--model", checkpoint, "--allow-address", server.address, "--isolate", "never", "--quiet"]
            assert execute([*shlex.split(command)[1:], *flags]) == 0
        yield folder


def tool_of(code: str) -> str:
    return next(tool for tool in TOOLS if f"import {tool}" in code or f"from {tool}" in code)


def test_every_command_writes_its_file(photos: Path) -> None:
    written = {path.name for path in photos.iterdir() if not path.name.endswith(".provenance.json")}
    words = map(shlex.split, COMMANDS)
    assert {outputs[outputs.index("-o") + 1].rstrip("/") for outputs in words} <= written


EXAMPLES = {tool: [code for code in CODE if tool_of(code) == tool] for tool in TOOLS}
IN_PROCESS = [code for tool in TOOLS if tool != "pyspark" for code in EXAMPLES[tool]]


@pytest.mark.parametrize("code", IN_PROCESS, ids=map(tool_of, IN_PROCESS))
def test_other_tools_see_the_vectors_as_the_page_says(code: str, photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(tool_of(code))
    monkeypatch.chdir(photos)
    exec(code.replace("FLOAT[512]", "FLOAT[32]"), {})  # as the vectors of the tests' checkpoint are


@pytest.mark.engines
@pytest.mark.timeout(300)  # its Java alone can take a minute to begin
def test_spark_sees_the_vectors_as_the_page_says(photos: Path) -> None:
    pytest.importorskip("pyspark", reason="Spark is not installed: pip install 'pixvec[engines]'")
    if not (os.environ.get("JAVA_HOME") or shutil.which("java")):
        pytest.skip("Spark needs Java")
    (code,) = EXAMPLES["pyspark"]
    nulls = 'assert photos.where("embedding IS NULL").count() == 1'
    lengths = 'assert {row[0] for row in photos.selectExpr("size(embedding)").dropna().collect()} == {32}'
    # In a process of its own, with which its Java ends.
    subprocess.run([sys.executable, "-c", f"{code}\n{nulls}\n{lengths}\nspark.stop()"], cwd=photos, check=True)
