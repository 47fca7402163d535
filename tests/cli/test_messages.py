"""Options in messages: the library names them as Python has them, and the command line as flags of its own."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli import cli, execute
from pixvec.codes import CODES

SOURCES = sorted(Path(pixvec.__file__).parent.rglob("*.py"))
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
URLS = "image_url\nhttp://127.0.0.1:8080/a.jpg\n"


def messages(path: Path) -> Iterator[str]:
    """Give the texts in a file's code, docstrings aside."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield node.value


def flags_of(name: str) -> set[str]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)}


def test_no_message_of_the_library_names_a_flag() -> None:
    library = [path for path in SOURCES if path.parent.name != "cli"]
    named = {text for path in library for text in messages(path) if FLAG.search(text)}
    assert {text for text in named if "pixvec " not in text.partition("--")[0]} == set()  # a whole command may


def test_what_a_code_names_in_backticks_is_an_option_in_python() -> None:
    known = set(Path(pixvec.__file__).parent.parent.parent.joinpath("docs/python.md").read_text().split("`"))
    texts = [f"{code.meaning} {code.advice}" for code in CODES.values()]
    named = {name for text in texts for name in re.findall(r"`([a-z]\w*)(?:=[^`]*)?`", text)}
    assert named - known - {"noai"} == set()


@pytest.mark.parametrize(
    ("command", "flags", "expected"),
    [
        ("embed", ["--batch-size", "0"], "pixvec: --batch-size 0: expected at least 1"),
        ("embed", ["--max-failed", "some of them"], "pixvec: --max-failed 'some of them': expected"),
        ("embed", ["--delimiter", "\n"], "pixvec: --delimiter '\\n': expected"),
        ("embed", ["--allow-address", "localhost:80"], "pixvec: --allow-address localhost:80: "),
        ("embed", ["--allow-bucket", "ftp://x"], "pixvec: --allow-bucket ftp://x: expected"),
        ("embed", ["--header", "x"], "pixvec: --header: expected"),
        ("embed", ["--proxy", "x"], "pixvec: --proxy: it begins with"),
        ("embed", ["--user-agent", ""], "pixvec: --user-agent: expected"),
        ("embed", ["--opt-out", "all"], "pixvec: --opt-out all: expected none"),
        ("embed", ["--files-under", "nowhere"], "pixvec: --files-under nowhere: there is no such folder"),
        ("embed", ["--cache", "in.csv"], "pixvec: --cache in.csv: expected a folder"),
        ("embed", ["--formats", "+gif"], "pixvec: --formats +gif: "),
        ("embed", ["--retry-codes", "nope"], "pixvec: --retry-codes nope: there is no code 'nope'"),
        ("embed", ["--retry-failed", "--restart"], "pixvec: --restart replaces the output, and a retry"),
        ("embed", ["-c", "image_url", "--texts", "id"], "pixvec: --column and --texts exclude each other"),
        ("embed", ["--encoding", "utf-99"], "pixvec: --encoding utf-99: no such encoding"),
        ("embed", ["--output-column", ""], "pixvec: --output-column '': the vector's column needs a name"),
        ("link", ["--n-nearest", "0"], "pixvec: --n-nearest 0: expected at least 1"),
        ("link", ["--attribute", "x"], "pixvec: --attribute is for graphs"),
        ("dedupe", ["--threshold", "2"], "pixvec: --threshold 2.0: expected at most 1"),
    ],
    ids=lambda case: " ".join(case) if isinstance(case, list) else None,
)
def test_an_error_names_the_flag_as_it_is_given(
    command: str,
    flags: list[str],
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.csv").write_text(URLS)
    output = "out.parquet" if command == "link" else "out.csv"
    assert execute([command, "in.csv", "-o", output, *flags]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(expected)
    assert "`" not in printed
    assert set(FLAG.findall(printed)) <= flags_of(command)


def test_what_is_no_flag_of_the_command_stays_as_the_library_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = pa.array([[1.0, 0.0]], pa.list_(pa.float32(), 2))
    pq.write_table(pa.table({"a": column, "b": column}), tmp_path / "in.parquet")
    assert execute(["link", str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.parquet")]) == 2
    assert "several columns hold vectors: 'a', 'b'; choose one with --vectors\n" in capsys.readouterr().err
    (tmp_path / "in.csv").write_text("id,embedding,image_url\n1,2,http://x.y/\n")
    assert execute(["embed", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv")]) == 2
    assert "with --output-column, or replace these with --replace-column\n" in capsys.readouterr().err


def test_a_reason_in_a_table_is_in_the_words_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text(URLS)
    output = tmp_path / "out.parquet"
    assert (
        execute(["embed", str(tmp_path / "in.csv"), "-o", str(output), "--model", "demo", "--max-failed", "100%"]) == 0
    )
    assert "`allow_address" in pq.read_table(output)["embedding_detail"][0].as_py()
    capsys.readouterr()
    assert execute(["report", str(output)]) == 0
    report = capsys.readouterr().out
    assert "`--allow-address ADDRESS:PORT`" in report
    assert "allow_address" not in report


def test_an_argument_of_the_command_is_named_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert execute(["models", "check", "dmeo"]) == 2
    assert capsys.readouterr().err.endswith("or try the built-in demo; did you mean 'demo'?\n")
