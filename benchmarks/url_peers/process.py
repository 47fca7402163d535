"""A contender's process as the one sees it that measures: asked for vectors, timed, weighed, and ended.

It must not know what the contender does.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray
from side_by_side import Visit

_BENCHMARKS: Final = Path(__file__).resolve().parents[1]
_WEIGHING_S: Final = 0.1
_QUIET: Final = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "WANDB_MODE": "disabled", "DAFT_PROGRESS_BAR": "0"}
"""For packages that would look for a hub, tell somebody, or draw."""


class PeerError(Exception):
    """A contender could not be installed, or did not come to an end."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a contender's process made of URLs; `vectors` as `Embedded` has them."""

    vectors: NDArray[np.float32]
    n_reasons: int
    versions: dict[str, str]


class Peer:
    """A contender's process; loads at the first visit.

    Parameters
    ----------
    name
        Of a way.
    python
        The interpreter of its environment.
    folder
        Where the models are, and where its log and its vectors go.
    limit_s
        How long a visit may take.
    """

    def __init__(self, name: str, python: str, folder: Path, limit_s: float) -> None:
        self.name = name
        self._limit_s = limit_s
        folder.mkdir(parents=True, exist_ok=True)
        self._vectors = folder / f"{name}.npy"
        self._log = folder / f"{name}.log"
        command = [python, "-m", "url_peers.worker", name, str(folder)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=_BENCHMARKS,
                env={**os.environ, **_QUIET},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def visit(self, urls: list[str]) -> Visit:
        """Let it embed URLs, and wait for it; the visit's result is an `Answer`.

        Raises
        ------
        PeerError
            When it raised an error, died, or took too long.
        """
        seconds, cpu_seconds = time.perf_counter(), self._cpu_seconds()
        report = self._ask({"urls": urls, "vectors": str(self._vectors)})
        seconds, cpu_seconds = time.perf_counter() - seconds, self._cpu_seconds() - cpu_seconds
        if "error" in report:
            raise PeerError(report["error"])
        answer = Answer(np.load(self._vectors), report["n_reasons"], report["versions"])
        return Visit(len(urls), answer, seconds, cpu_seconds)

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin, "it was asked for"
        assert stdout, "it was asked for"
        is_late = threading.Event()

        def give_up() -> None:
            is_late.set()
            self.close()

        timer = threading.Timer(self._limit_s, give_up)
        timer.start()
        try:
            with suppress(BrokenPipeError):
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
            line = stdout.readline()
        finally:
            timer.cancel()
        if not line:
            raise PeerError(f"took more than {self._limit_s:.0f} s" if is_late.is_set() else self._last_words())
        report: dict[str, Any] = json.loads(line)
        return report

    def _last_words(self) -> str:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        return f"died: {lines[-1] if lines else self._process.wait()}"

    @contextmanager
    def weighed(self) -> Iterator[list[int]]:
        """Weigh its processes over and over until the block ends: bytes, with shared ones shared out."""
        weights: list[int] = []
        is_over = threading.Event()

        def weigh() -> None:
            while not is_over.wait(_WEIGHING_S):
                weights.append(sum(map(_bytes_held, self._tree())))

        thread = threading.Thread(target=weigh)
        thread.start()
        try:
            yield weights
        finally:
            is_over.set()
            thread.join()

    def _cpu_seconds(self) -> float:
        """Add up the CPU time of its processes, and of those that have ended."""
        seconds = 0.0
        for process in self._tree():
            with suppress(psutil.Error):
                seconds += sum(process.cpu_times()[:4])  # user, system, and the same of children that were waited for
        return seconds

    def _tree(self) -> list[psutil.Process]:
        try:
            process = psutil.Process(self._process.pid)
            return [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def close(self) -> None:
        """End its processes."""
        for process in self._tree():
            with suppress(psutil.Error):
                process.kill()
        self._process.wait()


def _bytes_held(process: psutil.Process) -> int:
    try:
        held = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(held, "pss", held.rss))
