"""How fast are vectors linked to their nearest? pixvec beside what one would otherwise use, on the same vectors.

Every visit of a contender is a process of its own, with an environment of its own that is made when it is missing:
vectors are loaded and everything is warmed on a few of them before the clock starts, and stops when the neighbours of
all are known. Recall is measured on a thousand rows, against a search in float64.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from environments import python_with
from link_peers.peers import PEERS
from link_peers.vectors import N_SAMPLED, recall, true_neighbors, vectors_file
from numpy.typing import NDArray
from side_by_side import machine, markdown_table

N_NEAREST: Final = 15
_HERE: Final = Path(__file__).resolve().parent
_FOLDER: Final = _HERE.parent / "build" / "links"
BASELINE: Final = "pixvec"


class VisitError(Exception):
    """A contender could not be installed, or did not come to an end."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What a contender's process reported; `is_reckoned` where it was spared queries."""

    seconds: float
    cpu_seconds: float
    peak_mb: float
    recall: float
    version: str
    is_reckoned: bool


@dataclass(frozen=True, slots=True)
class Record:
    """A contender's visits so far, and why there are no more."""

    visits: list[Visit] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def main() -> None:
    """Print a table for each number of rows."""
    asked = _arguments()
    print(f"The {N_NEAREST} nearest of each of N x 512 vectors, noise {asked.noise}, {machine('pixvec', 'openvino')}")
    for n_rows in asked.rows:
        records = _compare(n_rows, asked)
        print(f"\n{n_rows:,} rows\n\n{_table(records)}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="how many vectors")
    parser.add_argument("--only", nargs="+", choices=PEERS, default=list(PEERS), help="these contenders")
    parser.add_argument("--rounds", type=int, default=1, help="how often to go there and back")
    parser.add_argument("--once", action="store_true", help="visit each once, there and not back")
    parser.add_argument("--noise", type=float, default=0.7, help="0.7: clusters apart; 1.2: clusters that overlap")
    parser.add_argument("--limit-s", type=float, default=3600, help="how long a visit may take")
    asked = parser.parse_args()
    if min(asked.rows) < N_SAMPLED * 2:
        parser.error(f"--rows: at least {N_SAMPLED * 2}")
    return asked


def _compare(n_rows: int, asked: argparse.Namespace) -> dict[str, Record]:
    """Visit the contenders there and back, and tell of each visit at once; who fails is not visited again."""
    path = vectors_file(_FOLDER, n_rows, asked.noise)
    truth = true_neighbors(np.load(path, mmap_mode="r"), N_NEAREST)
    records = {name: Record() for name in asked.only}
    back = () if asked.once else reversed(asked.only)
    for name in [*asked.only, *back] * asked.rounds:
        if records[name].failures:
            continue
        try:
            visit = _visit(name, path, n_rows, truth, asked.limit_s)
            records[name].visits.append(visit)
            _tell(f"{n_rows:,} rows, {name}: {visit}")
        except VisitError as error:
            records[name].failures.append(str(error))
            _tell(f"{n_rows:,} rows, {name}: {error}")
    return records


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _visit(name: str, path: Path, n_rows: int, truth: NDArray[np.int64], limit_s: float) -> Visit:
    peer = PEERS[name]
    n_queries = peer.n_queries(n_rows, at_least=N_SAMPLED)
    try:
        python = python_with(peer.package, [peer.package, *peer.beside])
        report = _report(python, [name, str(path), *map(str, (N_NEAREST, n_queries, N_SAMPLED))], limit_s)
    except subprocess.CalledProcessError as error:
        raise VisitError((error.stderr.strip().splitlines() or [str(error)])[-1]) from error
    except subprocess.TimeoutExpired as error:
        raise VisitError(f"took more than {error.timeout:.0f} s") from error
    found = np.array(report.pop("neighbors"), np.int64)
    return Visit(**report, recall=recall(found, truth), is_reckoned=n_queries < n_rows)


def _report(python: str, arguments: list[str], limit_s: float) -> dict[str, Any]:
    command = [python, "-m", "link_peers.worker", *arguments]
    done = subprocess.run(command, cwd=_HERE, check=True, capture_output=True, text=True, timeout=limit_s)
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def _table(records: dict[str, Record]) -> str:
    head = ["", "seconds", "fastest to slowest", "over pixvec", "CPU seconds", "recall@15", "peak memory, MB"]
    baseline = _median_seconds(records[BASELINE].visits) if BASELINE in records else math.nan
    return markdown_table(head, (_line(name, record, baseline) for name, record in records.items()))


def _line(name: str, record: Record, baseline: float) -> Sequence[str]:
    visits = record.visits
    if record.failures:
        return [name, record.failures[0].replace("|", "/"), "", "", "", "", ""]
    seconds, about = _median_seconds(visits), "≈ " if visits[0].is_reckoned else ""
    return [
        f"{name} {visits[0].version}",
        f"{about}{seconds:.1f}",
        f"{min(visit.seconds for visit in visits):.1f} to {max(visit.seconds for visit in visits):.1f}",
        "" if math.isnan(baseline) else f"{seconds / baseline:.2f}",
        f"{about}{statistics.median(visit.cpu_seconds for visit in visits):.1f}",
        f"{visits[-1].recall:.4f}",
        f"{max(visit.peak_mb for visit in visits):.0f}",
    ]


def _median_seconds(visits: list[Visit]) -> float:
    return statistics.median(visit.seconds for visit in visits) if visits else math.nan


if __name__ == "__main__":
    main()
