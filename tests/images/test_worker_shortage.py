"""A machine that is short of something for a while costs no image its row, and no image its worker."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from pixvec.errors import RunError, UsageError
from pixvec.images.decode import DecodeOptions, Header
from pixvec.images.decode_worker import pack_header
from pixvec.images.workers import CropMaker
from pixvec.model.checkpoint import ProcessorConfig
from tests.images.lying_worker import LIE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a process's children are read from /proc")

QUICK = (str(Path(__file__).parent / "lying_worker.py"),)
"""A worker that starts fast, and whose crops are all of one shade, which no decoder of this process would make."""


def image(shade: int) -> bytes:
    header, crop = pack_header(Header("PNG", 64, 48, 1, 64 * 48)), bytes([shade]) * (16 * 16 * 3)
    return LIE.pack(b"H", b"=", len(header)) + header + b"\0then\0" + LIE.pack(b"C", b"=", len(crop)) + crop


@contextmanager
def crop_maker(**options: Any) -> Iterator[CropMaker]:
    processor = ProcessorConfig(resize=16, center_crop=(16, 16))
    with closing(CropMaker(DecodeOptions(**options), processor, program=QUICK)) as crops:
        yield crops


def shade_of(crops: CropMaker, body: bytes) -> int:
    pixels, _ = crops.crop(body, sha256=bytes(32))
    return int(pixels[0, 0, 0])


@contextmanager
def few_descriptors(n_free: int) -> Iterator[None]:
    """Leave this process so many file descriptors."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(n_free):
            os.close(taken.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for descriptor in taken:
            os.close(descriptor)


def end_workers() -> None:
    """End this process's workers, as somebody might who ends processes."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            is_ours = int(stat.read_text().rpartition(")")[2].split()[1]) == os.getpid()
            if is_ours and b"lying_worker" in (stat.parent / "cmdline").read_bytes():
                os.kill(int(stat.parent.name), signal.SIGKILL)


@pytest.mark.parametrize("n_free", [0, 2, 4])
def test_an_image_waits_for_a_worker_where_one_could_be_started_before(
    n_free: int, caplog: pytest.LogCaptureFixture
) -> None:
    with crop_maker() as crops, ThreadPoolExecutor(1) as threads:
        crops.start()
        assert shade_of(crops, image(1)) == 1
        end_workers()
        with few_descriptors(n_free):
            waiting = threads.submit(shade_of, crops, image(2))
            assert not wait([waiting], timeout=0.4).done
        assert waiting.result(30) == 2
    assert caplog.records == []


@pytest.mark.parametrize("isolate", ["always", "auto"])
def test_a_call_ends_where_no_worker_can_be_started_any_more(isolate: str) -> None:
    with crop_maker(isolate=isolate, max_worker_wait_s=0.1) as crops:
        assert shade_of(crops, image(1)) == 1
        end_workers()
        reason = r"^no decode worker can be started any more: .*Too many open files"
        with few_descriptors(3), pytest.raises(RunError, match=reason):
            shade_of(crops, image(2))
        assert shade_of(crops, image(3)) == 3


def test_a_call_ends_while_an_image_waits() -> None:
    with ThreadPoolExecutor(1) as threads, crop_maker() as crops:
        assert shade_of(crops, image(1)) == 1
        end_workers()
        with few_descriptors(3):
            waiting = threads.submit(shade_of, crops, image(2))
            assert not wait([waiting], timeout=0.3).done
            started = time.monotonic()
            crops.close()
            assert wait([waiting], timeout=30).done
    assert time.monotonic() - started < 5


def test_images_share_the_workers_that_there_are(caplog: pytest.LogCaptureFixture) -> None:
    with crop_maker(max_worker_wait_s=0.01) as crops, ThreadPoolExecutor(4) as threads:
        assert shade_of(crops, image(0)) == 0
        with few_descriptors(3):
            shades = list(threads.map(lambda shade: shade_of(crops, image(shade)), range(40)))
    assert shades == list(range(40))
    assert caplog.records == []


def test_the_first_worker_decides_for_all_threads(caplog: pytest.LogCaptureFixture) -> None:
    """A second thread that can start no worker waits for the first one's, which is about to be ready."""
    together = threading.Barrier(3)

    def make(shade: int) -> int:
        together.wait(30)
        return shade_of(crops, image(shade))

    with crop_maker() as crops, ThreadPoolExecutor(3) as threads:
        crops.start()
        with few_descriptors(3):
            assert list(threads.map(make, [5, 6, 7])) == [5, 6, 7]
    assert caplog.records == []


def test_where_the_first_worker_cannot_be_started_the_call_does_without(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "pixvec"), crop_maker() as crops, few_descriptors(3):
        crops.start()
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == ["decoding in this process"]
    with crop_maker(isolate="always") as crops, few_descriptors(1), pytest.raises(UsageError, match="Too many open"):
        crops.start()
