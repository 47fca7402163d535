"""A forked child opens what it needs anew, and its parent goes on."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems do not let processes with threads fork")

PRELUDE = """
import multiprocessing, os, sys, threading
import numpy as np
import pixvec
from pixvec.testing.images import image_bytes

model, image = sys.argv[1], image_bytes()
vectors = list(np.random.default_rng(0).standard_normal((70, 8)).astype(np.float32))
embedder = pixvec.Embedder(model=model)
uses = {
    "embed": lambda: embedder.embed([image]).vectors.tolist(),
    "embed_query": lambda: embedder.embed_query("a house").tolist(),
    "embed_texts": lambda: embedder.embed_texts(["a house", "a boat"]).vectors.tolist(),
    "embed_images": lambda: pixvec.embed_images([image], model=model)[0].tolist(),
    "link_embeddings": lambda: pixvec.link_embeddings(vectors),
}

def forked(work):
    child = os.fork()
    if not child:
        try:
            os._exit(0 if work() else 1)
        finally:
            os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
"""


def run(code: str, *arguments: str) -> str:
    """Run a program; one that hangs fails the test."""
    program = [sys.executable, "-c", PRELUDE + code, *arguments]
    said = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    return said.stdout


def test_what_was_used_before_a_fork_can_be_used_after_it_in_child_grandchild_and_parent(checkpoint: str) -> None:
    code = """
def all_used():
    return [use() for use in uses.values()]
expected = all_used()
print(forked(lambda: all_used() == expected and forked(lambda: all_used() == expected) == 0), all_used() == expected)
"""
    assert run(code, checkpoint) == "0 True\n"


def test_what_was_used_in_a_child_alone_can_be_used_in_the_parent(checkpoint: str) -> None:
    code = """
print(forked(lambda: all(use() for use in uses.values())))
expected = [use() for use in uses.values()]
print(forked(lambda: [use() for use in uses.values()] == expected))
"""
    assert run(code, checkpoint) == "0\n0\n"


def test_a_thread_may_fork_and_a_pool(checkpoint: str) -> None:
    code = """
expected = uses["embed"]()
statuses = []
thread = threading.Thread(target=lambda: statuses.append(forked(lambda: uses["embed"]() == expected)))
thread.start()
thread.join()
with multiprocessing.get_context("fork").Pool(2) as pool:
    vectors = pool.map(embedder.embed_query, ["a house"] * 4)
print(statuses, [vector.tolist() == uses["embed_query"]() for vector in vectors])
"""
    assert run(code, checkpoint) == "[0] [True, True, True, True]\n"


def test_a_child_may_be_forked_while_threads_of_its_parent_work(checkpoint: str) -> None:
    code = """
expected = {name: use() for name, use in uses.items()}
is_over = threading.Event()
def work(name):
    while not is_over.is_set():
        assert uses[name]() == expected[name]
threads = [threading.Thread(target=work, args=(name,)) for name in uses]
for thread in threads:
    thread.start()
print([forked(lambda: uses[name]() == expected[name]) for name in ("embed", "embed_query", "link_embeddings")])
is_over.set()
for thread in threads:
    thread.join()
"""
    assert run(code, checkpoint) == "[0, 0, 0]\n"


def test_a_child_ends_as_any_program_does(checkpoint: str) -> None:
    code = """
expected = uses["embed_images"]()
child = os.fork()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
else:
    assert [uses["embed_images"]()] == [expected]
    embedder.close()
"""
    assert run(code, checkpoint) == "0\n"


def test_an_interrupt_stops_a_call_in_a_child(checkpoint: str) -> None:
    code = """
embedder.embed([image])

def interrupted():
    threading.Timer(0.5, os.kill, (os.getpid(), 2)).start()
    try:
        while True:
            embedder.embed([image])
    except KeyboardInterrupt:
        return True

print(forked(interrupted))
"""
    assert run(code, checkpoint) == "0\n"
