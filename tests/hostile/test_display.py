"""What strangers wrote is shown as text: on consoles, case 75, and on pages, case 74."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec import Embedder
from pixvec.tables.result_columns import ResultOptions, result_schema
from pixvec.testing.images import image_bytes

MARKS = {
    "ESC": "\x1b[2J\x1b]0;title\x07",
    "CR": "before\rafter",
    "bidi": "\u202egnp.exe",
    "zero width": "a\u200bb\u2066c",
    "markup": "[red]x[/b] [/]",
    "C1": "\x9b31m",
    "html": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "template": "{{7*7}}${7*7}",
    "link": "javascript:alert(1)",
}


def run_pixvec(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pixvec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def hostile_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with vectors whose titles, URLs and one column's name are hostile."""
    path = tmp_path_factory.mktemp("hostile") / "photos.parquet"
    with Embedder(model="demo") as embedder:
        vectors = embedder.embed([image_bytes(seed=seed, size=(96, 96)) for seed in range(len(MARKS))]).vectors
        provenance = embedder.provenance()
    field = result_schema(vectors.shape[1], ResultOptions(), provenance=provenance).field(0)
    array = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    names = ["image_url", "title", "\x1b[31mred\u202e", "embedding"]
    urls = [f"http://127.0.0.1:1/{mark}" for mark in MARKS.values()]
    columns = [pa.array(urls), pa.array(list(MARKS.values())), pa.array(list(MARKS)), array]
    schema = pa.schema([*((name, pa.string()) for name in names[:3]), field])
    pq.write_table(pa.Table.from_arrays(columns, schema=schema), path)
    return path


def test_case_75_a_table_on_the_console_shows_marks_and_obeys_none(hostile_table: Path) -> None:
    shown = run_pixvec("search", hostile_table, "a cat", "-k", len(MARKS), "--show", "title", "--show", "image_url")
    assert shown.returncode == 0
    assert [c for c in shown.stdout if not c.isprintable() and c != "\n"] == []
    assert len(shown.stdout.splitlines()) == len(MARKS) + 1
    assert all(mark in shown.stdout for mark in (r"\x1b[2J", r"before\rafter", r"\u202egnp", r"\u200b", "[red]x[/b]"))


def test_case_75_messages_name_hostile_columns_and_obey_none(hostile_table: Path) -> None:
    refused = run_pixvec("search", hostile_table, "a cat", "--vectors", "\x1b[31mno")
    assert refused.returncode == 2
    assert [c for c in refused.stderr if not c.isprintable() and c != "\n"] == []
    assert r"\x1b[31mred" in refused.stderr


def test_case_75_a_file_with_a_hostile_name_is_named_visibly(tmp_path: Path) -> None:
    refused = run_pixvec("embed", tmp_path / "\x1b[2Jphotos.csv", "-o", tmp_path / "out.csv")
    assert (refused.returncode, "\x1b" in refused.stderr) == (2, False)
    assert r"\x1b[2Jphotos.csv" in refused.stderr


class _Elements(HTMLParser):
    """Collects the elements of a page, with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_case_74_a_page_holds_nothing_that_runs_or_loads(hostile_table: Path, tmp_path: Path) -> None:
    page = tmp_path / "found.html"
    written = run_pixvec("search", hostile_table, "a cat", "-k", len(MARKS), "-o", page)
    assert (written.returncode, written.stderr.splitlines()[-1]) == (0, f"wrote {page}")
    elements = _Elements()
    elements.feed(page.read_text(encoding="utf-8"))
    tags = {tag for tag, _ in elements.found}
    attributes = {name for _, values in elements.found for name in values}
    links = [values["href"] or "" for tag, values in elements.found if tag == "a"]
    assert tags.isdisjoint({"script", "iframe", "object", "embed", "form", "base"})
    assert [name for name in attributes if name.startswith("on")] == []
    assert [link for link in links if not link.startswith(("http://", "https://"))] == []
    assert "{{7*7}}" in page.read_text(encoding="utf-8")
