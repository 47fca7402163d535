"""What an embedder has open is shared by its calls, and ends with it."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pixvec
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

IMAGES = [image_bytes(size=(64, 48), seed=seed) for seed in range(4)]

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
    embedder.embed(IMAGES[:1])
    (first,) = children()
    embedder.embed(IMAGES[1:2])
    assert children() == [first]


def test_a_worker_that_ended_meanwhile_is_replaced(embedder: pixvec.Embedder) -> None:
    embedder.embed(IMAGES[:1])
    (first,) = children()
    os.kill(first, signal.SIGKILL)
    assert embedder.embed(IMAGES).errors == [None] * 4
    assert first not in children()


def test_calls_in_several_threads_share_them_and_keep_no_more_than_cores(embedder: pixvec.Embedder) -> None:
    with ThreadPoolExecutor(3) as threads:
        columns = list(threads.map(embedder.embed, [IMAGES] * 6))
    assert [column.errors for column in columns] == [[None] * 4] * 6
    assert 1 <= len(children()) <= len(os.sched_getaffinity(0))


def test_after_the_end_every_method_raises(embedder: pixvec.Embedder) -> None:
    embedder.embed(IMAGES)
    embedder.close()
    embedder.close()
    assert children() == []
    uses: list[Callable[[], object]] = [
        lambda: embedder.embed(IMAGES),
        lambda: embedder.embed([]),
        lambda: asyncio.run(embedder.aembed(IMAGES)),
        lambda: embedder.embed_texts(["a house"]),
        lambda: asyncio.run(embedder.aembed_texts(["a house"])),
        lambda: embedder.embed_query("a house"),
        lambda: embedder.embed_query(images=IMAGES[0]),
        lambda: embedder.embed_table(pa.table({"image": IMAGES})),
        lambda: list(embedder.rows(IMAGES)),
        embedder.provenance,
        lambda: embedder.dim,
    ]
    for use in uses:
        with pytest.raises(pixvec.UsageError, match="the Embedder is closed: make another one"):
            use()


def test_an_embedder_that_is_closed_during_a_call_keeps_nothing_of_it(embedder: pixvec.Embedder) -> None:
    begun, closed = threading.Event(), threading.Event()

    def told(report: object) -> None:
        begun.set()
        closed.wait(30)

    with ThreadPoolExecutor(1) as threads:
        column = threads.submit(embedder.embed, IMAGES, progress=told)
        assert begun.wait(30)
        embedder.close()
        closed.set()
        assert column.result().errors == [None] * 4
    assert children() == []


def test_an_embedder_that_nobody_holds_any_more_keeps_nothing(checkpoint: str) -> None:
    embedder = pixvec.Embedder(model=checkpoint, isolate="always")
    embedder.embed(IMAGES)
    assert children() != []
    del embedder
    gc.collect()
    assert children() == []


def test_a_call_that_is_interrupted_leaves_others_alone(embedder: pixvec.Embedder) -> None:
    begun, interrupted = threading.Event(), threading.Event()

    def interrupt(report: object) -> None:
        begun.wait(30)
        raise KeyboardInterrupt

    def wait(report: object) -> None:
        begun.set()
        interrupted.wait(30)

    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(embedder.embed, IMAGES, progress=wait)
        with pytest.raises(KeyboardInterrupt):
            embedder.embed([*IMAGES, *IMAGES], progress=interrupt)
        interrupted.set()
        assert other.result().errors == [None] * 4
    assert embedder.embed(IMAGES).errors == [None] * 4


def test_a_pickled_embedder_leaves_its_workers_behind(embedder: pixvec.Embedder) -> None:
    embedder.embed(IMAGES)
    with pickle.loads(pickle.dumps(embedder)) as other:
        assert other.embed(IMAGES).errors == [None] * 4
    assert children() != []


def test_functions_keep_nothing(checkpoint: str) -> None:
    pixvec.embed_images(IMAGES, model=checkpoint, isolate="always")
    assert children() == []


@pytest.mark.parametrize("end", ["", "os.kill(os.getpid(), 9)"], ids=["end", "kill"])
def test_no_worker_outlives_a_program_that_does_not_close(end: str, checkpoint: str) -> None:
    code = f"""
import os, sys
import pixvec
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
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


@pytest.fixture(scope="module")
def shared(checkpoint: str) -> Iterator[pixvec.Embedder]:
    with pixvec.Embedder(model=checkpoint, allow_private=True, connections_per_host=3, batch_size=8) as embedder:
        yield embedder


def test_the_limits_of_one_call_are_those_of_all(shared: pixvec.Embedder) -> None:
    with ImageServer() as server, ThreadPoolExecutor(3) as threads:
        columns = [
            [server.add(f"/{call}/{row}", body=image_bytes(seed=row), delay_s=0.02) for row in range(20)]
            for call in range(3)
        ]
        embedded = list(threads.map(shared.embed, columns))
        assert [column.errors for column in embedded] == [[None] * 20] * 3
        assert server.max_connections == 3
    assert len(children()) <= len(os.sched_getaffinity(0))


def test_what_two_calls_want_at_once_is_fetched_once(shared: pixvec.Embedder) -> None:
    with ImageServer() as server, ThreadPoolExecutor(2) as threads:
        url = server.add("/slow", body=IMAGES[0], delay_s=0.5)
        one, two = threads.map(shared.embed, [[url], [url]])
        assert (one.errors, two.errors, server.n_requests("/slow")) == ([None], [None], 1)
        shared.embed([url])
        assert server.n_requests("/slow") == 2


def test_a_host_that_is_down_for_one_call_is_down_for_the_next(checkpoint: str) -> None:
    with ImageServer() as server:
        urls = [server.add_raw(f"/{row}", [], end="reset") for row in range(8)]
        with pixvec.Embedder(model=checkpoint, allow_private=True, tries=1, down_after=4) as embedder:
            embedder.embed(urls)
            n_asked = len(server.requests)
            assert embedder.embed([f"{url}?again" for url in urls]).details[-1] is not None
            assert len(server.requests) <= n_asked + 1


def test_a_cancelled_call_leaves_what_another_wants_of_it(shared: pixvec.Embedder) -> None:
    async def main(urls: list[str]) -> pixvec.Embeddings:
        first = asyncio.create_task(shared.aembed(urls))
        await asyncio.sleep(0.2)
        second = asyncio.create_task(shared.aembed(urls))
        await asyncio.sleep(0.1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return await second

    with ImageServer() as server:
        urls = [server.add(f"/{row}", body=image, delay_s=0.4) for row, image in enumerate(IMAGES)]
        assert asyncio.run(main(urls)).errors == [None] * 4


def test_batches_fill_across_calls_and_tasks(checkpoint: str) -> None:
    images = [image_bytes(size=(64, 48), seed=seed) for seed in range(32)]

    async def main(embedder: pixvec.Embedder) -> list[pixvec.Embeddings]:
        return await asyncio.gather(*(embedder.aembed([image]) for image in images))

    with pixvec.Embedder(model=checkpoint, batch_size=8, isolate="never") as embedder:
        embed_crops, sizes = embedder.model.embed_crops, list[int]()
        embedder.model.embed_crops = lambda crops, **how: sizes.append(len(crops)) or embed_crops(crops, **how)  # type: ignore[func-returns-value, method-assign]
        apart = asyncio.run(main(embedder))
        assert sum(sizes) == 32
        assert len(sizes) < 16
        together = embedder.embed(images)
    assert np.array_equal(np.concatenate([one.vectors for one in apart]), together.vectors)


@pytest.mark.parametrize(
    "make",
    [
        pa.table,
        lambda columns: pa.table(columns).to_batches()[0],
        pd.DataFrame,
        pl.DataFrame,
        datasets.Dataset.from_dict,
    ],
    ids=["table", "batch", "pandas", "polars", "datasets"],
)
def test_a_batch_of_a_table_comes_back_with_its_results(shared: pixvec.Embedder, make: Callable[..., Any]) -> None:
    with ImageServer() as server:
        batch = make({"n": [1, 2], "image_url": [server.add("/1.jpg", body=IMAGES[0]), None]})
        done = shared.embed_table(batch, output_column="v", image_info=False)
    assert type(done) is type(batch)
    assert list(done["v_error"]) == [None, "null_input"] or done["v_error"].to_pylist() == [None, "null_input"]
    with pytest.raises(pixvec.UsageError, match="output_column"):
        shared.embed_table(done, output_column="v")


def test_texts_of_a_table_are_embedded_too(shared: pixvec.Embedder) -> None:
    done = shared.embed_table(pa.table({"caption": ["a house", ""]}), texts="caption")
    assert done["embedding_error"].to_pylist() == [None, "null_input"]


def test_queries_are_words_or_images(shared: pixvec.Embedder) -> None:
    column = shared.embed(IMAGES).vectors
    assert np.array_equal(shared.embed_query(images=IMAGES), column)
    assert np.array_equal(shared.embed_query(images=IMAGES[1]), column[1:2])
    assert shared.embed_query("a house").shape == (1, shared.dim)
    with pytest.raises(pixvec.UsageError, match="the image bytes has no vector: not_an_image"):
        shared.embed_query(images=b"no image")
    with pytest.raises(pixvec.UsageError, match="embed_query takes texts, or images with `images`"):
        shared.embed_query()


def test_it_works_inside_a_running_loop(shared: pixvec.Embedder) -> None:
    async def main() -> tuple[pixvec.Embeddings, pixvec.Embeddings]:
        return await shared.aembed([*IMAGES, None]), await shared.aembed_texts(["a house", None])

    images, texts = asyncio.run(main())
    assert images.errors == [None] * 4 + ["null_input"]
    assert (images.report.n_rows, images.report.n_vectors) == (5, 4)
    assert np.array_equal(images.vectors[:4], shared.embed(IMAGES).vectors)
    assert texts.errors == [None, "null_input"]


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("pixvec")]


def test_what_is_collected_leaves_no_thread(checkpoint: str) -> None:
    before = threads()
    embedder = pixvec.Embedder(model=checkpoint)
    embedder.embed(IMAGES)
    assert len(threads()) > len(before)
    del embedder
    gc.collect()
    assert threads() == before


def test_a_fork_opens_anew_and_its_end_costs_its_parent_nothing(checkpoint: str) -> None:
    code = """
import os, sys
import pixvec
from pixvec.testing.images import image_bytes
images = [image_bytes(size=(64, 48), seed=seed) for seed in range(4)]
embedder = pixvec.Embedder(model=sys.argv[1], isolate="always")
expected = embedder.embed(images).vectors.tolist()
child = os.fork()
if not child:
    same = embedder.embed(images).vectors.tolist() == expected
    embedder.close()
    sys.exit(not same)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert embedder.embed(images).vectors.tolist() == expected
"""
    program = [sys.executable, "-c", code, checkpoint]
    said = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
