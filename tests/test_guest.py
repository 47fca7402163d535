"""A good guest: callable from anywhere, changes nothing of others, phones nobody, leaves nothing behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import pixvec
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**{name: value for name, value in os.environ.items() if name != "CI"}, **environment},
        check=False,
    )


def test_import_is_light() -> None:
    code = """
import sys, time
started = time.process_time()
import pixvec
print(time.process_time() - started)
heavy = "openvino", "pyarrow", "PIL", "aiohttp", "fsspec", "numpy", "pandas", "torch", "importlib.metadata"
print([name for name in heavy if name in sys.modules])
"""
    seconds, modules = python(code).stdout.splitlines()
    assert modules == "[]"
    assert float(seconds) < 0.3


def test_no_torch_is_needed(checkpoint: str) -> None:
    code = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
import pixvec
assert pixvec.embed_images([sys.stdin.buffer.name and open(sys.argv[2], "rb").read()], model=sys.argv[1])[0] is not None
"""
    image = Path(checkpoint) / "image.jpg"
    image.write_bytes(image_bytes())
    result = python(code, checkpoint, str(image))
    assert (result.returncode, result.stderr) == (0, "")


def test_nothing_phones_home(checkpoint: str, tmp_path: Path) -> None:
    """Python's own audit events see every connection, look-up, process and opened file of the whole call."""
    code = """
import json, os, sys
seen = []
watched = {"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen", "os.fork", "os.forkpty",
           "os.posix_spawn", "os.exec", "os.system"}
def audit(event, arguments):
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT
    written = event == "open" and isinstance(arguments[2], int) and arguments[2] & writing
    if event in watched or written:
        seen.append([event, str(arguments[0])])
image = open(sys.argv[2], "rb").read()
sys.dont_write_bytecode = True
sys.addaudithook(audit)
import pixvec
vector, = pixvec.embed_images([image], model=sys.argv[1])
print(json.dumps(seen))
children = open(f"/proc/self/task/{os.getpid()}/children").read() if os.path.exists("/proc/self/task") else ""
assert not children, children
"""
    image = tmp_path / "image.jpg"
    image.write_bytes(image_bytes())
    home = tmp_path / "home"
    home.mkdir()
    result = python(code, checkpoint, str(image), HOME=str(home), TMPDIR=str(home))
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == [["subprocess.Popen", sys.executable]]  # the decode worker, which is gone again
    assert list(home.iterdir()) == []


def test_a_script_needs_no_main_guard_and_prints_nothing(checkpoint: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import pixvec\npixvec.embed_images([{image_bytes()!r}], model={checkpoint!r})\n")
    result = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_it_works_inside_a_running_loop(checkpoint: str) -> None:
    async def main() -> int:
        return int(pixvec.Embedder(model=checkpoint).embed([image_bytes()]).vectors.shape[1])

    assert asyncio.run(main()) == 32


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_it_works_in_a_notebook(checkpoint: str, tmp_path: Path) -> None:
    cell = f"import pixvec\nlen(pixvec.embed_images([{image_bytes()!r}], model={checkpoint!r})[0])"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    NotebookClient(
        notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert notebook.cells[0].outputs[0]["data"]["text/plain"] == "32"


def test_it_works_in_a_thread(checkpoint: str) -> None:
    lengths: list[int] = []
    embedder = pixvec.Embedder(model=checkpoint)
    thread = threading.Thread(target=lambda: lengths.append(embedder.embed([image_bytes()]).vectors.shape[1]))
    thread.start()
    thread.join()
    assert lengths == [32]


def test_an_interrupt_stops_a_call_and_the_end_leaves_nothing(checkpoint: str, server: ImageServer) -> None:
    code = """
import os, sys, threading, time
import pixvec
embedder = pixvec.Embedder(model=sys.argv[1], allow_address=(sys.argv[2],))
threading.Timer(1.0, os.kill, (os.getpid(), 2)).start()
started = time.monotonic()
try:
    embedder.embed([sys.argv[3]] * 100)
except KeyboardInterrupt:
    stopped_s = time.monotonic() - started
    embedder.close()
    time.sleep(0.1)  # for the timer's own thread
    open_files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    n_sockets = sum(os.readlink(file).startswith("socket:") for file in open_files if os.path.islink(file))
    print(stopped_s < 3, threading.active_count(), n_sockets)
"""
    silent = server.add_raw("/silent", [], end="silence")
    result = python(code, checkpoint, server.address, silent)
    assert (result.stdout, result.stderr) == ("True 1 0\n", "")


def test_the_callers_signal_handlers_and_loop_stay(checkpoint: str) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), threading.active_count()
    pixvec.embed_images([image_bytes()], model=checkpoint)
    time.sleep(0.01)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM), threading.active_count()) == before
