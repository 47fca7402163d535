"""Tables whose images are in buckets: from the column to the report, and what is left when a call is over."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.testing.images import image_bytes
from tests.fetch.storage.storage_server import StorageServer

PROGRAM = """
import json, os, signal, sys, threading, time
import pixvec
cells, options = json.loads(sys.argv[1])
if "--interrupt" in sys.argv:
    threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT)).start()
started = time.monotonic()
try:
    print(pixvec.embed_images(cells, errors="raise", **options)[0] is not None)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - started < 4)
time.sleep(0.1)  # for the timer's own thread
files = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
print(threading.active_count(), sum(os.readlink(file).startswith("socket:") for file in files if os.path.islink(file)))
"""
BUCKETS = ("s3://photos", "gs://photos", "az://photos", "hf://datasets/owner/photos")


@pytest.fixture
def storage() -> Iterator[StorageServer]:
    with StorageServer() as server:
        server.objects["a.jpg"] = image_bytes()
        yield server


def run(storage: StorageServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **storage.environment},
        check=False,
    )


def call(storage: StorageServer, cells: list[str], *arguments: str, **options: Any) -> tuple[str, str]:
    allowed = {"allow_bucket": BUCKETS, "allow_address": [storage.address]}
    result = run(storage, "-c", PROGRAM, json.dumps([cells, {**allowed, **options}]), *arguments)
    return result.stdout, result.stderr


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it looks into /proc")
def test_a_call_leaves_no_thread_and_no_socket(checkpoint: str, storage: StorageServer) -> None:
    cells = [f"{bucket}/a.jpg" for bucket in BUCKETS]
    assert call(storage, cells, model=checkpoint) == ("True\n1 0\n", "")


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it looks into /proc")
def test_an_interrupt_stops_a_call_that_waits_for_buckets(checkpoint: str, storage: StorageServer) -> None:
    storage.silence_s = 15
    cells = [f"{bucket}/{n}.jpg" for bucket in BUCKETS for n in range(3)]
    assert call(storage, cells, "--interrupt", model=checkpoint) == ("interrupted True\n1 0\n", "")


def test_a_table_of_objects_becomes_one_of_vectors(checkpoint: str, storage: StorageServer, tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    names = ["s3://photos/a.jpg", "s3://photos/a.jpg", "s3://photos/none.jpg", "s3://other/a.jpg"]
    table.write_text("\n".join(["image_of", *names, ""]))
    command = ["-m", "pixvec", "embed", str(table), "-o", str(tmp_path / "out.parquet"), "--model", checkpoint]
    done = run(storage, *command, "--allow-bucket", "s3://photos")
    assert "failures: file_not_found 1, scheme_blocked 1\nfailed at: s3://photos 1\n" in done.stderr
    assert "1 repeats saved" in done.stderr
    errors = pq.read_table(tmp_path / "out.parquet")["embedding_error"].to_pylist()
    assert errors == [None, None, "file_not_found", "scheme_blocked"]


def test_a_plan_counts_a_bucket_as_a_host(checkpoint: str, storage: StorageServer, tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("url\ns3://photos/a.jpg\ns3://photos/none.jpg\n")
    done = run(storage, "-m", "pixvec", "plan", str(table), "--model", checkpoint, "--allow-bucket", "s3://photos")
    assert "s3://photos" in done.stdout
    assert "file_not_found" in done.stdout


def test_a_recipe_lets_no_bucket_in() -> None:
    recipe = 'embed_images(ds.url, {"allow_bucket": ["s3://photos"]}) -> (ds.v)'
    with pytest.raises(pixvec.UsageError, match="allow_bucket"):
        pixvec.run_recipe(recipe, pa.table({"url": ["s3://photos/a.jpg"]}))
