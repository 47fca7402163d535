"""Does it hold? A hundred thousand rows through the command line, a third of them faults of every kind.

The limits are the real ones, the servers a process of their own, the model a tiny one, so that rows come as fast as
they can. All the while the memory, threads, files and children of the run are counted. At the end every row must have
come to what its fault must give, at its place; the memory must have stayed under what is promised, and nothing may be
left over.
"""

from __future__ import annotations

import argparse
import csv
import os
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import pyarrow.parquet as pq
from side_by_side import Work, machine, markdown_table, started

from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.faults import Web, put_up_column

PROMISED_BYTES: Final = 1_000_000_000
MOST_FILES: Final = 512
"""256 connections, and what else is open."""
SAMPLE_S: Final = 0.25
CERTIFICATE: Final = Path(__file__).parents[1] / "tests" / "fetch" / "self_signed.pem"

Rows: TypeAlias = list[tuple[str, frozenset[str], str]]
"""Of each row what happens to it, what it may come to, and its cell."""


def main() -> None:
    """Run it, print what was counted, and fail where anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--faults", type=float, default=0.3, help="what part of the rows are faults")
    parser.add_argument("--rare", type=int, default=20, help="rows of each kind that takes seconds or many bytes")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    print(f"{asked.rows:,} rows, {asked.faults:.0%} of them faults, {machine('pixvec', 'aiohttp', 'pillow')}\n")
    with (
        tempfile.TemporaryDirectory() as name,
        started({"servers": partial(_serve, asked.rows, asked.faults, asked.rare, asked.seed)}) as (servers,),
    ):
        addresses, rows = servers.visit().result
        soak = Soak(Path(name), addresses, rows)
        soak.run()
        print(soak, *soak.faults(), sep="\n")
    sys.exit(1 if soak.faults() else 0)


def _serve(n_rows: int, fault_share: float, n_rare: int, seed: int) -> Work:
    """Put up all rows; the work is to tell them."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(CERTIFICATE)
    web = Web(tls).__enter__()
    column = put_up_column(web, n_rows, fault_share=fault_share, n_rare=n_rare, seed=seed)
    rows = [(kind.name, kind.codes, cell) for kind, cell in column]
    return lambda: (n_rows, (web.addresses, rows))


# The run --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """What the run's processes hold together at one moment; memory that they share counts for each."""

    n_bytes: int
    n_threads: int
    n_files: int
    n_processes: int


class Soak:
    """One run of the command line.

    Parameters
    ----------
    folder
        An empty one.
    addresses
        Where the servers are.
    rows
        What they serve.
    """

    def __init__(self, folder: Path, addresses: tuple[str, ...], rows: Rows) -> None:
        self._rows = rows
        self._doors = [f"--allow-address={address}" for address in addresses]
        self._folder = folder
        self._output = folder / "out" / "out.parquet"
        self._temporary = folder / "tmp"
        self._samples: list[Sample] = []

    def run(self) -> None:
        """Run it to its end, and count all the while."""
        self._output.parent.mkdir()
        self._temporary.mkdir()
        command, started_at = self._command(), time.monotonic()
        environment = {**os.environ, "TMPDIR": str(self._temporary)}
        with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True, env=environment) as process:
            while process.poll() is None:
                self._samples += _samples(process.pid)
                time.sleep(SAMPLE_S)
            self._said = process.stderr.read().decode() if process.stderr else ""
        self._seconds, self._status = time.monotonic() - started_at, process.returncode
        found = [*_session(process.pid), *self._temporary.iterdir(), *self._output.parent.iterdir()]
        self._left = [it for it in found if it not in {self._output, Path(f"{self._output}.log.jsonl")}]
        self._table = pq.read_table(self._output, columns=["row", "embedding_error"])

    def _command(self) -> list[str]:
        table = self._folder / "in.csv"
        with table.open("w", newline="") as file:
            csv.writer(file).writerows([("row", "image_url"), *((n, row[2]) for n, row in enumerate(self._rows))])
        model = make_checkpoint(self._folder / "checkpoint")
        flags = ["--column", "image_url", "--model", str(model), "--quiet", *self._doors]
        return [sys.executable, "-m", "pixvec", "embed", str(table), "-o", str(self._output), *flags]

    def faults(self) -> list[str]:
        """Say what is wrong."""
        wrong = [f"{name}: {code}, {n} times" for (name, code), n in self._wrong_rows().items()]
        checks = {
            f"exit status {self._status}": self._status != 0,
            f"it said: {self._said}": bool(self._said),
            "rows are not at their places": self._table["row"].to_pylist() != [*map(str, range(len(self._rows)))],
            "more memory than promised": self._most("n_bytes") > PROMISED_BYTES,
            "too many open files": self._most("n_files") > MOST_FILES,
            f"left over: {self._left}": bool(self._left),
        }
        return [*wrong, *(sentence for sentence, holds in checks.items() if holds)]

    def _wrong_rows(self) -> Counter[tuple[str, str]]:
        codes = (code or "ok" for code in self._table["embedding_error"].to_pylist())
        rows = zip(self._rows, codes, strict=True)
        return Counter((name, code) for (name, expected, _), code in rows if code not in expected)

    def _most(self, what: str) -> int:
        return max(int(getattr(sample, what)) for sample in self._samples)

    def __str__(self) -> str:
        codes = Counter(code or "ok" for code in self._table["embedding_error"].to_pylist())
        quarter = len(self._samples) // 4
        memory = [sample.n_bytes for sample in self._samples]
        medians = [statistics.median(memory[number * quarter : (number + 1) * quarter]) for number in range(4)]
        lines = [
            ("seconds", f"{self._seconds:.0f}"),
            ("most memory, MB", f"{self._most('n_bytes') / 1e6:.0f}"),
            ("memory in each quarter of the time, MB", ", ".join(f"{n_bytes / 1e6:.0f}" for n_bytes in medians)),
            ("most threads, open files, processes", ", ".join(str(self._most(f"n_{it}")) for it in _COUNTED)),
            ("left over", str(len(self._left))),
            ("rows by outcome", ", ".join(f"{code} {n:,}" for code, n in codes.most_common())),
        ]
        return markdown_table(["", ""], lines)


_COUNTED: Final = ("threads", "files", "processes")


# /proc ----------------------------------------------------------------------------------------------------------------


def _samples(session: int) -> Iterator[Sample]:
    """Count what a session's processes hold; nothing where one ends meanwhile."""
    processes = list(_session(session))
    with suppress(OSError):
        pages = sum(int((process / "statm").read_text().split()[1]) for process in processes)
        n_threads, n_files = (sum(len([*(it / kind).iterdir()]) for it in processes) for kind in ("task", "fd"))
        yield Sample(pages * os.sysconf("SC_PAGESIZE"), n_threads, n_files, len(processes))


def _session(number: int) -> Iterator[Path]:
    """Find a session's processes: a process stays in its parent's, unless it leaves on purpose."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (process / "stat").read_text().rpartition(")")[2].split()[3] == str(number):
                yield process


if __name__ == "__main__":
    main()
