"""Virtual environments for contenders' packages, one each, so that none decides about another's versions."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[1]
_FOLDER: Final = _ROOT / ".venv-bench-peers"
_INSTALL_LIMIT_S: Final = 1800


def python_with(name: str, *steps: Sequence[str]) -> str:
    """Find or make the environment `name`, and return its interpreter.

    Parameters
    ----------
    name
        A package's, mostly; "pixvec" is the environment that this runs in.
    steps
        What pip is given to install, one step after the other.

    Raises
    ------
    subprocess.CalledProcessError
        When it cannot be installed, as where one needs a compiler and there is none.
    """
    if name == "pixvec":
        return sys.executable
    folder = _FOLDER / name
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        print(f"installing {name}", file=sys.stderr, flush=True)
        _run("sh", str(_ROOT / "tools" / "make_venv.sh"), str(folder))
        for step in steps:
            _run(str(python), "-m", "pip", "install", "--quiet", *step)
        done.touch()
    return str(python)


def _run(*command: str) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S)
