"""Contenders side by side: each warm in a process of its own, one at work at a time.

They are visited A B C … C B A, so that a machine that slows down slows all of them alike. A contender's figure is the
median of its visits; ratios hold within one run. This module must not know what is measured.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

Work: TypeAlias = Callable[..., tuple[int, Any]]
"""What is measured: returns how many images it worked on, and what came of them."""

Start: TypeAlias = Callable[[], Work]
"""Loads a contender, in its process; must pickle."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One stretch of a contender's work.

    Parameters
    ----------
    n_images, result
        What the work returned.
    seconds, cpu_seconds
        By the clock, and of all the process's threads.
    """

    n_images: int
    result: Any
    seconds: float
    cpu_seconds: float


class Contender:
    """A contender in a process of its own, loaded; it works when it is visited.

    Parameters
    ----------
    name
        As the table has it.
    start
        Called in the process.
    """

    def __init__(self, name: str, start: Start) -> None:
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._pipe, far_end = context.Pipe()
        self._process = context.Process(target=_work_when_asked, args=(far_end, start), daemon=True)
        self._process.start()
        far_end.close()
        self._pipe.recv()

    def visit(self, *inputs: Any) -> Visit:
        """Let it work once, and wait for it."""
        self._pipe.send(inputs)
        visit: Visit = self._pipe.recv()
        return visit

    def end(self) -> None:
        """Let its process end."""
        self._pipe.send(None)
        self._process.join()


def _work_when_asked(pipe: Connection, start: Start) -> None:
    work = start()
    pipe.send("ready")
    while (inputs := pipe.recv()) is not None:
        seconds, cpu_seconds = time.perf_counter(), time.process_time()
        n_images, result = work(*inputs)
        seconds, cpu_seconds = time.perf_counter() - seconds, time.process_time() - cpu_seconds
        pipe.send(Visit(n_images, result, seconds, cpu_seconds))


@contextmanager
def started(starts: dict[str, Start]) -> Iterator[list[Contender]]:
    """Hold contenders ready, by name, until the block ends."""
    with ExitStack() as stack:
        contenders = []
        for name, start in starts.items():
            contenders.append(Contender(name, start))
            stack.callback(contenders[-1].end)
        yield contenders


@dataclass(frozen=True, slots=True)
class Figures:
    """What a contender's visits came to; `beside_cpu_ms` is the CPU time of what it was measured beside."""

    per_second: float
    slowest: float
    fastest: float
    cpu_ms: float
    beside_cpu_ms: float
    result: Any


def compare(
    contenders: Sequence[Contender], *inputs: Any, n_rounds: int, beside_cpu_seconds: Callable[[], float] = float
) -> dict[str, Figures]:
    """Visit all contenders, there and back, `n_rounds` times, after one visit that is not counted."""
    visits: dict[str, list[tuple[Visit, float]]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        contender.visit(*inputs)
    for contender in [*contenders, *reversed(contenders)] * n_rounds:
        before = beside_cpu_seconds()
        visit = contender.visit(*inputs)
        visits[contender.name].append((visit, beside_cpu_seconds() - before))
    return {name: figures_of(those) for name, those in visits.items()}


def figures_of(visits: Sequence[tuple[Visit, float]]) -> Figures:
    """Take the medians of a contender's visits, each with the CPU seconds of what it was measured beside."""
    rates = [visit.n_images / visit.seconds for visit, _ in visits]
    return Figures(
        per_second=statistics.median(rates),
        slowest=min(rates),
        fastest=max(rates),
        cpu_ms=statistics.median(1e3 * visit.cpu_seconds / visit.n_images for visit, _ in visits),
        beside_cpu_ms=statistics.median(1e3 * beside / visit.n_images for visit, beside in visits),
        result=visits[-1][0].result,
    )


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(*packages: str) -> str:
    """Say what the figures were measured on, and how busy it was before."""
    versions = ", ".join(f"{package} {version(package)}" for package in packages)
    cores = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before"
    return f"{_processor()}, {cores}; Python {platform.python_version()}, {versions}"


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
