"""Virtual environments for contenders' packages, one each, so that none decides about another's versions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]
_FOLDER: Final = _ROOT / ".venv-bench-peers"
_INSTALL_LIMIT_S: Final = 900


def python_with(package: str, *beside: str) -> str:
    """Find or make the environment that has `package`, and return its interpreter.

    Raises
    ------
    subprocess.CalledProcessError
        When it cannot be installed, as where one needs a compiler and there is none.
    """
    if package == "pixvec":
        return sys.executable
    folder = _FOLDER / package
    python, done = folder / "bin" / "python", folder / "installed"
    if not done.exists():
        print(f"installing {package}", file=sys.stderr, flush=True)
        _run("sh", str(_ROOT / "tools" / "make_venv.sh"), str(folder))
        _run(str(python), "-m", "pip", "install", "--quiet", package, *beside)
        done.touch()
    return str(python)


def _run(*command: str) -> None:
    environment = {**os.environ, "PYTHON": sys.executable}
    subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S)
