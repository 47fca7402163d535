"""An image that crashes, loops or bloats its decoder costs its row only, and leaves nothing behind."""

from __future__ import annotations

import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile

from pixvec.errors import ImageError, UsageError
from pixvec.images.decode import DecodeOptions, Header
from pixvec.images.decode_worker import pack_header, unpack_header
from pixvec.images.workers import CropMaker
from pixvec.images.workers.budget import PixelBudget
from pixvec.model.checkpoint import ProcessorConfig
from pixvec.testing.images import image_bytes
from pixvec.values import Crop

STUB = (str(Path(__file__).parent / "stub_worker.py"),)
SEPARATOR = b"\0deed\0"
IMAGE = image_bytes(size=(64, 48))
SMALL = ProcessorConfig(resize=16, center_crop=(16, 16))


def doing(early: str = "", late: str = "", image: bytes = IMAGE) -> bytes:
    return SEPARATOR.join((early.encode(), late.encode(), image))


@contextmanager
def crop_maker(processor: ProcessorConfig = SMALL, **options: Any) -> Iterator[CropMaker]:
    how = {"program": options.pop("program", STUB), "thumbnail": options.pop("thumbnail", None)}
    with closing(CropMaker(DecodeOptions(**{"isolate": "always", **options}), processor, **how)) as crops:
        yield crops


def crop_of(crops: CropMaker, body: bytes) -> Crop:
    return crops.crop(body, sha256=bytes(32))[0]


def failure_of(crops: CropMaker, body: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        crop_of(crops, body)
    return str(caught.value)


def is_running(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until(condition: Any, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    return bool(condition())


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that a worker can leave a mark in."""
    path = tmp_path / "mark"
    path.write_bytes(b"\0")
    return path


@pytest.mark.parametrize(
    ("format", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("PNG", "I;16"),
        ("PNG", "RGBA"),
        ("GIF", "P"),
        ("WEBP", "RGBA"),
        ("AVIF", "RGB"),
    ],
)
@pytest.mark.parametrize("policy", ["full", "reference"])
def test_a_crop_has_the_same_bits_here_and_there(format: str, mode: str, policy: Any) -> None:
    body = image_bytes(format, mode=mode)
    with crop_maker(ProcessorConfig(), decode=policy) as there:
        there_crop, there_facts = there.crop(body, sha256=b"x")
    with crop_maker(ProcessorConfig(), decode=policy, isolate="never") as here:
        here_crop, here_facts = here.crop(body, sha256=b"x")
    assert np.array_equal(here_crop, there_crop)
    assert here_facts == there_facts


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited on Linux alone")
def test_case_77_a_decoder_that_outgrows_its_memory_costs_its_row() -> None:
    with crop_maker() as crops:
        failure = failure_of(crops, doing("gorge:5000000000"))
        assert failure == "decoder_crash: the decoder outgrew its memory"
        assert crop_of(crops, IMAGE).shape == (16, 16, 3)


@pytest.mark.parametrize("when", ["early", "late"])
@pytest.mark.parametrize(
    ("deed", "detail"),
    [
        ("segfault:", "the decoder was ended by signal 11 (SIGSEGV)"),
        ("die:9", "the decoder was ended by signal 9 (SIGKILL)"),
        ("die:6", "the decoder was ended by signal 6 (SIGABRT)"),
        ("exit:3", "the decoder ended with status 3"),
        ("loop:", "the decoder took too much processor time"),
    ],
)
def test_case_71_and_77_a_decoder_that_does_not_come_back_costs_its_row(deed: str, detail: str, when: str) -> None:
    with crop_maker(max_decode_cpu_s=0.5) as crops:
        assert failure_of(crops, doing(deed) if when == "early" else doing(late=deed)) == f"decoder_crash: {detail}"
        assert crop_of(crops, IMAGE).shape == (16, 16, 3)


def test_case_77_a_decoder_that_hangs_is_ended_by_the_parents_clock() -> None:
    with crop_maker(max_decode_s=2.0) as crops:
        assert failure_of(crops, doing(late="sleep:")) == "decoder_crash: the decoder took over 2 s"
        assert crop_of(crops, IMAGE).shape == (16, 16, 3)


def test_an_answer_that_makes_no_sense_is_a_crash() -> None:
    with crop_maker() as crops:
        failure = failure_of(crops, doing(late="lie:"))
        assert failure == "decoder_crash: the decoder's answer makes no sense"
        assert crop_of(crops, IMAGE).shape == (16, 16, 3)


@pytest.mark.parametrize("lie", ["lie:", "cut:", "bloat:", "forge:"])
def test_a_thumbnail_that_makes_no_sense_is_a_crash(lie: str) -> None:
    with crop_maker(thumbnail=32) as crops:
        assert failure_of(crops, doing(late=lie)) == "decoder_crash: the decoder's answer makes no sense"
        crop, image = crops.crop(IMAGE, sha256=bytes(32))
        assert crop.shape == (16, 16, 3)
        assert Image.open(io.BytesIO(image.thumbnail or b"")).size == (32, 24)


def test_an_image_may_have_no_thumbnail() -> None:
    with crop_maker(thumbnail=32) as crops:
        assert crops.crop(doing(late="omit:"), sha256=bytes(32))[1].thumbnail is None


def test_what_a_decoder_prints_disturbs_nobody(capfd: pytest.CaptureFixture[str]) -> None:
    with crop_maker() as crops:
        assert crop_of(crops, doing("print:junk", "print:junk")).shape == (16, 16, 3)
    assert capfd.readouterr() == ("", "")


def test_a_bug_of_ours_in_a_worker_is_a_bug_here() -> None:
    with crop_maker() as crops, pytest.raises(RuntimeError, match="ZeroDivisionError"):
        crop_of(crops, doing("err:"))


def test_case_71_the_poison_is_found_among_many_in_flight() -> None:
    images = [image_bytes(size=(64, 48), seed=seed) for seed in range(24)]
    bodies = [doing("segfault:", image=body) if seed % 8 == 5 else body for seed, body in enumerate(images)]
    with crop_maker() as crops, ThreadPoolExecutor(4) as threads:
        made = [threads.submit(crop_of, crops, body) for body in bodies]
        failed = [number for number, crop in enumerate(made) if crop.exception()]
    assert failed == [5, 13, 21]


def test_case_77_an_image_is_tried_again_whose_worker_was_ended_by_somebody_else(mark: Path) -> None:
    with crop_maker(program=(*STUB, "--mark", str(mark))) as crops:
        assert crop_of(crops, doing(late="die-once:")).shape == (16, 16, 3)
    assert mark.read_bytes() == b"\1"


def test_case_77_a_worker_that_ends_while_idle_costs_nobody() -> None:
    with crop_maker() as crops:
        process = int(failure_of(crops, doing("tell:process")).rpartition(" ")[2])
        os.kill(process, signal.SIGKILL)
        assert crop_of(crops, IMAGE).shape == (16, 16, 3)


def test_a_worker_serves_again_and_ends_with_its_maker() -> None:
    with crop_maker() as crops:
        processes = {failure_of(crops, doing("tell:process")) for _ in range(5)}
    assert len(processes) == 1
    assert not is_running(int(processes.pop().rpartition(" ")[2]))


def test_the_end_does_not_wait_for_an_image(mark: Path) -> None:
    with ThreadPoolExecutor(1) as threads, crop_maker(program=(*STUB, "--mark", str(mark))) as crops:
        hanging = threads.submit(crop_of, crops, doing(late="sleep:"))
        assert wait_until(lambda: mark.read_bytes() == b"\1")
        crops.close()
        done, _ = wait([hanging], timeout=30)
        assert done


def test_no_worker_outlives_a_parent_that_is_killed() -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.images.test_workers import *
with crop_maker() as crops:
    print(failure_of(crops, doing("tell:process")), flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        worker = int(parent.stdout.readline().split()[-1])
        assert is_running(worker)
        parent.kill()
    assert wait_until(lambda: not is_running(worker))


def test_a_worker_sees_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    with crop_maker() as crops:
        names = set(failure_of(crops, doing("tell:environment")).split()[1:])
    of_the_interpreter = {"PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "LC_CTYPE"}
    assert names <= {*of_the_interpreter, "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_the_switches_of_the_host_program_decide_nothing(format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    body = image_bytes(format, size=(64, 48))
    with crop_maker() as crops:
        assert crop_of(crops, body).shape == (16, 16, 3)
        assert failure_of(crops, body[: len(body) // 2]).startswith("corrupt_image")
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == (10, True)


NO_WORKERS = {
    "no-interpreter": ("", STUB),
    "missing": ("/no/such/python", STUB),
    "not-python": ("/bin/false", STUB),
    "not-ours": (sys.executable, ("-m", "no_such_module")),
}
no_workers = pytest.mark.parametrize(("executable", "program"), NO_WORKERS.values(), ids=NO_WORKERS)


@no_workers
def test_isolation_on_demand_is_an_error_where_no_worker_starts(
    executable: str, program: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with crop_maker(program=program) as crops, pytest.raises(UsageError, match=r"^`isolate='always'`, and no decode"):
        crops.start()


@no_workers
def test_isolation_by_default_is_left_out_where_no_worker_starts(
    executable: str, program: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sys, "executable", executable)
    with caplog.at_level(logging.WARNING, "pixvec"), crop_maker(isolate="auto", program=program) as crops:
        crops.start()
        assert [crop_of(crops, IMAGE).shape for _ in range(2)] == [(16, 16, 3)] * 2
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == ["decoding in this process"]


@pytest.mark.parametrize("isolate", ["always", "auto"])
def test_case_77_a_worker_that_somebody_ends_before_it_has_started_is_replaced(
    isolate: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mark = tmp_path / "mark"
    with crop_maker(isolate=isolate, program=(*STUB, str(mark))) as crops:
        crops.start()
        assert failure_of(crops, doing("tell:process")) != f"corrupt_image: {os.getpid()}"
    assert (mark.exists(), caplog.records) == (True, [])


HOST_PROGRAM = """
import os, sys
sys.path[:0] = {first!r}
import pixvec
from pixvec.images.cropping import CropPlan
from pixvec.images.decode import DecodeOptions
from pixvec.images.workers.worker import Worker
os.chdir({folder!r})
program = "-c", "import pixvec, PIL; print(pixvec.__file__, PIL.__file__)"
plan = CropPlan("full", frozenset(), 1, None, None, 1, None)
worker = Worker(plan, n_crop_bytes=0, options=DecodeOptions(), program=program)
print(worker._socket.makefile().readline() == f"{{pixvec.__file__}} {{sys.modules['PIL'].__file__}}\\n")
worker.close()
"""


@pytest.mark.parametrize("first", [[], [""], ["a-folder-by-its-relative-name"]], ids=["none", "empty", "relative"])
def test_a_worker_imports_nothing_from_the_folder_it_is_in(first: list[str], tmp_path: Path) -> None:
    (tmp_path / "PIL.py").write_text("print('hostile')")
    code = HOST_PROGRAM.format(first=first, folder=str(tmp_path))
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (said.stdout, said.stderr) == ("True\n", "")


def test_a_worker_imports_nothing_heavy() -> None:
    heavy = ("aiohttp", "openvino", "pyarrow", "huggingface_hub", "asyncio", "importlib.metadata")
    code = f"import sys, pixvec.images.decode_worker; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True, timeout=60) == "[]\n"


@given(
    st.builds(
        Header,
        format=st.sampled_from(["JPEG", "PNG", "HEIC"]),
        width=st.integers(0, 2**32 - 1),
        height=st.integers(0, 2**32 - 1),
        frames=st.integers(0, 2**31 - 1),
        n_pixels=st.integers(0, 2**64 - 1),
    )
)
def test_a_header_arrives_as_it_was(header: Header) -> None:
    assert unpack_header(pack_header(header)) == header


@pytest.mark.parametrize(("n_pixels", "waits"), [(60, True), (40, False), (1000, True)])
def test_images_in_flight_share_a_budget(n_pixels: int, waits: bool) -> None:
    budget = PixelBudget(100)

    def hold() -> None:
        with budget.hold(n_pixels):
            pass

    with ThreadPoolExecutor(1) as threads:
        with budget.hold(60):
            holding = threads.submit(hold)
            _, not_done = wait([holding], timeout=0.2 if waits else 30)
        holding.result()
    assert bool(not_done) is waits


def test_a_place_that_holds_less_of_the_budget_goes_before_one_that_holds_more() -> None:
    budget, order = PixelBudget(100), list[str]()

    def hold(n_pixels: int, where: str) -> None:
        with budget.hold(n_pixels, where):
            order.append(where)

    with ThreadPoolExecutor(2) as threads:
        with budget.hold(30, "many"), budget.hold(30, "many"):
            waiting = [threads.submit(hold, 50, "few")]
            _, not_done = wait(waiting, timeout=0.2)
            waiting.append(threads.submit(hold, 10, "many"))
            wait(waiting, timeout=0.2)
            assert (len(not_done), order) == (1, [])
        for one in waiting:
            one.result(30)
    assert sorted(order) == ["few", "many"]


def test_a_files_bytes_count_in_the_budget_beside_its_pixels() -> None:
    with crop_maker(max_pixels_in_flight=64 * 48 + 1) as crops, ThreadPoolExecutor(1) as threads:
        with crops._budget.hold(1):
            making = threads.submit(crop_of, crops, IMAGE)
            _, not_done = wait([making], timeout=0.5)
        assert making.result(30).shape == (16, 16, 3)
    assert not_done


def test_an_image_over_the_budget_is_decoded_alone_and_a_failed_one_gives_its_pixels_back() -> None:
    body = image_bytes("PNG", size=(64, 48))
    with crop_maker(max_pixels_in_flight=1) as crops:
        assert failure_of(crops, body[: len(body) // 2]).startswith("corrupt_image")
        assert crop_of(crops, body).shape == (16, 16, 3)


def test_an_interrupt_ends_images_under_way_and_leaves_no_process(checkpoint: str, tmp_path: Path) -> None:
    image = tmp_path / "large.jpg"
    image.write_bytes(image_bytes(size=(2000, 1500), progressive=True))
    code = """
import os, signal, sys, threading, time
import pixvec
body = open(sys.argv[2], "rb").read()
embedder = pixvec.Embedder(model=sys.argv[1], decode="full")
def interrupt():
    global started
    started = time.monotonic()
    os.kill(os.getpid(), signal.SIGINT)
threading.Timer(0.5, interrupt).start()
try:
    embedder.embed([body + bytes([number]) for number in range(200)])
except KeyboardInterrupt:
    seconds = time.monotonic() - started
    children = open(f"/proc/self/task/{os.getpid()}/children").read() if os.path.exists("/proc/self/task") else ""
    print(seconds < 2, [children])
"""
    command = [sys.executable, "-c", code, checkpoint, str(image)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("True ['']\n", "")


NEVER_CALLED = {
    "fromqimage", "fromqpixmap", "toqimage", "toqpixmap", "show", "get_display_profile",  # for windows
    "_dump", "load_djpeg",  # they start other programs
    "jpeg_factory", "getxmp", "filter", "random", "crop",  # not for decoding; `crop` is of the process that embeds
}  # fmt: skip
LATE_IMPORTS = f"""
import ast, importlib.util, pathlib, sys
import pixvec.images.decode_worker
pixvec.images.decode_worker._keep_to_one_thread(frozenset())
late = set()
for name, module in list(sys.modules.items()):
    file = getattr(module, "__file__", None) or ""
    if name.partition(".")[0] in ("PIL", "pixvec", "simplejpeg") and file.endswith(".py"):
        package = name if file.endswith("__init__.py") else name.rpartition(".")[0]
        for function in ast.walk(ast.parse(pathlib.Path(file).read_text())):
            if isinstance(function, ast.FunctionDef) and function.name not in {NEVER_CALLED!r}:
                for node in ast.walk(function):
                    if isinstance(node, ast.Import):
                        late |= {{alias.name for alias in node.names}}
                    elif isinstance(node, ast.ImportFrom) and node.module is None:
                        late |= {{package + "." + alias.name for alias in node.names}}
                    elif isinstance(node, ast.ImportFrom):
                        late.add(importlib.util.resolve_name("." * node.level + node.module, package))
print(sorted(late - set(sys.modules)))
"""


def test_all_that_decoders_import_late_is_imported_before_files_are_closed_to_them() -> None:
    late = subprocess.check_output([sys.executable, "-c", LATE_IMPORTS], text=True, timeout=60)
    # The first is for colours written as hsl(), the second for files with a name, the third is imported if asked for.
    assert late == "['colorsys', 'mmap', 'pillow_heif']\n"
