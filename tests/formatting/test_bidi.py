"""Text from right to left on pages: it is shown, and leaves what stands beside it as it is."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.formatting.bidi import ascii_url, isolated
from pixvec.reports.gallery import Section, Tile, render_gallery
from pixvec.reports.review import ReviewOptions, review_table
from pixvec.reports.review.page import render_review

EVIL = "\u2069\u202egnp.exe"
SHOWN = "\u2068\u202egnp.exe\u202c\u2069"


class _Texts(HTMLParser):
    """Collects the texts and attributes of a page in which something runs from right to left."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_data(self, data: str) -> None:
        self.found += [data] if "gnp" in data else []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del tag
        self.found += [value for _, value in attrs if value and "gnp" in value]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Gr\u00fc\u00dfe \u4e2d", "Gr\u00fc\u00dfe \u4e2d"),
        (EVIL, SHOWN),
        ("\u05d0 1", "\u2068\u05d0 1\u2069"),
        ("\u202ea\u202cb\u202c", "\u2068\u202ea\u202cb\u2069"),
        ("\u2067\u202ea\u2069b", "\u2068\u2067\u202ea\u2069b\u2069"),
        ("\u2067a\u202cb", "\u2068\u2067ab\u2069\u2069"),
        ("\u202ea\nb", "\u2068\u202ea\u202c\u2069\nb"),
        (5, 5),
        (None, None),
    ],
)
def test_what_runs_from_right_to_left_is_isolated_and_closed(text: object, shown: object) -> None:
    assert isolated(text) == shown


def test_a_link_stays_one() -> None:
    assert ascii_url("http://a.example/%20?q=[1]#\u202e\u00e9") == "http://a.example/%20?q=[1]#%E2%80%AE%C3%A9"


def test_a_gallery_isolates_every_text() -> None:
    named = Tile(EVIL, EVIL, link=f"http://a.example/{EVIL}")
    page = render_gallery(
        EVIL,
        [Section(EVIL, [named, Tile(EVIL, thumbnail="data:image/webp;base64,"), Tile("", missing=EVIL)], EVIL)],
        text=EVIL,
        facts={EVIL: EVIL},
    )
    links = [text for text in _Texts(page).found if text.startswith("http:")]
    assert links == ["http://a.example/%E2%81%A9%E2%80%AEgnp.exe"]
    assert {SHOWN} == {*_Texts(page).found} - {*links}


def test_a_report_isolates_every_text(tmp_path: Path) -> None:
    columns = {
        EVIL: pa.array([f"http://a.test/{EVIL}", EVIL]),
        "v": pa.nulls(2, pa.list_(pa.float32(), 2)),
        "v_error": pa.array([EVIL, "corrupt_image"]),
        "v_detail": pa.array([EVIL, f"`{EVIL}` {EVIL}"]),
    }
    path = tmp_path / f"{EVIL}.parquet"
    pq.write_table(pa.table(columns), path)
    page = render_review(review_table(path, ReviewOptions(column=EVIL)))
    assert len(_Texts(page).found) > 5
    for text in _Texts(page).found:
        assert text.startswith("http:") or "\u2068" in text
        assert text.count("\u2068") == text.count("\u2069")
        assert text.count("\u202e") == text.count("\u202c")
