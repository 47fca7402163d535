"""A program that gives a command, and ends as if by a power cut: at its n-th change of the file system, or at a time.

It reads attempts from stdin, a JSON object in each line, and answers each with its exit status: -9 where it was ended.
Each attempt is a process of its own, forked before any of the library's threads has been started.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd

import pixvec

CHANGES = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"}


def end_at(n_changes: int, folder: str) -> None:
    """End this process at its n-th change below a folder; opening a file counts."""
    n_left = n_changes

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal n_left
        if event in CHANGES and _is_below(str(arguments[0]), folder):
            n_left -= 1
            if not n_left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def _is_below(name: str, folder: str) -> bool:
    """Tell whether a name is below a folder; one that is no whole path is, since it is looked up in an open folder."""
    return name.startswith(folder) or not Path(name).is_absolute()


def attempt(*, input: str, output: str, n_changes: int, kill_after_s: float | None, options: dict[str, Any]) -> int:
    """Give the command in a process of its own, and return its exit status."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        end_at(n_changes, str(Path(output).parent))
        pixvec.embed_file(input, output, **options)
        os._exit(0)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    pixvec.embed_file, pd.DataFrame  # noqa: B018 (imports them, the second for pyarrow, once for all attempts)
    for line in sys.stdin:
        sys.stdout.write(f"{attempt(**json.loads(line))}\n")
        sys.stdout.flush()
