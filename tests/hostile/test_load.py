"""Under load: two thousand rows, a third of them faults of every kind. The large one is ``benchmarks/soak.py``."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pixvec.testing.faults import FAULTS, GOOD, Kind, Web, put_up_column

N_ROWS = 2_000
MAX_BYTES = 1_000_000_000

# In a process of its own, which holds nothing of the servers'.
PROGRAM = """
import gc, json, os, resource, sys, threading
import pixvec
from pixvec.testing.images import image_bytes

def held():
    gc.collect()  # errors hold rings, and those the model's file
    threads = sorted(thread.name for thread in threading.enumerate())
    children = open(f"/proc/self/task/{os.getpid()}/children").read().split()
    return threads, children, len(os.listdir("/proc/self/fd"))

options, cells = json.load(sys.stdin)
options["allow_address"] = tuple(options["allow_address"])
with pixvec.Embedder(**options) as embedder:
    embedder.embed([image_bytes()])
before = held()
with pixvec.Embedder(**options) as embedder:
    errors = embedder.embed(cells).errors
after = held()
# Not getrusage's own peak, which begins with that of the process that started this one.
(own,) = [int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM:")]
peaks = [own << 10, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10]
json.dump([list(errors), before, after, peaks], sys.stdout)
"""


@dataclass(frozen=True)
class Load:
    """What came of the rows."""

    kinds: list[Kind]
    codes: list[str]
    held_before: list[Any]
    held_after: list[Any]
    peak_bytes: int


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(Path(__file__).parents[1] / "fetch" / "self_signed.pem")
    with Web(tls) as web:
        yield web


@pytest.fixture(scope="module")
def load(web: Web, checkpoint: str) -> Load:
    kinds, cells = zip(*put_up_column(web, N_ROWS, fault_share=0.3, n_rare=1), strict=True)
    waits = {"timeout_s": 8.0, "connect_timeout_s": 6.0, "max_retry_after_s": 0.5, "backoff_s": 0.01}
    options = {"model": checkpoint, "allow_address": web.addresses, "max_bytes": 4 << 20, **waits}
    program = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps([options, cells]),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (program.returncode, program.stderr) == (0, "")
    errors, before, after, peaks = json.loads(program.stdout)
    return Load([*kinds], [error or "ok" for error in errors], before, after, sum(peaks))


def test_every_row_comes_to_what_its_fault_must_give(load: Load) -> None:
    assert set(load.kinds) == {*GOOD, *FAULTS}
    rows = zip(load.kinds, load.codes, strict=True)
    assert Counter((kind.name, code) for kind, code in rows if code not in kind.codes) == Counter()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what a process holds is read from /proc")
def test_no_thread_process_or_open_file_is_left_over(load: Load) -> None:
    assert load.held_after == load.held_before


def test_memory_stays_under_its_promise(load: Load) -> None:
    assert load.peak_bytes < MAX_BYTES
