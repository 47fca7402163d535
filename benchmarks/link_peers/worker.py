"""One contender at work, in a process of its own, with its own environment's packages.

``python -m link_peers.worker NAME VECTORS N_NEAREST N_QUERIES N_REPORTED`` loads the vectors, lets the contender
work on a few of them, which is not counted, and then times it on all. It prints what came of it as a line of JSON. Its
environment needs no more than numpy and the contender's package.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from link_peers.peers import PEERS

N_WARM: Final = 2_000


def main(name: str, path: str, n_nearest: int, n_queries: int, n_reported: int) -> None:
    """Time one contender; queries that it is spared are reckoned at the price of the others."""
    vectors, build = np.load(path), PEERS[name].build
    build(vectors[:N_WARM], n_nearest)(N_WARM)
    start = _clocks()
    search = build(vectors, n_nearest)
    built = _clocks()
    found = np.asarray(search(n_queries))[:n_reported]
    seconds, cpu_seconds = built - start + (_clocks() - built) * (len(vectors) / n_queries)
    outcome = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak_mb": _peak_mb(),
        "version": version(PEERS[name].package),
        "neighbors": without_self(found.astype(np.int64)).tolist(),
    }
    print("\n" + json.dumps(outcome))


def _clocks() -> NDArray[np.float64]:
    return np.array([time.perf_counter(), time.process_time()])


def _peak_mb() -> float:
    # Linux counts in getrusage's figure what the process that started this one once held.
    facts = Path("/proc/self/status")
    lines = facts.read_text().splitlines() if facts.exists() else []
    kibibytes = [int(line.split()[1]) for line in lines if line.startswith("VmHWM:")]
    if kibibytes:
        return kibibytes[0] * 1024 / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def without_self(found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take each row's own number out of its k + 1 neighbours, or else the farthest: (n, k)."""
    is_left_out = found == np.arange(len(found))[:, None]
    is_left_out[~is_left_out.any(axis=1), -1] = True
    kept: NDArray[np.int64] = found[~is_left_out].reshape(len(found), -1)
    return kept


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
