"""The pages say what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from pixvec.codes import CODES

ROOT = Path(__file__).parent.parent


def test_what_the_code_knows_better_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "tools/write_docs.py"), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (checked.returncode, checked.stdout) == (0, "")


def test_every_code_has_its_place_among_the_failures() -> None:
    page = (ROOT / "docs/failures.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^### `(.+)`$", page, re.MULTILINE)) == sorted(CODES)


PROMISE = re.compile(r"^\| \*\*.+\*\*.* \| (?P<tests>`tests/[^|]+`) \|$", re.MULTILINE)


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
