"""`pixvec report` tells what happened to a table's rows, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.cli import execute
from pixvec.errors import UsageError
from pixvec.formatting.text import duration, share, size
from pixvec.reports.review import Review, ReviewOptions, review_table
from pixvec.reports.review.charts import outcome_bar, rate_chart, segments
from pixvec.reports.review.findings import Pace, Span
from pixvec.reports.review.pace import read_pace
from pixvec.reports.review.page import render_review
from pixvec.reports.review.tally import shown
from pixvec.reports.review.text import review_text
from pixvec.run.log import log_path
from tests.reports.reviewed import embedded, failed, write_reviewed

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}</title>'


def review(path: Path, **options: Any) -> Review:
    return review_table(path, ReviewOptions(**options))


@pytest.fixture(params=["photos.parquet", "photos.csv"])
def photos(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Five rows at one host, three at another, an empty cell and a path."""
    cells = [f"https://a.example/{number}.jpg" for number in range(5)]
    cells += [f"https://b.example:8443/{number}.jpg?sig=SECRET" for number in range(2)]
    rows = [embedded("cat"), embedded("dog"), embedded("cat"), failed("http_404"), failed("timeout", "no answer")]
    rows += [
        failed("http_404", "gone"),
        embedded("cow", format="GIF", width=10, frames=3, final_url="https://c.example/"),
    ]
    return write_reviewed(
        tmp_path / request.param,
        [*cells, cells[0], None, "images/cat.jpg"],
        [*rows, embedded("cat"), failed("null_input"), failed("invalid_url")],
    )


def test_rows_are_counted_by_code(photos: Path) -> None:
    found = review(photos)
    assert (found.name, found.column, found.n_rows, found.n_vectors, found.n_failed) == (
        *(photos.name, "image_url", 10, 5, 5),
    )
    assert [(failure.code, failure.n) for failure in found.failures] == [
        *(("http_404", 2), ("invalid_url", 1), ("null_input", 1), ("timeout", 1)),
    ]
    assert found.n_retryable == 1


def test_a_failure_has_its_advice_its_hosts_and_examples(photos: Path) -> None:
    failure = review(photos).failures[0]
    assert (failure.stage, failure.meaning) == ("network", "The server has no image at this URL.")
    assert failure.advice == "Look for a new URL, since the image is gone."
    assert [(host.name, host.n) for host in failure.hosts] == [("a.example", 1), ("b.example:8443", 1)]
    assert [(example.row, example.cell, example.detail) for example in failure.examples] == [
        (3, "https://a.example/3.jpg", "it failed"),
        (5, "https://b.example:8443/0.jpg?…", "gone"),
    ]


def test_hosts_with_the_most_failures_come_first(photos: Path) -> None:
    found = review(photos)
    assert found.n_hosts == 2
    assert [(host.name, host.n_rows, host.n_failed, host.worst) for host in found.hosts] == [
        ("a.example", 6, 2, "http_404"),
        ("b.example:8443", 2, 1, "http_404"),
    ]


def test_repeats_are_counted_in_cells_and_in_files(photos: Path) -> None:
    found = review(photos)
    assert (found.n_urls, found.n_repeats) == (8, 1)
    assert found.images is not None
    assert found.images.n_files == 3


def test_images_are_counted_by_format_and_size(photos: Path) -> None:
    images = review(photos).images
    assert images is not None
    assert [(entry.name, entry.n) for entry in images.formats] == [("JPEG", 4), ("GIF", 1)]
    assert {entry.name: entry.n for entry in images.short_sides if entry.n} == {"under 64": 1, "256 to 511": 4}
    assert (images.n_redirected, images.n_animated) == (1, 1)


def test_the_bytes_of_a_file_that_comes_again_count_once(photos: Path) -> None:
    images = review(photos).images
    assert images is not None
    assert (images.n_files, images.n_bytes) == (3, 3_000)
    assert "3 different, 3.0 kB" in review_text(review(photos))


def test_sizes_that_no_file_has_count_nothing(tmp_path: Path) -> None:
    rows = [embedded("a", n_bytes=-5), embedded("b", n_bytes=2**62), embedded("c")]
    images = review(write_reviewed(tmp_path / "t.csv", [f"https://a.example/{row}" for row in range(3)], rows)).images
    assert images is not None
    assert (images.n_files, images.n_bytes) == (3, 1_000)


def test_bars_and_shares_have_one_whole(photos: Path) -> None:
    """Of five rows without a vector two are http_404: 40 %, in words and as the length of the bar."""
    page = render_review(review(photos))
    assert '<strong>2</strong> <span class="faint">40.0 %</span>' in page
    assert '<rect class="network" x="0.000" y="0" width="40.000" height="10"><title>network: 2</title>' in page
    assert '<rect class="vectors" width="80.000" height="10"/>' in page  # four of five are JPEG


def test_a_cell_that_holds_an_image_is_called_by_its_path_or_size() -> None:
    assert shown({"bytes": b"image", "path": "a.jpg"}) == "a.jpg"
    assert shown({"bytes": b"image", "path": None}) == "5 bytes"


def test_provenance_is_told(photos: Path) -> None:
    assert (review(photos).provenance or {})["model"] == "demo"


def test_one_image_behind_many_urls_is_found(tmp_path: Path) -> None:
    cells = [f"https://a.example/{row}" for row in range(40)]
    rows = [embedded("gone" if row % 4 == 0 else f"image {row}") for row in range(36)]
    rows += [embedded("twin", width=9)] * 4  # fewer than make a placeholder
    shared = review(write_reviewed(tmp_path / "photos.parquet", cells, rows)).images
    assert shared is not None
    assert [(one.n_urls, one.n_rows, one.width) for one in shared.shared] == [(9, 9, 640)]
    assert [example.row for example in shared.shared[0].examples] == [0, 4, 8]


def test_one_url_in_many_rows_is_no_placeholder(tmp_path: Path) -> None:
    table = write_reviewed(tmp_path / "photos.parquet", ["https://a.example/1"] * 30, [embedded()] * 30)
    images = review(table).images
    assert images is not None
    assert images.shared == ()


def test_a_table_without_facts_of_its_images_is_reviewed_too(tmp_path: Path) -> None:
    table = write_reviewed(tmp_path / "photos.parquet", ["https://a.example/1"], [embedded()], image_info=False)
    found = review(table)
    assert (found.n_vectors, found.images) == (1, None)
    assert "Why rows have no vector" in render_review(found)


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("rows", [[], [failed("null_input")] * 3], ids=["no rows", "no vectors"])
def test_a_table_of_which_nothing_came_is_reviewed_too(rows: list[Any], ending: str, tmp_path: Path) -> None:
    found = review(write_reviewed(tmp_path / f"photos.{ending}", [None] * len(rows), rows))
    assert (found.n_rows, found.n_vectors) == (len(rows), 0)
    assert render_review(found)
    assert review_text(found).startswith(f"photos.{ending}: {len(rows)} rows, 0 vectors")


def test_a_folder_of_parts_is_one_table(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for part in range(2):
        write_reviewed(tmp_path / f"photos/{part}.parquet", [f"https://a.example/{part}"], [embedded()])
    write_log(tmp_path / "photos", [mark(1, 2, 2)])
    found = review(tmp_path / "photos")
    assert (found.name, found.n_rows, found.n_urls, (found.provenance or {})["model"]) == ("photos", 2, 2, "demo")
    assert found.pace is not None


def test_a_table_that_pixvec_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos.csv").write_text("image_url\nhttps://a.example/\n")
    with pytest.raises(UsageError, match="review a table that pixvec wrote"):
        review(tmp_path / "photos.csv")


def test_a_code_that_is_none_of_ours_is_counted_and_not_explained(tmp_path: Path) -> None:
    found = review(write_reviewed(tmp_path / "photos.csv", ["https://a.example/1"], [failed("x" * 1_000)]))
    assert [(len(failure.code), failure.stage, failure.meaning) for failure in found.failures] == [(160, "other", "")]
    assert [part.stage for part in outcome_bar(found)] == ["other"]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("https://a.example/1.jpg?token=SECRET#SECRET", "https://a.example/1.jpg?…"),
        ("https://user:SECRET@a.example/1.jpg", "https://…@a.example/1.jpg"),
        (b"image", "5 bytes"),
        (None, ""),
    ],
)
def test_what_may_be_secret_is_not_shown(cell: object, text: str) -> None:
    assert shown(cell) == text


# The log -------------------------------------------------------------------------------------------------------------


def write_log(table: Path, lines: list[str]) -> Path:
    log_path(table).write_text("\n".join(lines))
    return table


def mark(t: float, rows: int, vectors: int) -> str:
    return json.dumps({"t": t, "rows": rows, "vectors": vectors, "failed": {"timeout": rows - vectors}})


def test_the_pace_is_that_of_the_log(tmp_path: Path) -> None:
    pace = read_pace(write_log(tmp_path / "photos.parquet", [mark(1, 10, 10), mark(2, 20, 15), mark(4, 24, 15)]))
    assert pace is not None
    assert (pace.seconds, pace.n_rows, pace.n_starts) == (4, 24, 1)
    assert sum(span.n_vectors for span in pace.spans) == 15
    assert sum(span.n_failed for span in pace.spans) == 9
    assert pace.spans[0].rows_per_second == pytest.approx(10, rel=0.2)


def test_a_run_that_went_on_is_one_stretch_of_work(tmp_path: Path) -> None:
    lines = [mark(1, 10, 10), mark(2, 20, 20), '{"t": 3, "ro', mark(1, 25, 25), mark(2, 30, 30)]
    pace = read_pace(write_log(tmp_path / "photos.parquet", lines))
    assert pace is not None
    assert (pace.seconds, pace.n_rows, pace.n_starts) == (4, 30, 2)


@pytest.mark.parametrize(
    "line",
    ["", "null", "7", "[" * 100_000, '{"t": -1, "rows": 1, "vectors": 1}', '{"t": NaN, "rows": 1, "vectors": 1}'],
)
def test_a_log_that_says_nothing_is_none(line: str, tmp_path: Path) -> None:
    assert read_pace(write_log(tmp_path / "photos.parquet", [line])) is None
    assert read_pace(tmp_path / "other.parquet") is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=100))
def test_no_log_breaks_the_chart(tmp_path_factory: pytest.TempPathFactory, marks: list[tuple[float, int, int]]) -> None:
    table = tmp_path_factory.mktemp("log") / "photos.parquet"
    if pace := read_pace(write_log(table, [mark(*one) for one in marks])):
        chart = rate_chart(pace)
        assert all(min(column.failed_y, column.failed_height, column.vectors_height) >= 0 for column in chart.columns)
        assert sum(span.n_vectors + span.n_failed for span in pace.spans) == pace.n_rows
        assert 2 <= len(chart.rates) <= 6


def test_busy_times_are_averaged_over_all_starts(tmp_path: Path) -> None:
    begun = {"event": "start", "t": 0.0, "rows": 0, "vectors": 0}
    first = {"t": 3, "rows": 5, "vectors": 5, "model_busy": 1.0, "decode_busy": 0.5}
    last = {"t": 1, "rows": 9, "vectors": 9}
    lines = [json.dumps(line) for line in (begun, first, begun, begun, last)]
    pace = read_pace(write_log(tmp_path / "photos.parquet", lines))
    assert pace is not None
    assert (pace.seconds, pace.n_starts, pace.model_busy, pace.decode_busy) == (4, 3, 0.75, 0.375)


# The page ------------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Collects tags, links and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[dict[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "a":
            self.links.append(dict(attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


def strange(path: Path, words: str) -> Review:
    """A table that says `words` wherever a stranger can."""
    cells = [f"https://a.example/{words}", words, *(f"https://a.example/{words}/{row}" for row in range(6))]
    rows = [failed(words, words), failed("timeout", words)]
    rows += [embedded("gone", format=words, final_url=f"https://a.example/{words}")] * 6
    return review(write_reviewed(path, cells, rows, column=words, facts={"model": words, words: [words]}))


def test_what_strangers_wrote_is_text(tmp_path: Path) -> None:
    page = Elements(render_review(strange(tmp_path / "a.parquet", HOSTILE)))
    tame = Elements(render_review(strange(tmp_path / "a.parquet", '"words')))
    assert page.tags == tame.tags
    assert page.text.count(HOSTILE) == tame.text.count('"words') > 8


def test_only_whole_web_urls_are_links(tmp_path: Path) -> None:
    cells = ["https://a.example/1", "https://a.example/2?secret", "javascript:alert(1)", "HTTP://a.example/3"]
    table = write_reviewed(tmp_path / "photos.csv", cells, [failed("timeout"), *[failed("http_404")] * 3])
    links = Elements(render_review(review(table))).links
    assert sorted(str(link["href"]) for link in links) == ["HTTP://a.example/3", "https://a.example/1"]
    assert {link["rel"] for link in links} == {"noreferrer"}


def test_the_page_may_load_nothing(photos: Path) -> None:
    page = render_review(review(photos))
    assert "default-src 'none'; img-src data:; style-src 'unsafe-inline'" in page
    assert not {"script", "link", "img", "iframe"} & set(Elements(page).tags)


def test_the_page_shows_the_rate_where_there_is_a_log(photos: Path) -> None:
    assert "Rows in a second" not in render_review(review(photos))
    write_log(photos, [mark(1, 10, 5)])
    assert "Rows in a second" in render_review(review(photos))


def test_segments_fill_the_bar() -> None:
    parts = segments([("vectors", 3), ("input", 0), ("network", 1)])
    assert [(part.stage, part.x, part.width) for part in parts] == [("vectors", 0, 75), ("network", 75, 25)]


def test_a_steady_run_has_columns_of_one_height() -> None:
    spans = tuple(Span(start, start + 1, 10, 0) for start in range(4))
    chart = rate_chart(Pace(4, 40, 1, 0.5, 0.9, spans))
    assert len({round(column.vectors_height, 6) for column in chart.columns}) == 1
    assert [tick.text for tick in chart.rates] == ["0", "2.5", "5", "7.5", "10"]


# The command ---------------------------------------------------------------------------------------------------------


Command: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command; give its status and what it printed."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        status = execute(["report", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_command_tells_and_writes_a_page(report: Command, photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    status, told, noted = report(photos, "--html", page)
    assert (status, noted) == (0, f"wrote {page}\n")
    assert f"{photos.name}: 10 rows, 5 vectors (50.0 %), 5 without" in told
    assert "SECRET" not in told + page.read_text()


def test_the_command_gives_json(report: Command, photos: Path) -> None:
    said = json.loads(report(photos, "--json")[1])
    assert (said["n_rows"], said["n_failed"], said["failures"][0]["code"]) == (10, 5, "http_404")


@pytest.mark.parametrize("flags", [[], ["--restart"]], ids=["as it is", "restart"])
def test_a_page_replaces_nothing_but_a_page(flags: list[str], report: Command, photos: Path) -> None:
    before = photos.read_bytes()
    assert report(photos, "--html", photos, *flags)[0] == 2
    assert photos.read_bytes() == before


def test_a_terminal_shows_control_characters(report: Command, tmp_path: Path) -> None:
    table = write_reviewed(
        tmp_path / "photos.parquet", ["https://a.example/\x1b[2J"], [failed("timeout", "\x1b]0;x\n")]
    )
    _, told, _ = report(table)
    assert "\x1b" not in told
    assert r"\x1b[2J" in told


# Words ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.01, "under 0.1 s"),
        (0.42, "0.4 s"),
        (7, "7 s"),
        (59.6, "1 min"),
        (3_725, "1 h 2 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_durations_have_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("part", "total", "text"),
    [(0, 0, "0 %"), (1, 3, "33.3 %"), (1, 10**6, "< 0.1 %"), (10**6 - 1, 10**6, "> 99.9 %"), (3, 3, "100 %")],
)
def test_shares_never_look_like_all_or_nothing(part: int, total: int, text: str) -> None:
    assert share(part, total) == text


@pytest.mark.parametrize(("n_bytes", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (2e12, "2.0 TB")])
def test_sizes_are_decimal(n_bytes: float, text: str) -> None:
    assert size(n_bytes) == text
