"""An embedder's decode workers wait for its next call, and for nothing else."""

from __future__ import annotations

import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

import pixvec
from pixvec.checkpoint import ProcessorConfig
from pixvec.decode import DecodeOptions
from pixvec.errors import ImageError
from pixvec.isolation import CropMaker, KeptWorkers
from pixvec.testing.images import image_bytes

STUB = (str(Path(__file__).parent / "stub_worker.py"),)
PROCESSOR = ProcessorConfig(resize=16, center_crop=(16, 16))
PICTURES = [image_bytes(size=(64, 48), seed=seed) for seed in range(4)]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process's children are read from /proc")


OTHERS: set[int] = set()
"""Children of this process that embedders of other tests keep."""


def children() -> list[int]:
    # A thread's own list of children moves to another thread while the thread ends, so each process is asked.
    found = [int(status.parent.name) for status in Path("/proc").glob("[0-9]*/stat") if _parent(status) == os.getpid()]
    return sorted(child for child in found if child not in OTHERS)


def _parent(status: Path) -> int | None:
    with suppress(OSError):  # it has ended
        return int(status.read_text().rpartition(")")[2].split()[1])
    return None


@pytest.fixture(autouse=True)
def _others() -> None:
    gc.collect()
    OTHERS.clear()
    OTHERS.update(children())


@pytest.fixture
def embedder(checkpoint: str) -> Iterator[pixvec.Embedder]:
    assert children() == []
    with pixvec.Embedder(model=checkpoint, isolate="always") as embedder:
        yield embedder
    assert children() == []


def test_the_next_call_has_the_workers_of_the_last(embedder: pixvec.Embedder) -> None:
    assert children() == []
    embedder.embed(PICTURES[:1])
    (first,) = children()
    embedder.embed(PICTURES[1:2])
    assert children() == [first]


def test_a_worker_that_ended_meanwhile_is_replaced(embedder: pixvec.Embedder) -> None:
    embedder.embed(PICTURES[:1])
    (first,) = children()
    os.kill(first, signal.SIGKILL)
    assert embedder.embed(PICTURES).errors == [None] * 4
    assert first not in children()


def test_calls_in_several_threads_share_them_and_keep_no_more_than_cores(embedder: pixvec.Embedder) -> None:
    with ThreadPoolExecutor(3) as threads:
        columns = list(threads.map(embedder.embed, [PICTURES] * 6))
    assert [column.errors for column in columns] == [[None] * 4] * 6
    assert 1 <= len(children()) <= len(os.sched_getaffinity(0))


def test_an_embedder_that_was_closed_can_be_used_and_closed_again(embedder: pixvec.Embedder) -> None:
    embedder.embed(PICTURES)
    embedder.close()
    assert children() == []
    assert embedder.embed(PICTURES).errors == [None] * 4


def test_an_embedder_that_is_closed_during_a_call_keeps_nothing_of_it(embedder: pixvec.Embedder) -> None:
    begun, closed = threading.Event(), threading.Event()

    def told(report: object) -> None:
        begun.set()
        closed.wait(30)

    with ThreadPoolExecutor(1) as threads:
        column = threads.submit(embedder.embed, PICTURES, progress=told)
        assert begun.wait(30)
        embedder.close()
        closed.set()
        assert column.result().errors == [None] * 4
    assert children() == []


def test_an_embedder_that_nobody_holds_any_more_keeps_nothing(checkpoint: str) -> None:
    embedder = pixvec.Embedder(model=checkpoint, isolate="always")
    embedder.embed(PICTURES)
    assert children() != []
    del embedder
    gc.collect()
    assert children() == []


def test_a_call_that_breaks_keeps_nothing(embedder: pixvec.Embedder) -> None:
    def interrupt(report: object) -> None:
        raise KeyboardInterrupt

    embedder.embed(PICTURES)
    with pytest.raises(KeyboardInterrupt):
        embedder.embed(PICTURES, progress=interrupt)
    assert children() == []


def test_a_pickled_embedder_leaves_its_workers_behind(embedder: pixvec.Embedder) -> None:
    embedder.embed(PICTURES)
    with pickle.loads(pickle.dumps(embedder)) as other:
        assert other.embed(PICTURES).errors == [None] * 4
    assert children() != []


def test_functions_keep_nothing(checkpoint: str) -> None:
    pixvec.embed_images(PICTURES, model=checkpoint, isolate="always")
    assert children() == []


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), 9)"], ids=["end", "kill"])
def test_no_worker_outlives_a_program_that_does_not_close(end: str, checkpoint: str) -> None:
    code = f"""
import os, sys
import pixvec
from pixvec.testing.images import image_bytes
embedder = pixvec.Embedder(model=sys.argv[1], isolate="always")
embedder.embed([image_bytes()])
tasks = os.listdir("/proc/self/task")
print([open(f"/proc/self/task/{{task}}/children").read() for task in tasks], flush=True)
{end}
"""
    program = [sys.executable, "-c", code, checkpoint]
    said = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    (worker,) = (int(word.strip("[]', \n")) for word in said.stdout.split() if word.strip("[]', \n"))
    assert said.stderr == ""
    for _ in range(300):
        if not Path(f"/proc/{worker}").exists():
            break
        threading.Event().wait(0.1)
    assert not Path(f"/proc/{worker}").exists()


def worker_of(kept: KeptWorkers) -> str:
    """Make a crop with a worker that tells who it is."""
    options = DecodeOptions(isolate="always")
    with closing(CropMaker(options, PROCESSOR, kept=kept, program=STUB)) as crops, pytest.raises(ImageError) as told:
        crops.crop(b"\0deed\0".join((b"tell:process", b"", PICTURES[0])), sha256=b"")
    return told.value.detail


def test_a_fork_has_workers_of_its_own_and_its_end_costs_its_parent_none() -> None:
    kept = KeptWorkers(1)
    with closing(kept):
        first = worker_of(kept)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(writing, worker_of(kept).encode())
                kept.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        os.close(writing)
        with os.fdopen(reading) as answer:
            assert answer.read() not in {"", first}
        assert worker_of(kept) == first
