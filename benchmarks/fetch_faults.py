"""How much do hosts that fail slow the rows of those that answer? pixvec with a model of fixed cost.

The model only sleeps, so that what is measured is how steadily rows reach it. The limits are the real ones: five
seconds to connect, twenty for a try. The good rows are spread over hosts that take a while to answer; the servers are
a process of their own. A second table is of one host that fails in part, with a model that takes almost no time. The
third has one good host beside attackers, who hold on to what all share: bytes, connections, look-ups of names.
"""

from __future__ import annotations

import argparse
import itertools
import random
import socket
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import numpy as np
from side_by_side import Work, machine, markdown_table, started

from pixvec.model.checkpoint import ProcessorConfig
from pixvec.pipeline.images import embed_alone, embed_unordered
from pixvec.pipeline.report import Report
from pixvec.pipeline.session import Session
from pixvec.pipeline.settings import Settings
from pixvec.testing.bad_manners import BlackHole, RateLimit
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from pixvec.values import Crops, Row, Vectors

N_HOSTS: Final = 16
MEAN_DELAY_S: Final = 0.6
MODEL_S: Final = 0.013
"""For one image: what ViT-B/32 takes on two cores."""
LATE_SHARE: Final = 0.02
BUSY_SHARE: Final = 0.05
BUSY_DELAY_S: Final = 0.05
PER_SECOND: Final = 40
QUICK_MODEL_S: Final = 0.0005
SIDE: Final = 32
N_ATTACKERS: Final = 16
HOARDED_BYTES: Final = 31 << 20
HOARDED_S: Final = 17
N_SLOW_NAMES: Final = 2000
SLOW_NAME_S: Final = 10
SLOW: Final = b"slow"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2000, help="rows that get a vector, in each visit")
    parser.add_argument("--rounds", type=int, default=1, help="how often to go there and back")
    arguments = parser.parse_args()
    print(f"Rows to a model of {MODEL_S * 1e3:g} ms an image, {machine('pixvec', 'aiohttp')}")
    print(f"{arguments.rows} good rows from {N_HOSTS} hosts that answer after {MEAN_DELAY_S:g} s on average\n")
    with started({"servers": partial(_serve, arguments.rows)}) as (servers,):
        many, one, attacks, _ = servers.visit().result
        print(_table(_visits(many, arguments.rounds, model_s=MODEL_S)))
        print(f"\n{arguments.rows} rows of one host, to a model of {QUICK_MODEL_S * 1e3:g} ms an image\n")
        print(_table(_visits(one, arguments.rounds, model_s=QUICK_MODEL_S)))
        answered, refused = servers.visit().result[3]
        print(f"\nThe host with a limit answered {answered} requests and refused {refused}")
        print(f"\n{arguments.rows} rows of one host beside attackers, to a model of {MODEL_S * 1e3:g} ms an image\n")
        print(_attack_table(attacks, arguments.rounds))


def _visits(columns: dict[str, list[str]], rounds: int, *, model_s: float) -> dict[str, list[_Visit]]:
    """Visit each column there and back, so that what changes meanwhile meets all of them."""
    visits: dict[str, list[_Visit]] = {name: [] for name in columns}
    for name in [*columns, *reversed(columns)] * rounds:
        visits[name].append(_visit(columns[name], model_s))
    return visits


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

    def __init__(self, image_s: float) -> None:
        self._image_s = image_s
        crop = ProcessorConfig(
            resize=SIDE, resample=3, center_crop=(SIDE, SIDE), rescale_factor=None, mean=None, std=None
        )
        self.checkpoint = type("Checkpoint", (), {"processor": crop})
        self.n_vectors = 0
        self.ended = 0.0

    def embed_crops(self, crops: Crops, *, stop: threading.Event | None = None) -> Vectors:  # noqa: ARG002
        time.sleep(self._image_s * len(crops))
        self.n_vectors += len(crops)
        self.ended = time.perf_counter()
        return np.zeros((len(crops), 1), np.float32)


def _visit(urls: list[str], model_s: float) -> _Visit:
    model = _SleepingModel(model_s)
    started = time.perf_counter()
    rows: Iterable[Row] = embed_alone(urls, model, Settings(allow_private=True), Report())  # type: ignore[arg-type]
    failures = Counter(_outcome(row) for row in rows if row.error)
    return _Visit(model.n_vectors / (model.ended - started), failures, time.perf_counter() - started)


def _outcome(row: Row) -> str:
    return f"{row.error} (not tried)" if "not tried" in str(row.detail) else str(row.error)


# Beside attackers -----------------------------------------------------------------------------------------------------


def _attack_table(attacks: Attacks, rounds: int) -> str:
    good, attackers = attacks
    socket.getaddrinfo = _getaddrinfo  # type: ignore[assignment]
    columns = {"nobody": good}
    for name, urls in attackers.items():
        columns[f"{name}, first"] = [*urls, *good]
        columns[f"{name}, mixed"] = _mixed(good, urls)
    visits: dict[str, list[_Visit]] = {name: [] for name in columns}
    for name in [*columns, *reversed(columns)] * rounds:
        visits[name].append(_visit_until(columns[name], frozenset(good)))
    return _table(visits)


def _mixed(good: list[str], others: list[str]) -> list[str]:
    """Spread the rows of others evenly between the good ones."""
    places = [*((row / len(good), url) for row, url in enumerate(good))]
    places += [((row + 0.5) / len(others), url) for row, url in enumerate(others)]
    return [url for _, url in sorted(places)]


def _visit_until(urls: list[str], good: frozenset[str]) -> _Visit:
    """Embed rows until all good ones are decided; what the others come to takes minutes."""
    model, failures, n_good = _SleepingModel(MODEL_S), Counter[str](), 0
    started = time.perf_counter()
    with (
        Session(model, Settings(allow_private=True)) as session,  # type: ignore[arg-type]
        closing(embed_unordered(urls, session, Report())) as rows,
    ):
        for number, row in rows:
            failures[_outcome(row)] += row.error is not None
            n_good += urls[number] in good
            if n_good == len(good):
                break
    return _Visit(model.n_vectors / (model.ended - started), +failures, time.perf_counter() - started)


def _getaddrinfo(host: bytes, port: int, **_: Any) -> list[tuple[Any, ...]]:
    """Look a name up as the system would if each was this machine's, and those of attackers took long."""
    if host.startswith(SLOW):
        time.sleep(SLOW_NAME_S)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")
    return [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port))]


# The servers ----------------------------------------------------------------------------------------------------------


def _serve(n_rows: int) -> Work:
    """Start all servers; their work is to tell the columns of URLs, one for each condition."""
    chance = random.Random(0)
    hosts = [ImageServer().__enter__() for _ in range(N_HOSTS)]
    good = [_add_image(hosts[row % N_HOSTS], row, chance.expovariate(1 / MEAN_DELAY_S)) for row in range(n_rows)]
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
    one_host, limit = _one_host(n_rows)
    for urls in [*columns.values(), *one_host.values()]:
        chance.shuffle(urls)
    return partial(_tell, columns, one_host, _attacks(n_rows), limit, dead_host)


def _attacks(n_rows: int) -> Attacks:
    """Put up a good host, whose name has to be looked up, and attackers."""
    host = ImageServer().__enter__()
    good = [_add_image(host, row, BUSY_DELAY_S).replace("127.0.0.1", "good.example") for row in range(n_rows)]
    attackers = [ImageServer().__enter__() for _ in range(N_ATTACKERS)]
    hoarded = _head(HOARDED_BYTES) + bytes(HOARDED_BYTES - 1)
    drops = [_head(HOARDED_BYTES), *itertools.repeat(b"x", 1000)]
    return good, {
        "bodies that lack a byte": [
            attackers[0].add_raw(f"/{row}", [hoarded, b"x"], pause_s=HOARDED_S) for row in range(N_ATTACKERS)
        ],
        "hosts that drip": [
            attacker.add_raw(f"/drip/{row}", drops, pause_s=0.5) for row in range(64) for attacker in attackers
        ],
        "slow names of one domain": [f"http://slow{row}.attacker.example/" for row in range(N_SLOW_NAMES)],
        "slow names of many domains": [f"http://slow{row}.test/" for row in range(N_SLOW_NAMES)],
    }


def _head(n_bytes: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % n_bytes


def _one_host(n_rows: int) -> tuple[dict[str, list[str]], RateLimit]:
    """Put up hosts of which each has one of the conditions for itself."""
    good, busy, limited = (ImageServer().__enter__() for _ in range(3))
    n_busy = round(n_rows * BUSY_SHARE / (1 - BUSY_SHARE))
    limit = RateLimit(PER_SECOND, b"HTTP/1.1 429 -\r\nContent-Length: 0\r\n\r\n")
    columns = {
        "no faults": [_add_image(good, row, BUSY_DELAY_S) for row in range(n_rows)],
        f"{BUSY_SHARE:.0%} of the rows answer 503": [_add_image(busy, row, BUSY_DELAY_S) for row in range(n_rows)]
        + [busy.add(f"/busy/{row}", status=503, delay_s=BUSY_DELAY_S) for row in range(n_busy)],
        f"429 beyond {PER_SECOND} requests a second": [
            limited.add_raw(f"/{row}", limit.guard(_answer(row))) for row in range(n_rows)
        ],
    }
    return columns, limit


def _answer(row: int) -> bytes:
    body = _IMAGE + row.to_bytes(4)
    return _head(len(body)) + body


Columns: TypeAlias = dict[str, list[str]]
Attacks: TypeAlias = tuple[list[str], Columns]


def _tell(
    many: Columns, one: Columns, attacks: Attacks, limit: RateLimit, _kept_open: BlackHole
) -> tuple[int, tuple[Any, ...]]:
    return 0, (many, one, attacks, (limit.n_answered, limit.n_refused))


def _add_image(host: ImageServer, row: int, delay_s: float) -> str:
    # Bytes of its own for each, because the same bytes would be embedded once.
    return host.add(f"/{row}", body=_IMAGE + row.to_bytes(4), delay_s=delay_s)


_IMAGE: Final = image_bytes(size=(64, 48))


if __name__ == "__main__":
    main()
