"""Is work ever lost? One run, killed at random moments hundreds of times, beside the same run left alone.

Each attempt is the command line in a process group of its own, which is ended with SIGKILL, SIGTERM or SIGINT at a
random moment, and given again. One row of each part is slow, so that parts are seldom finished. At the end the tables
must have the same bytes, nothing else may be left, and each end may have cost a hundred requests at most.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

N_IMAGES: Final = 200
SLOW_S: Final = 1.0
"""How long the first row of each part takes."""
MAX_LOST: Final = 100
FINISHED: Final = 0
SIGNALS: Final = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
EXPECTED: Final = {FINISHED, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
"""A signal that comes while Python starts ends the process before there is anybody to answer it."""


def main() -> None:
    """Kill runs until so many kills are done, and say what came of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="end runs so many times, over several tables")
    parser.add_argument("--rows", type=int, default=2_000, help="rows of a table")
    parser.add_argument("--part-rows", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    moments = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as folder, ImageServer() as server:
        soak = Soak(Path(folder), server, n_rows=asked.rows, part_rows=asked.part_rows)
        while soak.statuses.total() - soak.statuses[FINISHED] < asked.kills:
            soak.one_table(moments)
            print(soak, flush=True)


@dataclass
class Soak:
    """Tables that are begun, killed, and gone on with until they are finished."""

    folder: Path
    server: ImageServer
    n_rows: int
    part_rows: int
    statuses: Counter[int] = field(default_factory=Counter)
    n_tables: int = 0
    n_rows_lost: int = 0
    """Rows that were asked for once more than needed: they were in progress when a run was ended."""

    def __post_init__(self) -> None:
        self.checkpoint = str(make_checkpoint(self.folder / "checkpoint"))
        images = [image_bytes(size=(64, 64), seed=seed) for seed in range(N_IMAGES)]
        urls = [
            self.server.add(f"/{row}.jpg", body=images[row % N_IMAGES], delay_s=0 if row % self.part_rows else SLOW_S)
            for row in range(self.n_rows)
        ]
        for row in range(0, self.n_rows, self.n_rows // 10):
            urls[row] = self.server.url(f"/dead{row}")
        lines = ["id,image_url,note", *(f'0{row},{url},"a, b"' for row, url in enumerate(urls))]
        (self.folder / "in.csv").write_text("\n".join(lines) + "\n")
        self.expected: dict[str, dict[str, bytes]] = {}
        for output in ("a/out.csv", "b/out.parquet", "c/out/"):
            (self.folder / "whole" / output).parent.mkdir(parents=True)
            started = time.monotonic()
            with self._attempt(f"whole/{output}") as process:
                assert process.wait() == FINISHED
            self.seconds = time.monotonic() - started
            self.expected[output] = _contents(self.folder / "whole" / output[0])

    def one_table(self, moments: random.Random) -> None:
        """Run one table until it is finished, however often that takes."""
        output = moments.choice(sorted(self.expected))
        kept = self.folder / str(self.n_tables)
        (kept / output).parent.mkdir(parents=True)
        n_before, n_ended, status = len(self.server.requests), -1, None
        while status != FINISHED:
            with self._attempt(f"{self.n_tables}/{output}") as process:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(moments.uniform(0, 1.2 * self.seconds))
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, moments.choice(SIGNALS))
                status = process.wait()
            assert status in EXPECTED, f"exit status {status}"
            self.statuses[status] += 1
            n_ended += 1
        assert _contents(kept / output[0]) == self.expected[output], f"{output} differs from what it should be"
        self.n_tables += 1
        n_lost = len(self.server.requests) - n_before - self.n_rows
        assert n_lost <= MAX_LOST * n_ended, f"{n_ended} ends cost {n_lost} requests"
        self.n_rows_lost += n_lost

    @contextmanager
    def _attempt(self, output: str) -> Iterator[subprocess.Popen[bytes]]:
        flags = ["--model", self.checkpoint, "--allow-address", self.server.address, "--part-rows", str(self.part_rows)]
        paths = [f"{self.folder}/in.csv", "-o", f"{self.folder}/{output}"]
        command = [sys.executable, "-m", "pixvec", "embed", *paths, *flags, "--quiet"]
        with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
            yield process

    def __str__(self) -> str:
        n_killed = self.statuses.total() - self.statuses[FINISHED]
        return (
            f"{self.n_tables} tables of {self.n_rows:,} rows, {n_killed} ends ({dict(self.statuses)}): "
            f"every table as it should be; rows fetched again: {self.n_rows_lost / max(n_killed, 1):.0f} for each end"
        )


def _contents(folder: Path) -> dict[str, bytes]:
    """Read what runs have left, the logs aside: they tell the time."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".log.jsonl"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


if __name__ == "__main__":
    main()
