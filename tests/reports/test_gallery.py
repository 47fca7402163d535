"""The page shows what strangers wrote as text, loads nothing and runs nothing."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from pixvec.errors import RowError
from pixvec.pipeline.settings import ImageOptions
from pixvec.pipeline.thumbnails import data_url, fetch_thumbnails
from pixvec.reports.gallery import Section, Tile, render_gallery
from pixvec.testing.images import draw, encode
from pixvec.testing.server import ImageServer

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=http://evil.example/x onerror=alert(1)>',
    "{{7*7}}",
    "</title><base href=//evil.example>",
]


class Elements(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("words", HOSTILE)
def test_what_strangers_wrote_is_text(words: str) -> None:
    tile = Tile(words, note=words, thumbnail=data_url(encode(draw(), "WEBP")), link=f"https://a.example/{words}")
    tame = Tile("words", note="words", thumbnail=data_url(encode(draw(), "WEBP")), link="https://a.example/words")
    page = Elements(render_gallery(words, [Section(words, [tile], text=words)], text=words))
    expected = Elements(render_gallery("words", [Section("words", [tame], text="words")], text="words"))
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in expected.tags]
    assert [sorted(attributes) for _, attributes in page.tags] == [
        sorted(attributes) for _, attributes in expected.tags
    ]
    assert page.text.count(words) == expected.text.count("words")


@pytest.mark.parametrize(
    ("link", "followed"),
    [
        ("https://a.example/a.jpg", True),
        ("HTTP://a.example/", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        (None, False),
    ],
)
def test_only_web_links_are_links(link: str | None, followed: bool) -> None:
    page = Elements(render_gallery("t", [Section("s", [Tile("c", link=link)])]))
    links = [attributes for tag, attributes in page.tags if tag == "a"]
    assert links == ([{"href": link, "rel": "noreferrer"}] if followed else [])


def test_the_page_loads_nothing() -> None:
    page = render_gallery("t", [Section("s", [Tile("c", thumbnail=data_url(encode(draw(), "WEBP")))])])
    sources = [attributes["src"] for tag, attributes in Elements(page).tags if "src" in attributes]
    assert all(source and source.startswith("data:image/webp;base64,") for source in sources)
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page


def test_thumbnails_come_in_the_order_of_their_cells_and_the_reason_where_there_is_no_image(
    server: ImageServer,
) -> None:
    slow = server.add("/slow.png", body=encode(draw((300, 200)), "PNG"), delay_s=0.2)
    cells = [slow, None, " ", b"junk", server.url("/dead"), encode(draw((64, 64))), "ftp://a.example/a.jpg", 7]
    made = fetch_thumbnails(cells, ImageOptions(allow_private=True, isolate="never"))
    assert [one.code if isinstance(one, RowError) else "" for one in made] == [
        *("", "null_input", "null_input", "not_an_image", "http_404", "", "scheme_blocked", "invalid_url")
    ]
    assert made[0] != made[5]


def test_thumbnails_are_fetched_under_the_guard(server: ImageServer) -> None:
    url = server.add("/a.png", body=encode(draw(), "PNG"))
    (made,) = fetch_thumbnails([url], ImageOptions(isolate="never"))
    assert isinstance(made, RowError)
    assert made.code == "address_blocked"


def test_a_marked_tile_stands_out_and_an_empty_frame_says_why() -> None:
    page = Elements(render_gallery("t", [Section("s", [Tile("c", is_marked=True, missing="http_404"), Tile("d")])]))
    assert [attributes.get("class") for tag, attributes in page.tags if tag == "li"] == ["marked", None]
    assert page.text.count("http_404") == page.text.count("no image") == 1


def test_a_click_enlarges_an_image_and_another_leads_back() -> None:
    image = data_url(encode(draw(), "WEBP"))
    page = Elements(render_gallery("t", [Section("s", [Tile("a", thumbnail=image), Tile("b", thumbnail=image)])]))
    items = [attributes["id"] for tag, attributes in page.tags if tag == "li"]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert links == [f"#{items[0]}", "#closed", f"#{items[1]}", f"#{items[1]}", f"#{items[0]}", "#closed"]


def test_every_image_has_a_text_in_its_place() -> None:
    image = data_url(encode(draw(), "WEBP"))
    page = Elements(render_gallery("t", [Section("s", [Tile("a cat", thumbnail=image), Tile("", thumbnail=image)])]))
    assert [attributes["alt"] for tag, attributes in page.tags if tag == "img"] == ["a cat", "image without a name"]


def test_many_shelves_are_pages_of_which_one_is_open() -> None:
    sections = [Section(f"section {number}", [Tile("c")]) for number in range(5)]
    page = Elements(render_gallery("t", sections, sections_per_page=2))
    pages = [attributes for tag, attributes in page.tags if tag == "details"]
    assert pages == [{"name": "pages", "open": None}, {"name": "pages"}, {"name": "pages"}]
    assert all(words in page.text for words in ("Groups 1 to 2", "Groups 3 to 4", "Groups 5 to 5"))
    assert "details" not in {tag for tag, _ in Elements(render_gallery("t", sections, sections_per_page=5)).tags}


def test_facts_are_names_and_what_they_stand_for() -> None:
    page = Elements(render_gallery("t", [], facts={"Model": "<b>demo</b>"}))
    assert "<b>demo</b>" in page.text
    assert [tag for tag, _ in page.tags if tag in {"main", "h1", "dl", "b"}] == ["h1", "dl", "main"]
