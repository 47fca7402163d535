"""Pages in a real browser: what strangers wrote runs nothing and loads nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import TypeAlias

import pytest

from pixvec.cli.dedupe import MAX_SECTIONS, MAX_TILES, SECTIONS_PER_PAGE
from pixvec.formatting.bidi import isolated
from pixvec.pipeline.thumbnails import data_url
from pixvec.reports.gallery import Section, Tile, render_gallery
from pixvec.reports.notebook import Gallery
from pixvec.reports.review import ReviewOptions, review_table
from pixvec.reports.review.page import render_review
from pixvec.testing.images import draw, encode
from pixvec.testing.server import ImageServer
from tests.reports.reviewed import embedded, failed, write_reviewed

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


def photos_page(_words: list[str], folder: Path) -> str:
    """A report with something in each of its parts."""
    cells = [f"https://a.example/{row}" for row in range(20)]
    codes = ["null_input", "address_blocked", "http_404", "timeout", "corrupt_image", "internal_error", "new_code"]
    rows = [failed(code, "it failed") for code in codes]
    rows += [embedded("gone" if row % 2 else str(row), final_url="https://a.example/") for row in range(13)]
    return render_review(review_table(write_reviewed(folder / "photos.parquet", cells, rows), ReviewOptions()))


def found_page(_words: list[str], _folder: Path) -> str:
    """A gallery with everything that it can show."""
    tiles = [
        Tile("a cat", "row 1", data_url(encode(draw(), "WEBP")), is_marked=True),
        Tile("a dog", "row 2", missing="http_404"),
    ]
    sections = [Section("Group", tiles, text="some text")] * 3
    return render_gallery("Found", sections, text="text", facts={"Model": "demo"}, sections_per_page=2)


def gallery_page(words: list[str], folder: Path) -> str:
    """A gallery that holds the words wherever a stranger's can stand."""
    tiles = [Tile(word, word, data_url(encode(draw(), "WEBP")), link=f"https://a.example/{word}") for word in words]
    return render_gallery(words[0], [Section(word, [*tiles, Tile(word, link=word)]) for word in words])


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


def with_script(page: str, script: str) -> str:
    """Let a page run a script that measures it, which its policy forbids."""
    policy = re.search(r"<meta http-equiv[^>]*>", page)
    assert policy is not None
    return page.replace(policy[0], "").replace("</body>", f"<script>{script}</script></body>")


_CONTRASTS = """
const channels = colour => colour.match(/[0-9.]+/g).map(Number);
const linear = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const ground = element => {
  for (; element; element = element.parentElement) {
    const [r, g, b, alpha = 1] = channels(getComputedStyle(element).backgroundColor);
    if (alpha > 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const low = [];
let n = 0;
for (const element of document.querySelectorAll("body *:not(title)")) {
  if (![...element.childNodes].some(node => node.nodeType === 3 && node.data.trim())) continue;
  const style = getComputedStyle(element);
  const ink = channels(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
  const [dark, light] = [luminance(ink), luminance(ground(element))].sort((a, b) => a - b);
  n += 1;
  if ((light + 0.05) / (dark + 0.05) < 4.5) low.push(element.outerHTML.slice(0, 80));
}
document.title = `${n} texts, low: ${low.join(" ")}.`;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("make_page", [photos_page, found_page])
def test_all_text_stands_out(
    make_page: Callable[[list[str], Path], str], scheme: str, browse: Browse, tmp_path: Path
) -> None:
    page = with_script(make_page([], tmp_path), _CONTRASTS)
    if scheme == "dark":
        page = re.sub(r"@media [^{]*\(prefers-color-scheme: dark\)", "@media all", page)
    title = re.search(r"<title>(\d+) texts, low: (.*?)\.</title>", browse(page), re.DOTALL)
    assert title is not None
    assert int(title[1]) > 10
    assert title[2] == ""


REVERSING = {
    "override": "\u202egpj.exe",
    "override that ends an isolate": "\u2069\u202egpj.exe",
    "closers of everything": "\u202c\u2069\u2069\u202egpj.exe",
    "isolate left open": "a \u2067b",
    "embedding within an isolate": "\u2067\u202e\u2069gpj\u202e",
    "hebrew": "\u05d0\u05d1\u05d2",
    "arabic and numbers": "\u0623\u0628 12",
    "many": "\u2067" * 200 + "abc",
    "two lines": "a\u202e\nb",
}
PLACES = """<p style="white-space: pre-line"><span id="text">{}</span> <span id="after">3 rows</span></p><script>
const [text, after] = ["text", "after"].map(id => [...document.getElementById(id).getClientRects()].at(-1));
document.title = after.left >= text.right ? "it stays behind" : "it moved";</script>"""


@pytest.mark.parametrize("text", REVERSING.values(), ids=list(REVERSING))
def test_what_runs_from_right_to_left_moves_nothing_beside_it(browse: Browse, text: str) -> None:
    assert "<title>it stays behind</title>" in browse(PLACES.format(escape(isolated(text))))


def test_what_is_not_isolated_would_move_it(browse: Browse) -> None:
    assert "<title>it moved</title>" in browse(PLACES.format(REVERSING["override"]))


def test_as_many_duplicates_as_there_may_be_are_no_endless_page(browse: Browse) -> None:
    tiles = [
        Tile(
            "a name", "cosine 0.9876\nrow 1 and 2 more with the same file\n640 x 480", data_url(encode(draw(), "WEBP"))
        )
    ]
    sections = [Section(f"group {number}", tiles * MAX_TILES) for number in range(MAX_SECTIONS)]
    page = render_gallery("Near-duplicates", sections, sections_per_page=SECTIONS_PER_PAGE)
    shown = browse(with_script(page, "document.title = `${document.documentElement.scrollHeight} pixels`"))
    height = re.search(r"<title>(\d+) pixels", shown)
    assert height is not None
    assert 1_000 < int(height[1]) < 12_000


_CLICK = """
onload = () => {
  const page = document.querySelector("iframe").contentDocument;
  page.querySelector("a.frame").click();
  setTimeout(() => document.title = `${page.URL}: ${page.querySelector("li:target")?.id}`, 100);
};
"""


def test_a_click_in_a_notebook_enlarges_the_image_and_leads_nowhere(browse: Browse) -> None:
    gallery = Gallery(found_page([], Path()), 1)
    framed = gallery._repr_html_().replace('sandbox=""', "")  # which keeps scripts out, also one that clicks
    assert "<title>about:srcdoc#i1-1: i1-1</title>" in browse(f"<title>page</title>{framed}<script>{_CLICK}</script>")
