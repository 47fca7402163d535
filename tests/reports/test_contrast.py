"""The pages' colours: text has a contrast of at least 4.5 to its ground, and bars of 3, in light and in dark."""

from __future__ import annotations

from pathlib import Path

import pytest

from pixvec.reports.gallery import Section, Tile, render_gallery
from pixvec.reports.review import ReviewOptions, review_table
from pixvec.reports.review.page import render_review
from tests.reports.contrast import contrast, palettes
from tests.reports.reviewed import embedded, failed, write_reviewed

BARS = ("vectors", "input", "address", "network", "image", "pixvec", "other")


@pytest.fixture
def pages(tmp_path: Path) -> dict[str, str]:
    cells = [f"https://a.example/{row}" for row in range(3)]
    table = write_reviewed(tmp_path / "t.parquet", cells, [embedded(), failed("http_404"), failed("timeout")])
    return {
        "report": render_review(review_table(table, ReviewOptions())),
        "gallery": render_gallery("t", [Section("s", [Tile("c", "n", is_marked=True)])]),
    }


def test_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("page", "inks", "grounds", "least"),
    [
        ("report", ("ink", "soft", "faint"), ("paper", "card"), 4.5),
        ("report", BARS, ("paper", "card", "track"), 3.0),
        ("gallery", ("ink", "faint", "mark"), ("paper",), 4.5),
    ],
)
def test_what_is_shown_stands_out(
    page: str, inks: tuple[str, ...], grounds: tuple[str, ...], least: float, scheme: str, pages: dict[str, str]
) -> None:
    colours = palettes(pages[page])[scheme]
    ratios = {(ink, ground): contrast(colours[ink], colours[ground]) for ink in inks for ground in grounds}
    assert {pair: round(ratio, 2) for pair, ratio in ratios.items() if ratio < least} == {}


@pytest.mark.parametrize("page", ["report", "gallery"])
def test_all_colours_have_names(page: str, pages: dict[str, str]) -> None:
    """Or the test above would not see them."""
    style = pages[page].partition("<style>")[2].partition("</style>")[0]
    rules = style.rpartition("--other" if page == "report" else "--mark")[2]
    assert [part for part in rules.split("}", 2)[2].split() if part.startswith("#")] == []


@pytest.mark.parametrize("page", ["report", "gallery"])
def test_a_page_has_a_language_a_heading_and_a_main_part(page: str, pages: dict[str, str]) -> None:
    for element in ('<html lang="en">', "<h1>", "<h2>", "<main>", "</main>", "<header>"):
        assert pages[page].count(element) >= 1
    assert pages[page].count("<main>") == pages[page].count("<h1>") == 1
