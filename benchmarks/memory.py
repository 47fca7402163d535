"""Does memory grow with the rows? A long column of URLs that are dead or repeated, and the memory of the run beside it.

The table is written row by row, and embedded by the command line in a process of its own, whose resident memory, with
that of its children, is read ten times a second. No image is decoded twice, and so ten million rows take minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

N_IMAGES: Final = 100
KINDS: Final = 4
"""Of four rows one is an image that came before, one a dead URL of its own, one no URL, and one empty."""


@dataclass(frozen=True)
class Use:
    """What a run took."""

    n_rows: int
    seconds: float
    peak_mib: float

    def __str__(self) -> str:
        return f"{self.n_rows:,} rows: {self.n_rows / self.seconds:,.0f} rows/s, at most {self.peak_mib:,.0f} MiB"


def main() -> None:
    """Measure runs of the lengths that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000])
    parser.add_argument("--model", default="demo")
    parser.add_argument("--output", default="out.parquet", help="out.csv, out.parquet or out/")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ImageServer() as server:
        urls = [server.add(f"/{seed}.jpg", body=image_bytes(size=(64, 64), seed=seed)) for seed in range(N_IMAGES)]
        for n_rows in asked.rows:
            place = Path(folder) / str(n_rows)
            place.mkdir()
            print(measured(place, urls, server, n_rows, model=asked.model, output=asked.output), flush=True)


def measured(folder: Path, urls: list[str], server: ImageServer, n_rows: int, *, model: str, output: str) -> Use:
    """Embed a table of so many rows, and watch the memory of it."""
    with (folder / "in.csv").open("w") as table:
        table.writelines(f"{cell}\n" for cell in ["id,image_url", *cells(urls, n_rows)])
    paths = [str(folder / "in.csv"), "-c", "image_url", "-o", f"{folder}/{output}"]
    flags = ["--model", model, "--allow-address", server.address, "--quiet"]
    started, peak_bytes = time.monotonic(), 0
    with subprocess.Popen([sys.executable, "-m", "pixvec", "embed", *paths, *flags]) as process:
        while process.poll() is None:
            peak_bytes = max(peak_bytes, sum(resident_bytes(pid) for pid in family(process.pid)))
            time.sleep(0.1)
    if process.returncode:
        raise SystemExit(process.returncode)
    return Use(n_rows, time.monotonic() - started, peak_bytes / 2**20)


def cells(urls: list[str], n_rows: int) -> Iterator[str]:
    """Make rows of all kinds."""
    for row in range(n_rows):
        repeated = urls[row // KINDS % len(urls)]
        yield f"{row}," + (repeated, f"http://10.0.0.1/{row}.jpg", f"no url {row}", "")[row % KINDS]


def family(pid: int) -> list[int]:
    """List a process and its descendants."""
    with suppress(OSError):
        children = (int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in _words(task / "children"))
        return [pid, *(one for child in children for one in family(child))]
    return []


def resident_bytes(pid: int) -> int:
    """Tell how much memory of its own a process has; what it shares with files on the disk is nobody's."""
    fields = dict(line.split(":") for line in _lines(Path(f"/proc/{pid}/status")))
    return int(fields.get("RssAnon", "0 kB").split()[0]) << 10


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text().splitlines()
    return []


if __name__ == "__main__":
    main()
