"""How fast do URLs become vectors? pixvec beside what one would otherwise use, from the same server.

Every contender works in a process of its own, with an environment of its own that is made when it is missing. Alone,
each shows what it makes of links that are dead, and what memory it takes; started again, when its first vector is
there. Then all are visited there and back, one at work at a time. The server is a process of its own on the same
machine: its CPU time, which every contender pays for, stands beside theirs. One that fails gets a line that says why.
"""

from __future__ import annotations

import argparse
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from photographs import photograph
from side_by_side import Contender, Work, machine, started
from url_peers.measure import Bench, Outcome, python_for, tell
from url_peers.page import write_into, written
from url_peers.plot import TITLE, drawn
from url_peers.ways import WAYS

from pixvec.testing.server import ImageServer

N_IMAGES: Final = 512
N_LINKS: Final = 100
NOT_FOUND: Final = (7, 47, 87)
REFUSED: Final = (27, 67)
"""Which of the links are dead: those that the server does not know, and those at whose port nobody listens."""
_ROOT: Final = Path(__file__).resolve().parents[1]


def main() -> None:
    """Print the tables, and put them into docs/ where that is wanted."""
    asked = _arguments()
    if asked.install:
        for name in asked.only:
            with Outcome(name).noting():
                tell(f"{name}: {python_for(name, asked.folder)}")
        return
    heading = machine("pixvec", "openvino")
    with started({"server": _serve}) as (server,), _nobody_listening() as dead_port:
        urls, n_bytes = server.visit().result[:2]
        bench = Bench(
            folder=asked.folder,
            urls=urls,
            links=_with_dead(urls[:N_LINKS], dead_port),
            n_dead=len(NOT_FOUND + REFUSED),
            server_cpu_seconds=partial(_cpu_seconds, server),
            n_rounds=asked.rounds,
            visit_s=asked.seconds,
            limit_s=asked.limit_s,
        )
        outcomes = bench.measure(asked.only)
    text = f"{heading}; JPEG files of {n_bytes / len(urls) / 1e3:.0f} KB on average.\n\n{written(outcomes)}"
    print(text)
    if asked.write:
        write_into(_ROOT / "docs" / "benchmarks.md", f"![{TITLE}](benchmarks-peers.svg)\n\n{text}")
        (_ROOT / "docs" / "benchmarks-peers.svg").write_text(drawn(outcomes), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=WAYS, default=list(WAYS), metavar="NAME", help="these contenders")
    parser.add_argument("--rounds", type=int, default=2, help="how often to go there and back")
    parser.add_argument("--seconds", type=float, default=8, help="about how long a visit takes")
    parser.add_argument("--limit-s", type=float, default=180, help="how long a visit may take")
    parser.add_argument("--folder", type=Path, default=_ROOT / "build" / "end_to_end", help="for models and logs")
    parser.add_argument("--install", action="store_true", help="make the environments, and measure nothing")
    parser.add_argument("--write", action="store_true", help="put the tables and the plot into docs/")
    asked = parser.parse_args()
    asked.folder = asked.folder.resolve()
    return asked


def _serve() -> Work:
    """Serve photographs; the server's work is to tell their URLs, how large they are, and what CPU time it has had."""
    server = ImageServer().__enter__()
    bodies = [photograph(number) for number in range(N_IMAGES)]
    urls = [server.add(f"/{number}.jpg", body=body) for number, body in enumerate(bodies)]
    return lambda: (0, (urls, sum(map(len, bodies)), time.process_time()))


def _cpu_seconds(server: Contender) -> float:
    seconds: float = server.visit().result[2]
    return seconds


@contextmanager
def _nobody_listening() -> Iterator[int]:
    """Hold a port at which every connection is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def _with_dead(urls: list[str], dead_port: int) -> list[str]:
    links = list(urls)
    for row in NOT_FOUND:
        links[row] += ".gone"
    for row in REFUSED:
        links[row] = f"http://127.0.0.1:{dead_port}/{row}.jpg"
    return links


if __name__ == "__main__":
    main()
