"""Pages in a real browser: what strangers wrote runs nothing and loads nothing."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from pixvec.gallery import Shelf, Tile, make_thumbnail, render_gallery
from pixvec.review import ReviewOptions, review_table
from pixvec.review.page import render_review
from pixvec.testing.images import draw
from pixvec.testing.server import ImageServer
from reviewed import embedded, failed, write_reviewed

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="there is no chromium")

Browse: TypeAlias = Callable[[str], str]


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """Open a page, and give its elements as they are when everything has run."""

    def run(page: str) -> str:
        path = tmp_path / "page.html"
        path.write_text(page, encoding="utf-8")
        command = [str(BROWSER), *FLAGS, f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    return run


def hostile(server: ImageServer) -> list[str]:
    """What a stranger may write in order to run or load something; whatever runs makes a title."""
    ran, there = "document.title='RAN'", server.url("/loaded")
    return [
        f"<script>{ran}</script>",
        f'"><img src={there} onerror="{ran}">',
        f'\'><svg onload="{ran}"><image href={there}></svg>',
        f"</title></style></textarea><iframe src={there}></iframe>",
        f"<link rel=stylesheet href={there}><base href={there}>",
        f'<meta http-equiv=refresh content="0;url={there}">',
        f"url({there}) {{{{7*7}}}} {{% raw %}} ${{7*7}}",
        f"javascript:{ran}",
    ]


def review_page(words: list[str], folder: Path) -> str:
    """A report on a table that holds the words wherever a stranger's can stand."""
    cells = [f"https://a.example/{word}" for word in words] + words
    rows = [failed(word, word) for word in words]
    rows += [embedded("gone", format=word, final_url=word) for word in words]
    facts = {"model": words[0], **dict(zip(words, words, strict=True))}
    table = write_reviewed(folder / "photos.parquet", cells, rows, column=words[1], facts=facts)
    return render_review(review_table(table, ReviewOptions()))


def gallery_page(words: list[str], folder: Path) -> str:
    """A gallery that holds the words wherever a stranger's can stand."""
    tiles = [Tile(word, word, make_thumbnail(draw()), link=f"https://a.example/{word}") for word in words]
    return render_gallery(words[0], [Shelf(word, [*tiles, Tile(word, link=word)]) for word in words])


@pytest.mark.parametrize("make_page", [review_page, gallery_page])
def test_nothing_runs_and_nothing_is_loaded(
    make_page: Callable[[list[str], Path], str], browse: Browse, server: ImageServer, tmp_path: Path
) -> None:
    words = hostile(server)
    shown = browse(make_page(words, tmp_path))
    assert shown.count("&lt;script&gt;document.title='RAN'&lt;/script&gt;") >= 3
    assert "{{7*7}}" in shown
    assert "<title>RAN</title>" not in shown
    assert server.requests == []


def test_the_browser_would_run_and_load_it(browse: Browse, server: ImageServer) -> None:
    shown = browse(f"<title>page</title>{''.join(hostile(server)[:2])}")
    assert "<title>RAN</title>" in shown
    assert server.n_requests("/loaded") == 1
