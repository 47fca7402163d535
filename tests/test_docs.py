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
    assert [name for name in CODES if page.count(f"### `{name}`\n") != 1] == []


def test_every_promise_of_security_names_tests_that_exist() -> None:
    page = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    promises = re.findall(r"^\| \*\*.*\| `(tests/[^`]+)` \|$", page, re.MULTILINE)
    assert len(promises) == page.count("\n| **")
    assert [path for path in promises if "def test_" not in (ROOT / path).read_text(encoding="utf-8")] == []
