"""A run over a folder of images, or of image cells, is shown like one over URLs; a stranger's table opens no folder."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tools.world import draw_scene, imagine

import pixvec
from pixvec.cli import execute
from pixvec.formatting.text import ROW
from pixvec.tables.result_columns import PROVENANCE_KEY
from pixvec.testing.images import encode

N = 3
BODIES = [encode(draw_scene(imagine(1_000_000 + seed), 64)) for seed in range(N)]


class Sources(HTMLParser):
    """Collects the images of a page, and what their frames say that have none."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.found.append(dict(attrs)["src"] or "")


def n_images(path: Path) -> int:
    return len(set(Sources(path).found))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, and a table made of it beside it."""
    folder = tmp_path_factory.mktemp("embedded")
    (folder / "photos").mkdir()
    for number, body in enumerate([*BODIES, BODIES[0]]):
        (folder / f"photos/{number}.jpg").write_bytes(body)
    pixvec.embed_file(folder / "photos", folder / "photos.parquet", model="demo", isolate="never", quiet=True)
    pixvec.embed_file(folder / "photos", folder / "photos.csv", model="demo", isolate="never", quiet=True)
    return folder


def claim(table: Path, place: Path, **facts: Any) -> Path:
    """Write a table whose author says something else about its files."""
    rows = pq.read_table(table)
    field = rows.schema.field("embedding")
    said = json.loads((field.metadata or {})[PROVENANCE_KEY]) | facts
    index = rows.schema.get_field_index("embedding")
    schema = rows.schema.set(index, field.with_metadata({PROVENANCE_KEY: json.dumps(said)}))
    pq.write_table(pa.Table.from_arrays(rows.columns, schema=schema), place)
    return place


def search_page(table: Path, page: Path, *flags: str) -> int:
    assert execute(["search", str(table), "a fir", "-o", str(page), "--isolate", "never", *flags]) == 0
    return n_images(page)


def duplicates_page(table: Path, page: Path) -> int:
    assert execute(["dedupe", str(table), "--html", str(page), "--isolate", "never"]) == 0
    return n_images(page)


def test_the_terminal_shows_the_paths(embedded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["search", str(embedded / "photos.parquet"), "a fir"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["rank", *ROW.split(), "similarity", "path"]
    assert sorted(line.split()[-1] for line in lines) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]


@pytest.mark.parametrize("name", ["photos.parquet", "photos.csv"])
def test_pages_show_the_images_of_the_folder_beside_the_table(name: str, embedded: Path, tmp_path: Path) -> None:
    assert search_page(embedded / name, tmp_path / "found.html") == N
    assert duplicates_page(embedded / name, tmp_path / "same.html") == 1


def test_a_folder_of_parts_knows_the_images_too(embedded: Path, tmp_path: Path) -> None:
    pixvec.embed_file(embedded / "photos", f"{embedded}/parts/", model="demo", isolate="never", quiet=True)
    assert search_page(embedded / "parts", tmp_path / "found.html") == N


def test_a_table_that_was_moved_says_how_to_show_its_images(
    embedded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = claim(embedded / "photos.parquet", tmp_path / "moved.parquet")
    assert search_page(moved, tmp_path / "found.html") == 0
    assert "'path' are paths: show these files with --files-under FOLDER, that of the run" in capsys.readouterr().err
    assert search_page(moved, tmp_path / "again.html", "--files-under", str(embedded / "photos")) == N


def test_a_folder_elsewhere_is_not_told(embedded: Path, tmp_path: Path) -> None:
    pixvec.embed_file(embedded / "photos", tmp_path / "far.parquet", model="demo", isolate="never", quiet=True)
    facts = pq.read_schema(tmp_path / "far.parquet").field("embedding").metadata[PROVENANCE_KEY]
    assert str(embedded).encode() not in facts
    assert "files_under" not in json.loads(facts)


@pytest.mark.parametrize(
    "said",
    [
        "..",
        "../photos",
        "inner/../../photos",
        "{photos}",
        "link",
        "/",
        "",
        "photos\0",
        "\ud800",
        "x" * 5_000,
        7,
        None,
        ["photos"],
    ],
    ids=lambda said: ascii(said)[:20],
)
def test_no_folder_is_opened_that_is_not_beside_the_table(said: object, embedded: Path, tmp_path: Path) -> None:
    folder = tmp_path / "strangers"
    folder.mkdir()
    (folder / "link").symlink_to(embedded / "photos")
    (tmp_path / "photos").symlink_to(embedded / "photos")
    said = said.format(photos=embedded / "photos") if isinstance(said, str) else said
    table = claim(embedded / "photos.parquet", folder / "t.parquet", files_under=said)
    assert duplicates_page(table, tmp_path / "same.html") == 0


def test_only_the_files_that_were_embedded_are_shown(embedded: Path, tmp_path: Path) -> None:
    """The author of a table cannot have it show files of its reader that they do not have."""
    (tmp_path / "photos").mkdir()
    for number, body in enumerate([BODIES[1], BODIES[1], b"secret", BODIES[0]]):
        (tmp_path / f"photos/{number}.jpg").write_bytes(body)
    table = claim(embedded / "photos.parquet", tmp_path / "t.parquet")
    assert search_page(table, tmp_path / "found.html", "--no-unique") == 2  # rows 1 and 3
    without = pq.read_table(table).drop_columns(["embedding_image"])
    pq.write_table(without, tmp_path / "without.parquet")
    assert search_page(tmp_path / "without.parquet", tmp_path / "none.html") == 0


@pytest.mark.parametrize("shape", ["bytes", "struct"])
def test_image_cells_are_shown_and_never_printed(
    shape: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = BODIES if shape == "bytes" else [{"bytes": body, "path": None} for body in BODIES]
    pq.write_table(pa.table({"photo": cells}), tmp_path / "cells.parquet")
    table = tmp_path / "t.parquet"
    pixvec.embed_file(tmp_path / "cells.parquet", table, column="photo", model="demo", isolate="never", quiet=True)
    assert search_page(table, tmp_path / "found.html") == N
    for form in ("table", "json"):
        assert execute(["search", str(table), "a fir", "--format", form]) == 0
        shown = capsys.readouterr().out
        assert f"{len(BODIES[0]):,} bytes" in shown
        assert BODIES[0][:8].hex() not in shown


def test_a_struct_is_called_by_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [{"bytes": body, "path": f"{number}.jpg"} for number, body in enumerate(BODIES)]
    table = pixvec.embed_table(pa.table({"photo": cells}), column="photo", model="demo", isolate="never")
    pq.write_table(table, tmp_path / "t.parquet")
    assert execute(["search", str(tmp_path / "t.parquet"), "a fir", "-k", "1"]) == 0
    assert capsys.readouterr().out.split()[-1] in {"0.jpg", "1.jpg", "2.jpg"}
