"""How much do hosts that fail slow the rows of those that answer? pixvec with a model of fixed cost.

The model only sleeps, so that what is measured is how steadily rows reach it. The limits are the real ones: five
seconds to connect, twenty for a try. The good rows are spread over hosts that take a while to answer; the servers are
a process of their own.
"""

from __future__ import annotations

import argparse
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from side_by_side import Work, machine, markdown_table, started

from pixvec.checkpoint import ProcessorConfig
from pixvec.pipeline import embed_cells
from pixvec.report import Report
from pixvec.settings import Settings
from pixvec.testing.bad_manners import BlackHole
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from pixvec.values import Crops, Row, Vectors

N_HOSTS: Final = 16
MEAN_DELAY_S: Final = 0.6
MODEL_S: Final = 0.013
"""For one picture: what ViT-B/32 takes on two cores."""
LATE_SHARE: Final = 0.02
SIDE: Final = 32


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000, help="rows that get a vector, in each visit")
    parser.add_argument("--rounds", type=int, default=1, help="how often to go there and back")
    arguments = parser.parse_args()
    print(f"Rows to a model of {MODEL_S * 1e3:g} ms a picture, {machine('pixvec', 'aiohttp')}")
    print(f"{arguments.rows} good rows from {N_HOSTS} hosts that answer after {MEAN_DELAY_S:g} s on average\n")
    with started({"servers": partial(_serve, arguments.rows)}) as (servers,):
        columns: dict[str, list[str]] = servers.visit().result
        visits: dict[str, list[_Visit]] = {name: [] for name in columns}
        for name in [*columns, *reversed(columns)] * arguments.rounds:
            visits[name].append(_visit(columns[name]))
    print(_table(visits))


def _table(visits: dict[str, list[_Visit]]) -> str:
    head = ["", "vectors/s", "slowest to fastest visit", "of no faults", "rows without", "seconds to the last row"]
    unharmed = statistics.median(visit.per_second for visit in next(iter(visits.values())))
    return markdown_table(head, [_line(name, those, unharmed) for name, those in visits.items()])


def _line(name: str, visits: list[_Visit], unharmed: float) -> list[str]:
    rates = [visit.per_second for visit in visits]
    return [
        name,
        f"{statistics.median(rates):.1f}",
        f"{min(rates):.1f} to {max(rates):.1f}",
        f"{statistics.median(rates) / unharmed:.3f}",
        ", ".join(f"{outcome} {n}" for outcome, n in visits[0].failures.items()) or "none",
        f"{statistics.median(visit.total_s for visit in visits):.0f}",
    ]


# pixvec ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Visit:
    """One call.

    Parameters
    ----------
    per_second
        Vectors in a second, until the last one: the rows that fail may take longer.
    failures
        Rows without a vector, by outcome.
    """

    per_second: float
    failures: Counter[str]
    total_s: float


class _SleepingModel:
    """A model of fixed cost, as the pipeline sees one."""

    precision, image_size = "fp32", SIDE

    def __init__(self) -> None:
        crop = ProcessorConfig(
            resize=SIDE, resample=3, center_crop=(SIDE, SIDE), rescale_factor=None, mean=None, std=None
        )
        self.checkpoint = type("Checkpoint", (), {"processor": crop})
        self.n_vectors = 0
        self.ended = 0.0

    def embed_crops(self, crops: Crops, *, stop: threading.Event | None = None) -> Vectors:  # noqa: ARG002
        time.sleep(MODEL_S * len(crops))
        self.n_vectors += len(crops)
        self.ended = time.perf_counter()
        return np.zeros((len(crops), 1), np.float32)


def _visit(urls: list[str]) -> _Visit:
    model = _SleepingModel()
    started = time.perf_counter()
    rows: Iterable[Row] = embed_cells(urls, model, Settings(allow_private=True), Report())  # type: ignore[arg-type]
    failures = Counter(_outcome(row) for row in rows if row.error)
    return _Visit(model.n_vectors / (model.ended - started), failures, time.perf_counter() - started)


def _outcome(row: Row) -> str:
    return f"{row.error} (not tried)" if "not tried" in str(row.detail) else str(row.error)


# The servers ----------------------------------------------------------------------------------------------------------


def _serve(n_rows: int) -> Work:
    """Start all servers; their work is to tell the columns of URLs, one for each condition."""
    chance = random.Random(0)
    hosts = [ImageServer().__enter__() for _ in range(N_HOSTS)]
    good = [_add_picture(hosts[row % N_HOSTS], row, chance.expovariate(1 / MEAN_DELAY_S)) for row in range(n_rows)]
    n_late = round(n_rows * LATE_SHARE / (1 - LATE_SHARE))
    late = [hosts[row % N_HOSTS].add_raw(f"/late/{row}", [], end="silence") for row in range(n_late)]
    silent_host, dead_host = ImageServer().__enter__(), BlackHole().__enter__()
    silent = [silent_host.add_raw(f"/{row}", [], end="silence") for row in range(n_rows)]
    dead = [dead_host.url(f"/{row}") for row in range(n_rows)]
    columns = {
        "no faults": good,
        f"{LATE_SHARE:.0%} of the rows time out": good + late,
        "half of the rows at a host that drops connections": good + dead,
        "half of the rows at a host that accepts and says nothing": good + silent,
    }
    for urls in columns.values():
        chance.shuffle(urls)
    return partial(_tell, columns, dead_host)


def _tell(columns: dict[str, list[str]], _kept_open: BlackHole) -> tuple[int, dict[str, list[str]]]:
    return 0, columns


def _add_picture(host: ImageServer, row: int, delay_s: float) -> str:
    # Bytes of its own for each, because the same bytes would be embedded once.
    return host.add(f"/{row}", body=_PICTURE + row.to_bytes(4), delay_s=delay_s)


_PICTURE: Final = image_bytes(size=(64, 48))


if __name__ == "__main__":
    main()
