"""The README's code runs, and its table of codes is whole."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest

from pixvec.codes import CODES
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

README = (Path(__file__).parents[1] / "README.md").read_text()


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


def test_every_code_is_listed() -> None:
    listed = set(re.findall(r"`(\w+)`", README))
    assert set(CODES) - listed == set()
