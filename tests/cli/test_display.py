"""What commands print: tables that fit, rows that say how they are counted, colour where it is wanted, and JSON."""

from __future__ import annotations

import json
import os
import pty
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from subprocess import PIPE, Popen

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.cli import execute
from pixvec.formatting.width import width
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

TITLES = ["日本語の題名です。" * 6, "a fir \N{WATERMELON}", "red\x1b[31m", "une e\u0301tude"]
ESCAPES = re.compile(r"\x1b\[[\d;]*m")
DOCS = Path(__file__).parents[2] / "docs" / "commands.md"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Vectors of the demo model's size, with titles that are hard to align."""
    vectors = [[1.0 - row / 10, row / 10, *[0.0] * 126] for row in range(4)]
    urls = [f"https://x.example/{'long/' * 20}{row}.jpg" for row in range(4)]
    columns = {"title": TITLES, "image_url": urls, "embedding": pa.array(vectors, pa.list_(pa.float32(), 128))}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def on_terminal(*arguments: str, columns: int = 80, environment: Mapping[str, str] | None = None) -> tuple[str, str]:
    """Give a command whose stdout and stderr are terminals."""
    ours, theirs = zip(pty.openpty(), pty.openpty(), strict=True)
    given = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "", **(environment or {})}
    command = [sys.executable, "-m", "pixvec", *arguments]
    with Popen(command, stdin=PIPE, stdout=theirs[0], stderr=theirs[1], env=given) as process:
        process.wait(timeout=60)
        for fd in theirs:
            os.close(fd)
        stdout, stderr = (_everything(fd) for fd in ours)
    return stdout, stderr


def _everything(fd: int) -> str:
    data = b""
    try:
        while more := os.read(fd, 1 << 16):
            data += more
    except OSError:  # what a terminal says at its end
        pass
    os.close(fd)
    return data.decode().replace("\r\n", "\n")


def search(table: Path) -> list[str]:
    return ["search", str(table), "a fir", "--model", "demo"]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_table_fits_the_terminal(table: Path, columns: int) -> None:
    lines = ESCAPES.sub("", on_terminal(*search(table), columns=columns)[0]).splitlines()
    assert len(lines) == 5
    assert columns - 4 <= max(map(width, lines)) <= columns
    assert len({width(line.partition("https:")[0]) for line in lines[1:]}) == 1
    assert r"red\x1b[31m" in "\n".join(lines)


def test_a_table_that_goes_elsewhere_is_whole(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(search(table)) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    assert TITLES[0] in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize("columns", [80, 100])
def test_the_names_of_models_are_never_cut(columns: int) -> None:
    lines = ESCAPES.sub("", on_terminal("models", columns=columns)[0]).splitlines()
    assert max(map(width, lines)) <= columns
    assert "laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K " in "\n".join(lines)


def test_a_report_is_wrapped_between_words(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("image_url\nhttp://127.0.0.1:8080/a.jpg\n")
    flags = ["--model", "demo", "--max-failed", "100%", "--quiet"]
    assert execute(["embed", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"), *flags]) == 0
    narrow = on_terminal("report", str(tmp_path / "out.csv"), columns=50)[0]
    wide = on_terminal("report", str(tmp_path / "out.csv"), columns=500)[0]
    assert max(map(width, narrow.splitlines())) <= 50
    assert narrow.split() == wide.split()


def test_row_numbers_say_where_they_start(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(search(table)) == 0
    assert capsys.readouterr().out.split("  ")[1].strip() == "row (from 0)"
    assert execute(["dedupe", str(table), "--html", str(tmp_path / "d.html"), "--quiet"]) == 0
    assert "Rows are counted from 0." in (tmp_path / "d.html").read_text()


def test_what_is_no_problem_is_not_red(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("image_url\nhttp://127.0.0.1:8080/a.jpg\n")
    said = on_terminal("embed", str(tmp_path / "in.csv"), "-o", str(tmp_path / "o.csv"), "--model", "demo")[1]
    assert "\x1b[1mpixvec:\x1b[0m reading images from column 'image_url'" in said
    assert "\x1b[31m\x1b[1mpixvec:\x1b[0m reading" not in said


def test_colour_is_for_terminals_alone(table: Path) -> None:
    assert "\x1b[1mrank" in on_terminal(*search(table))[0]
    assert on_terminal("embed", "nowhere.csv", "-o", "o.csv")[1].startswith("\x1b[31m\x1b[1mpixvec:\x1b[0m there is")
    assert "\x1b[1mOptions\x1b[0m:" in on_terminal("--help")[0]


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_wants_no_colour_gets_none(environment: dict[str, str], table: Path) -> None:
    for arguments in (search(table), ["embed", "nowhere.csv", "-o", "o.csv"], ["--help"], [*search(table), "-k", "0"]):
        assert "\x1b" not in "".join(on_terminal(*arguments, environment=environment))


def documented(heading: str) -> set[str]:
    """Read the fields that the page of commands lists for a command."""
    page = DOCS.read_text(encoding="utf-8").partition(f"**`{heading}`**")[2].partition("\n\n**")[0]
    return set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))


def as_json(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> dict[str, object]:
    assert execute(list(arguments)) == status
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


@pytest.fixture
def photos(server: ImageServer, tmp_path: Path) -> Path:
    url = server.add("/a.png", body=image_bytes())
    (tmp_path / "in.csv").write_text(f"image_url\n{url}\n{server.url('/gone')}\n")
    return tmp_path / "in.csv"


def test_embed_as_json(photos: Path, server: ImageServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "out.parquet")
    flags = ["--model", "demo", "--allow-address", server.address, "--isolate", "never", "--json"]
    found = as_json(capsys, "embed", str(photos), "-o", output, *flags)
    counts = {"output": output, "n_rows": 2, "n_vectors": 1, "n_failed": 1, "failures": {"http_404": 1}}
    assert {name: found[name] for name in counts} == counts
    assert set(found) == documented("pixvec embed")
    again = as_json(capsys, "embed", str(photos), "-o", output, *flags, "--max-failed", "0", status=3)
    assert (again["was_finished"], again["n_failed"]) == (True, 1)


def test_link_as_json(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "l.csv")
    found = as_json(capsys, "link", str(table), "-o", output, "--json")
    assert found == {"output": output, "n_rows": 4, "n_vectors": 4, "n_links": 12, "recall": None}
    assert set(found) == documented("pixvec link")


def test_dedupe_as_json(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = as_json(capsys, "dedupe", str(table), "--threshold", "0.98", "--json")
    assert (found["n_rows"], found["n_groups"], found["groups"]) == (4, 1, [[0, 1, 2, 3]])
    assert set(found) == documented("pixvec dedupe")


def test_models_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    listed = as_json(capsys, "models", "--json")["models"]
    assert isinstance(listed, list)
    assert (listed[-1]["name"], listed[-1]["is_cached"]) == ("demo", True)
    assert set(listed[0]) == documented("pixvec models")
    checked = as_json(capsys, "models", "check", "demo", "--json")
    assert (checked["model"], checked["dim"]) == ("demo", 128)
    assert set(checked) == documented("pixvec models check")


@pytest.mark.parametrize("command", ["embed", "link", "dedupe"])
def test_json_and_a_table_do_not_share_stdout(command: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([command, str(table), "-o", "-", "--json"]) == 2
    captured = capsys.readouterr()
    assert (captured.out, "--json and -o -" in captured.err) == ("", True)


def test_an_error_is_no_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["link", str(tmp_path / "none.parquet"), "-o", str(tmp_path / "l.csv"), "--json"]) == 2
    assert capsys.readouterr().out == ""
