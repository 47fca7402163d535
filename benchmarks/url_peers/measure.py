"""Contenders -> what each came to: alone first, then all there and back, one at work at a time.

What goes wrong with one is its outcome, and the others go on. It must not know how outcomes are shown.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from environments import python_with
from side_by_side import Visit

from pixvec.model.engine import resolve_precision
from pixvec.testing.checkpoints import make_checkpoint
from url_peers.process import Answer, Peer, PeerError
from url_peers.ways import BASELINE, BATCH_SIZE, CHECKPOINT, ONNX, TINY, WAYS

_N_WARM: Final = 3 * BATCH_SIZE


@dataclass(slots=True)
class Outcome:
    """What a contender came to, as far as it got.

    Parameters
    ----------
    name
        Of its way.
    failure
        Why there is no more.
    dead_links
        What it made of links some of which are dead.
    peak_bytes
        The memory of its processes, at most.
    first_s
        From the start of its process to its first vector.
    visits
        Each with the server's CPU seconds.
    """

    name: str
    failure: str | None = None
    dead_links: str = ""
    peak_bytes: int = 0
    first_s: float = 0.0
    visits: list[tuple[Visit, float]] = field(default_factory=list)

    @property
    def answer(self) -> Answer:
        """What its last visit brought."""
        answer: Answer = self.visits[-1][0].result
        return answer

    @contextmanager
    def noting(self) -> Iterator[None]:
        """Take what fails as the reason for which there is no more."""
        try:
            yield
        except PeerError as error:
            self.failure = str(error)
        except subprocess.CalledProcessError as error:
            self.failure = f"cannot be made ready: {_last_error(error)}"
        except subprocess.TimeoutExpired as error:
            self.failure = f"cannot be made ready within {error.timeout:.0f} s"
        if self.failure:
            tell(f"{self.name}: {self.failure}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What contenders are measured with.

    Parameters
    ----------
    folder
        For models, logs and vectors.
    urls
        Of images.
    links
        URLs some of which are dead.
    n_dead
        How many of them.
    server_cpu_seconds
        Asks the server.
    n_rounds
        How often to go there and back.
    visit_s, limit_s
        How long a visit takes, more or less, and at most.
    """

    folder: Path
    urls: list[str]
    links: list[str]
    n_dead: int
    server_cpu_seconds: Callable[[], float]
    n_rounds: int
    visit_s: float
    limit_s: float

    def measure(self, names: list[str]) -> list[Outcome]:
        """Look at each contender alone, then visit all there and back."""
        outcomes = [Outcome(name) for name in names]
        with ExitStack() as stack:
            ready = []
            for outcome in outcomes:
                with outcome.noting():
                    python = python_for(outcome.name, self.folder)
                    self._look_at(outcome, python)
                    ready.append((outcome, *self._start(outcome, python, stack)))
            for outcome, peer, n_images in [*ready, *reversed(ready)] * self.n_rounds:
                with outcome.noting():
                    if not outcome.failure:
                        outcome.visits.append(self._visit(peer, n_images))
        return outcomes

    def _look_at(self, outcome: Outcome, python: str) -> None:
        """Let it work alone, the first time, with good links and with dead ones."""
        with closing(self._peer(outcome.name, python)) as peer:
            with peer.weighed() as weights:
                peer.visit(self.urls[: len(self.links)])
                outcome.dead_links = self._try_dead_links(peer)
            outcome.peak_bytes = max(weights, default=0)
        tell(f"{outcome.name}: {outcome.dead_links}; {outcome.peak_bytes / 1e6:.0f} MB")

    def _try_dead_links(self, peer: Peer) -> str:
        try:
            answer = peer.visit(self.links).result
        except PeerError as error:
            return f"the call ends with {_first_line(str(error))}"
        n_gone = len(self.links) - len(answer.vectors)
        n_empty = int(np.isnan(answer.vectors).any(axis=1).sum())
        n_lost = n_gone + n_empty - self.n_dead
        parts = [f"{n_gone} rows gone" if n_gone else "all rows there"]
        parts += [f"{n_empty} empty"] if n_empty else []
        parts += ["each with its reason"] if n_empty and answer.n_reasons >= n_empty else ["no reasons"]
        parts += [f"{n_lost} good ones lost"] if n_lost > 0 else []
        return ", ".join(parts)

    def _start(self, outcome: Outcome, python: str, stack: ExitStack) -> tuple[Peer, int]:
        """Start it once more, warm it, and reckon how many images make a visit."""
        start = time.perf_counter()
        peer = stack.enter_context(closing(self._peer(outcome.name, python)))
        peer.visit(self.urls[:1])
        outcome.first_s = time.perf_counter() - start
        warm = peer.visit(self.urls[:_N_WARM])
        if WAYS[outcome.name].starts_in_call:
            return peer, len(self.urls)
        n_batches = round(self.visit_s * warm.n_images / warm.seconds / BATCH_SIZE)
        return peer, min(max(n_batches, 1) * BATCH_SIZE, len(self.urls))

    def _visit(self, peer: Peer, n_images: int) -> tuple[Visit, float]:
        before = self.server_cpu_seconds()
        visit = peer.visit(self.urls[:n_images])
        tell(f"{peer.name}: {n_images / visit.seconds:.1f} images/s")
        return visit, self.server_cpu_seconds() - before

    def _peer(self, name: str, python: str) -> Peer:
        return Peer(name, python, self.folder, self.limit_s)


def python_for(name: str, folder: Path) -> str:
    """Make what a contender needs, where it is missing, and return its interpreter.

    Raises
    ------
    PeerError
        When it makes no sense on this machine.
    subprocess.CalledProcessError, subprocess.TimeoutExpired
        When it cannot be installed.
    """
    way = WAYS[name]
    if way.needs_bf16 and resolve_precision("auto") != "bf16":
        raise PeerError("this processor does not compute in bf16")
    python = python_with(way.environment, *way.steps)
    make_models(folder)
    if way.needs_onnx and not (folder / ONNX / "preprocessor_config.json").exists():
        exporting = python_with(WAYS[BASELINE].environment, *WAYS[BASELINE].steps)
        command = [exporting, "-m", "url_peers.export", str(folder / CHECKPOINT), str(folder / ONNX)]
        subprocess.run(command, cwd=Path(__file__).parents[1], check=True, capture_output=True, text=True)
    return python


def make_models(folder: Path) -> None:
    """Make the checkpoint, and one of the same image size that costs nothing."""
    _make_model(folder / CHECKPOINT, "vit-base-patch32", {})
    _make_model(folder / TINY, "tiny", {"image_size": 224, "patch_size": 32})


def _make_model(folder: Path, preset: str, vision: dict[str, int]) -> None:
    if not folder.exists():
        make_checkpoint(folder.with_suffix(".unfinished"), preset, vision=vision).rename(folder)


def tell(text: str) -> None:
    """Say how it goes."""
    print(text, file=sys.stderr, flush=True)


def _last_error(error: subprocess.CalledProcessError) -> str:
    lines = error.stderr.strip().splitlines()
    return next((line for line in reversed(lines) if "error" in line.lower()), str(error))


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0][:160]
