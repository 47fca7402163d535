"""What type checkers see of the public functions."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

USE = Path(__file__).with_name("use.py")
ROOT = USE.parents[2]
IGNORE = "# type: ignore["


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="mypy is not installed")
def test_mypy_sees_right_use_and_wrong_use() -> None:
    command = [sys.executable, "-m", "mypy", "--strict", str(USE)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=100)
    assert (done.stdout.strip(), done.stderr) == ("Success: no issues found in 1 source file", "")


@pytest.mark.skipif(importlib.util.find_spec("pyright") is None, reason="pyright is not installed")
def test_pyright_sees_right_use_and_wrong_use(tmp_path: Path) -> None:
    """Without the ignores, which it would take at their word: exactly the lines that have one are wrong."""
    lines = USE.read_text().splitlines()
    (tmp_path / "use.py").write_text("\n".join(line.partition(IGNORE)[0] for line in lines))
    (tmp_path / "pyrightconfig.json").write_text("{}")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "use.py"]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=100)
    if not done.stdout.startswith("{"):
        pytest.skip(f"pyright does not start here: {done.stderr[-200:]}")
    found = json.loads(done.stdout)["generalDiagnostics"]
    wrong = {problem["range"]["start"]["line"] for problem in found if problem["severity"] == "error"}
    assert wrong == {number for number, line in enumerate(lines) if IGNORE in line}, found
