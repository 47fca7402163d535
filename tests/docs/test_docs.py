"""The pages say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from inspect import isfunction, signature
from pathlib import Path

import click

import pixvec
from pixvec.cli import cli
from pixvec.codes import CODES

ROOT = Path(__file__).parents[2]


def test_what_the_code_knows_better_is_up_to_date() -> None:
    command = [sys.executable, "-m", "tools.write_docs", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_every_code_has_its_place_among_the_failures() -> None:
    page = (ROOT / "docs/failures.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### `(.+)`$", page, re.MULTILINE)) == sorted(CODES)


PROMISE = re.compile(r"^\| \*\*.+\*\*.* \| (?P<tests>`tests/[^|]+`) \|$", re.MULTILINE)


def test_every_command_has_its_help_on_the_page_of_commands() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    commands = [f"pixvec {name}" for name in cli.list_commands(click.Context(cli))]
    assert re.findall(r"^## `(.*)`\n\n```text\nUsage: ", page, re.MULTILINE) == [*commands, "pixvec models check"]


def test_the_page_on_python_has_every_public_name() -> None:
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    shown = set(re.findall(r"^::: (\S+)$", page, re.MULTILINE))
    homes = {name: getattr(pixvec, name).__module__ for name in pixvec.__all__}
    assert [name for name, home in homes.items() if not {home, f"{home}.{name}"} & shown] == []


def test_the_page_on_python_has_every_option_of_every_function() -> None:
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    tables = re.findall(r"^\*\*(`.*`)\*\*\n\n((?:\|.*\n)+)", page, re.MULTILINE)
    listed = {
        (taker, option)
        for takers, table in tables
        for taker in re.findall(r"\w+", takers)
        for option in re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    }
    functions = {name: getattr(pixvec, name) for name in pixvec.__all__ if isfunction(getattr(pixvec, name))}
    taken = {
        (name, part.name)
        for name, function in functions.items()
        for part in signature(function).parameters.values()
        if part.kind is part.KEYWORD_ONLY
    }
    assert {(name, option) for name, option in taken - listed if option not in functions[name].__doc__} == set()


def test_every_page_is_in_the_navigation() -> None:
    pages = {page.name for page in (ROOT / "docs").glob("*.md")}
    assert set(re.findall(r"[\w.]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))) == pages


def test_every_promise_of_security_names_tests_that_exist() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = [promise["tests"].strip("`").split("`, `") for promise in PROMISE.finditer(page)]
    assert len(promises) == page.count("\n| **")
    named = {path for paths in promises for path in paths}
    assert [path for path in named if "def test_" not in (ROOT / path).read_text(encoding="utf-8")] == []


def test_every_test_of_hostility_stands_behind_a_promise() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    hostile = (path for folder in ("hostile", "browser") for path in (ROOT / "tests" / folder).glob("test_*.py"))
    assert [path.name for path in hostile if f"`{path.relative_to(ROOT).as_posix()}`" not in page] == []
