"""The commands search, link and dedupe: what they print, write and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tools.world import describe, draw_scene, imagine

import pixvec
from pixvec.cli import WRONG_USE, execute
from pixvec.cli.console import visible
from pixvec.cli.plain_table import plain_table
from pixvec.tables import open_table
from pixvec.testing.images import encode
from pixvec.testing.server import ImageServer

N = 8
HOSTILE = "\x1b[31m\r[/b] \u202egnp.exe \u200b<script>alert(1)</script>\n{{7*7}}"


@pytest.fixture(scope="module")
def images() -> Iterator[ImageServer]:
    with ImageServer() as server:
        yield server


@pytest.fixture(scope="module")
def table(images: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images, the second again at another URL, and a row whose image is not there."""
    bodies = [encode(draw_scene(imagine(1_000_000 + seed), 96)) for seed in range(N)]
    urls = [images.add(f"/{seed}.jpg", body=body) for seed, body in enumerate(bodies)]
    urls += [images.add("/again.jpg", body=bodies[1]), images.url("/dead.jpg")]
    titles = [describe(imagine(1_000_000 + seed)) for seed in range(N)]
    rows = pa.table({"title": [HOSTILE, *titles[1:], "again", "dead"], "image_url": urls})
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    pq.write_table(pixvec.embed_table(rows, model="demo", allow_private=True, isolate="never"), path)
    return path


class Page(HTMLParser):
    """Counts tags, and collects images and links."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.links: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.sources += [found["src"] or ""] if "src" in found else []
        self.links += [found["href"] or ""] if "href" in found else []


def write_ones(path: Path) -> None:
    """Write two rows of equal vectors, and nothing else."""
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(2 * 128, np.float32)), 128)
    pq.write_table(pa.table({"v": vectors}), path)


def test_what_was_found_is_a_table_of_one_line_for_each_row(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["search", str(table), "a fir", "-k", "50"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["rank", "row", "(from", "0)", "similarity", "title", "image_url"]
    assert [line.split()[0] for line in lines] == [str(rank) for rank in range(1, N + 2)]


def test_what_strangers_wrote_is_shown_and_does_nothing(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["search", str(table), "a fir", "-k", "50", "--show", "title"]) == 0
    shown = capsys.readouterr().out
    assert r"\x1b[31m\r[/b] \u202egnp.exe \u200b<script>alert(1)</script>\n{{7*7}}" in shown
    assert all(character.isprintable() or character == "\n" for character in shown)


def test_json_is_a_list_of_rows_without_their_vectors(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["search", str(table), "a fir", "-k", "2", "--format", "json"]) == 0
    text = capsys.readouterr().out
    first, _ = json.loads(text)
    assert text.isascii()
    assert list(first) == [
        *("rank", "row", "similarity", "title", "image_url"),
        *("embedding_error", "embedding_detail", "embedding_image"),
    ]
    assert len(bytes.fromhex(first["embedding_image"]["sha256"])) == 32


@pytest.mark.parametrize("flags", [["--unique"], ["--format", "html"]], ids=" ".join)
def test_each_image_is_shown_once(flags: list[str], table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["search", str(table), "a fir", "-k", "50", "--show", "image_url", *flags]) == 0
    shown = capsys.readouterr().out
    assert ("/1.jpg" in shown, "/again.jpg" in shown) == (True, False)
    assert shown.count("2 copies") == (1 if "html" in flags else 0)


def test_the_copies_of_each_image_are_counted(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["search", str(table), "a fir", "-k", "50", "--unique", "--format", "json"]) == 0
    assert {hit["row"]: hit["copies"] for hit in json.loads(capsys.readouterr().out)} == {
        row: 2 if row == 1 else 1 for row in range(N)
    }


def test_a_column_called_copies_is_a_column(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    renamed = pq.read_table(table).rename_columns({"title": "copies"})
    pq.write_table(renamed, tmp_path / "t.parquet")
    command = ["search", str(tmp_path / "t.parquet"), "a fir", "-k", "50", "--show", "copies", "--show", "image_url"]
    for flags in (["--no-unique", "-o", str(tmp_path / "o.html")], []):
        assert execute([*command, *flags]) == 0
    assert capsys.readouterr().out.splitlines()[0].split()[-3:] == ["similarity", "copies", "image_url"]


def test_copies_may_be_on_a_page(table: Path, tmp_path: Path) -> None:
    assert execute(["search", str(table), "a fir", "-k", "50", "-o", str(tmp_path / "o.html"), "--no-unique"]) == 0
    assert "9 rows, nearest first" in (tmp_path / "o.html").read_text(encoding="utf-8")


def test_a_page_says_table_model_rank_and_score(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["search", str(table), "a fir", "-o", str(tmp_path / "o.html")]) == 0
    assert execute(["search", str(table), "a fir", "--unique", "--format", "json"]) == 0
    first, *_ = json.loads(capsys.readouterr().out)
    page = (tmp_path / "o.html").read_text(encoding="utf-8")
    assert "<dt>Table</dt><dd>t.parquet</dd>" in page
    assert "<dt>Model</dt><dd>demo</dd>" in page
    assert f"rank 1 · score {first['similarity']:.4f}\nrow {first['row']}" in page


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet", ".arrow", ".csv.gz", ".jsonl.zst"])
def test_what_was_found_is_written_as_the_table_that_the_ending_names(table: Path, tmp_path: Path, ending: str) -> None:
    output = tmp_path / f"found{ending}"
    assert execute(["search", str(table), "a fir", "-k", "3", "-o", str(output)]) == 0
    (chunk,) = open_table(output).chunks(10)
    assert chunk.table.column_names == ["rank", "row", "similarity", *pq.read_schema(table).names]
    assert list(map(int, chunk.table["rank"].to_pylist())) == [1, 2, 3]
    rows = list(map(int, chunk.table["row"].to_pylist()))
    assert chunk.table["image_url"].to_pylist() == pq.read_table(table)["image_url"].take(rows).to_pylist()
    assert execute(["search", str(output), "a fir", "-k", "1", "-o", str(tmp_path / "again.json")]) == 0


def test_what_was_found_keeps_types_and_only_the_columns_that_are_shown(table: Path, tmp_path: Path) -> None:
    output = tmp_path / "found.parquet"
    command = ["search", str(table), "a fir", "-k", "2", "--show", "image_url", "--show", "title", "-o", str(output)]
    assert execute(command) == 0
    found = pq.read_table(output)
    assert found.column_names == ["rank", "row", "similarity", "image_url", "title"]
    assert found.schema.types == [pa.int64(), pa.int64(), pa.float32(), pa.string(), pa.string()]


@pytest.mark.parametrize(("format", "first"), [("csv", b"rank,row,similarity,title\n"), ("jsonl", b'{"rank": 1, ')])
def test_a_table_goes_to_stdout(
    table: Path, capsysbinary: pytest.CaptureFixture[bytes], format: str, first: bytes
) -> None:
    command = ["search", str(table), "a fir", "-k", "2", "--show", "title", "--format", format]
    assert execute(command) == 0
    alone = capsysbinary.readouterr().out
    assert alone.startswith(first)
    assert execute([*command, "-o", "-"]) == 0
    assert capsysbinary.readouterr().out == alone


def test_a_format_that_the_ending_contradicts_is_refused(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["search", str(table), "a fir", "--format", "json", "-o", str(tmp_path / "found.csv")]
    assert execute(command) == WRONG_USE
    assert "--format json and -o" in capsys.readouterr().err
    assert not (tmp_path / "found.csv").exists()


def test_an_image_of_the_net_is_fetched_under_the_guard(
    table: Path, images: ImageServer, capsys: pytest.CaptureFixture[str]
) -> None:
    query = ["search", str(table), "--image", images.url("/1.jpg"), "-k", "2", "--show", "title"]
    assert execute(query) == WRONG_USE
    assert "address_blocked" in capsys.readouterr().err
    assert execute([*query, "--allow-address", images.address]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]] == ["1", "8"]


def test_a_page_holds_the_images_and_runs_nothing(table: Path, images: ImageServer, tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    command = ["search", str(table), "<b>a fir</b>", "-k", "9", "-o", str(page), "--allow-address", images.address]
    assert execute(command) == 0
    found = Page(page)
    assert len(found.sources) == N  # and the one that is there twice, once
    assert all(source.startswith("data:image/webp;base64,") for source in found.sources)
    assert "script" not in found.tags
    assert "b" not in found.tags


def test_a_page_under_the_guard_has_no_images_of_private_networks_and_says_why(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["search", str(table), "a fir", "-k", "9", "-o", str(tmp_path / "found.html")]) == 0
    assert Page(tmp_path / "found.html").sources == []
    assert (tmp_path / "found.html").read_text(encoding="utf-8").count(">address_blocked<") == N
    assert "8 of 8 images are not on the page: address_blocked 8" in capsys.readouterr().err


def test_the_columns_to_show_are_those_of_json_and_the_captions_of_a_page(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = ["search", str(table), "a fir", "-k", "1", "--show", "embedding_error", "--show", "embedding_image"]
    assert execute([*query, "--format", "json"]) == 0
    (hit,) = json.loads(capsys.readouterr().out)
    assert list(hit) == ["rank", "row", "similarity", "embedding_error", "embedding_image"]
    assert execute([*query, "-o", str(tmp_path / "found.html")]) == 0
    assert f"{hit['embedding_image']['sha256']}" in (tmp_path / "found.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("first", "second"), [("t.csv", "o.parquet"), ("t.csv", "o.csv"), ("t.parquet", "o.csv")])
def test_what_vectors_were_made_with_goes_along_and_no_run_takes_the_table_for_its_own(
    images: ImageServer, tmp_path: Path, first: str, second: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos.csv").write_text(f"image_url\n{images.url('/0.jpg')}\n", encoding="utf-8")
    embed = ["embed", str(tmp_path / "photos.csv"), "--model", "demo", "--allow-private", "--quiet", "-o"]
    output = str(tmp_path / second)
    assert execute([*embed, str(tmp_path / first)]) == 0
    assert execute(["dedupe", str(tmp_path / first), "-o", output]) == 0
    assert execute(["search", output, "a fir"]) == 0
    assert execute([*embed, output]) == WRONG_USE
    assert "the input" in capsys.readouterr().err


def test_duplicates_are_written_and_shown(
    table: Path, images: ImageServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, page = tmp_path / "o.parquet", tmp_path / "o.html"
    command = ["dedupe", str(table), "-o", str(output), "--html", str(page), "--allow-address", images.address]
    assert execute(command) == 0
    assert "2 rows in 1 group of duplicates" in capsys.readouterr().err
    written = pq.read_table(output)
    assert written.drop_columns(["duplicate_group", "duplicate_best"]) == pq.read_table(table)
    assert [row for row, group in enumerate(written["duplicate_group"].to_pylist()) if group is not None] == [1, 8]
    assert len(Page(page).sources) == 1  # exact copies are shown once
    text = page.read_text(encoding="utf-8")
    assert "2 rows, 1 variant" in text
    assert "best\nrow 1 and 1 more with the same file\n96 x 96, " in text


def test_duplicates_without_an_output_are_only_told(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(["dedupe", str(table), "--threshold", "1"]) == 0
    assert capsys.readouterr().err == (
        "10 rows: 2 rows in 1 group of duplicates; 8 different images and 1 without a vector\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_links_are_written_and_counted(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "o.gexf"
    command = ["link", str(table), "-o", str(output), "--n-nearest", "2", "--similarity-min", "-1"]
    assert execute([*command, "--attribute", "title"]) == 0
    assert capsys.readouterr().err == f"10 rows: 9 with vectors, 18 links\nwrote {output}\n"


def test_vectors_of_unknown_origin_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_ones(tmp_path / "t.parquet")
    assert execute(["search", str(tmp_path / "t.parquet"), "a fir", "--model", "demo"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "pixvec: nothing says what the vectors of 'v' were made with: they are taken as those of demo"
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search", "{t}"], "nothing to search for"),
        (["search", "{t}", "x", "-k", "0"], "0 is not in the range"),
        (["search", "{t}", "x", "--show", "nope"], "--show nope"),
        (["search", "{t}", "x", "-c", "nope"], "there is no column 'nope'"),
        (["search", "{t}", "x", "-o", "{t}", "--restart"], "is the input: write to another file"),
        (["search", "{t}", "x", "-o", "x" * 300 + ".html"], "cannot be written: File name too long"),
        (["search", "{t}", " "], "a text of the query is empty"),
        (["search", "{t}", "x", "--model", "/nope"], "/nope"),
        (["search", "nope.parquet", "x"], "there is no file nope.parquet"),
        (["dedupe", "{t}", "--threshold", "2"], "--threshold 2.0"),
        (["dedupe", "{t}", "-o", "{t}"], "is the input"),
        (["dedupe", "{t}", "--html", "{t}", "--restart"], "is the input: write to another file"),
        (["dedupe", "{t}", "-o", "o.csv", "--html", "o.csv"], "o.csv and o.csv are one file"),
        (["link", "{t}", "-o", "{t}", "--restart"], "is the input: write to another file"),
        (["link", "{t}", "-o", "o.csv", "--attribute", "title"], "--attribute is for graphs"),
        (["link", "{t}", "-o", "o.gexf", "--n-nearest", "0"], "--n-nearest 0"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_wrong_use_is_one_line(
    table: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute([argument.replace("{t}", str(table)) for argument in arguments]) == WRONG_USE
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_visible_text_has_an_escape_for_whatever_does_something() -> None:
    assert visible("a\tb\u202e\ud800é語") == r"a\tb\u202e\ud800é語"


def test_long_cells_are_cut_and_columns_aligned() -> None:
    header, line = plain_table(["a", "bb"], [["x" * 100, "y"]], n_cells=75).splitlines()
    assert header.index("bb") == line.index("y")
    assert line.count("x") == 70


@pytest.mark.parametrize("command", ["search", "link", "dedupe"])
def test_each_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([command, "--help"]) == 0
    assert capsys.readouterr().out.startswith(f"Usage: pixvec {command} ")


def test_tables_of_vectors_alone_are_shown_by_their_row_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ones(tmp_path / "t.parquet")
    assert (
        execute(["search", str(tmp_path / "t.parquet"), "a fir", "--model", "demo", "-o", str(tmp_path / "o.html")])
        == 0
    )
    assert execute(["dedupe", str(tmp_path / "t.parquet"), "--html", str(tmp_path / "d.html")]) == 0
    assert (tmp_path / "d.html").read_text(encoding="utf-8").count("row 0 and 1 more with the same vector") == 1
