"""The program that decodes images apart from the process that wants them: ``python -m pixvec.images.decode_worker``.

In: frames on standard input. Out: frames on standard output. A frame is a letter, a nonce, the length of what follows
in four bytes, and that. The parent chooses a nonce for each image, and every answer repeats it: a worker cannot
answer for an image that it has not been given. The conversation:

    parent              worker
    P plan        ->
                  <-    R ready
    B body        ->                    for each image
                  <-    H header, or E error
    G go          ->
                  <-    C crop, or E error

P, R and E are JSON. X, in place of any answer, is the traceback of a bug of ours. At the end of its input the worker
ends, so that it does not outlive its parent. The parent holds the clock; the worker limits its own memory and, for each
image, its processor time: the kernel ends a worker that goes over it, whatever code it is in. Before it is ready, the
worker gives up every right that decoding does not need. It can import nothing from then on, and a decoder's import that
fails would make a whole image a corrupt one: so all that decoders import is imported before. It imports little, so
that it starts in a fifth of a second.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, BinaryIO, Final

from PIL import (
    AvifImagePlugin,
    Image,
    JpegImagePlugin,  # noqa: F401 (Pillow imports it, and the next, when it writes WebP)
    PpmImagePlugin,  # noqa: F401
)

from pixvec.errors import ImageError
from pixvec.images.cropping import Cropper, CropPlan
from pixvec.images.decode import Header
from pixvec.images.sandbox import LAYERS, give_up_rights

NONCE_BYTES: Final = 8
HEAD: Final = struct.Struct(f">c{NONCE_BYTES}sI")
_HEADER: Final = struct.Struct(">8s3IQ")
PLAN, READY, BODY, HEADER, GO, CROP, ERROR, BUG = b"P", b"R", b"B", b"H", b"G", b"C", b"E", b"X"


def pack_plan(plan: CropPlan, *, max_cpu_s: float, max_bytes: int) -> bytes:
    """Write the plan and the limits of a worker."""
    fields = {**asdict(plan), "formats": sorted(plan.formats)}
    return json.dumps([fields, max_cpu_s, max_bytes]).encode()


def _unpack_plan(text: bytes) -> tuple[CropPlan, float, int]:
    fields, max_cpu_s, max_bytes = json.loads(text)
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()
    }
    return CropPlan(**{**values, "formats": frozenset(values["formats"])}), max_cpu_s, max_bytes


def pack_header(header: Header) -> bytes:
    """Write what an image's header says."""
    return _HEADER.pack(header.format.encode(), header.width, header.height, header.frames, header.n_pixels)


def unpack_header(packed: bytes) -> Header:
    """Read what `pack_header` wrote."""
    name, *numbers = _HEADER.unpack(packed)
    return Header(name.rstrip(b"\0").decode(), *numbers)


def unpack_lacks(packed: bytes) -> frozenset[str]:
    """Read which layers of the sandbox a worker's system lacks; what else it says is dropped."""
    return frozenset(LAYERS).intersection(map(str, json.loads(packed)))


def main(make_cropper: Callable[[CropPlan], Cropper] = Cropper) -> None:
    """Answer the parent until it says no more.

    Parameters
    ----------
    make_cropper
        Makes what opens and crops the images; called while files can be opened.
    """
    requests, answers = _take_streams()
    nonce, packed = _read(requests, PLAN)
    plan, max_cpu_s, max_bytes = _unpack_plan(packed)
    _confine(max_bytes)
    _keep_to_one_thread(plan.formats)
    cropper = make_cropper(plan)
    lacks = give_up_rights()
    _write(answers, READY, nonce, json.dumps(lacks).encode())
    while True:
        _serve(requests, answers, cropper, max_cpu_s)


def _serve(requests: BinaryIO, answers: BinaryIO, cropper: Cropper, max_cpu_s: float) -> None:
    """Take one image through the conversation; nothing of it is kept."""
    nonce, body = _read(requests, BODY)
    signal.setitimer(signal.ITIMER_PROF, max_cpu_s)
    if _answer(answers, HEADER, nonce, lambda: pack_header(cropper.open(body))):
        _read(requests, GO)
        _answer(answers, CROP, nonce, cropper.crop)
    signal.setitimer(signal.ITIMER_PROF, 0)


def _answer(answers: BinaryIO, kind: bytes, nonce: bytes, work: Callable[[], bytes]) -> bool:
    """Do a piece of work and send what came of it; tell whether that was what was wanted."""
    try:
        _write(answers, kind, nonce, work())
    except ImageError as error:
        _write(answers, ERROR, nonce, json.dumps([error.code, error.detail]).encode())
    except MemoryError:
        _write(answers, ERROR, nonce, json.dumps(["decoder_crash", "the decoder outgrew its memory"]).encode())
    except Exception:  # noqa: BLE001 (it surfaces in the parent)
        _write(answers, BUG, nonce, traceback.format_exc().encode())
    else:
        return True
    return False


# The process ----------------------------------------------------------------------------------------------------------


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep both streams for the frames alone: what libraries print goes nowhere."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return requests, answers


def _confine(max_bytes: int) -> None:
    """Limit what this process may take, and set the process-wide switches that belong to whoever owns the process."""
    for number in (signal.SIGPROF, signal.SIGPIPE):  # their default is to end the process; a parent may have changed it
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the limit is refused, or without effect
        resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 (fewer imports)
            file.write("1000")  # where memory ends, a worker goes first
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours, and checked by us


def _keep_to_one_thread(formats: frozenset[str]) -> None:
    """Let no decoder start threads: there are as many workers as cores."""
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if "HEIC" in formats:
        import pillow_heif  # noqa: PLC0415 (an extra)

        pillow_heif.options.DECODE_THREADS = 1


def _read(requests: BinaryIO, kind: bytes) -> tuple[bytes, bytes]:
    """Read a frame that is due, its nonce and what it holds; end the process where there is none."""
    head = requests.read(HEAD.size)
    if len(head) < HEAD.size:
        raise SystemExit
    found, nonce, length = HEAD.unpack(head)
    if found != kind:
        raise ValueError(f"expected a frame {kind!r}, got {found!r}")
    return nonce, requests.read(length)


def _write(answers: BinaryIO, kind: bytes, nonce: bytes, payload: bytes) -> None:
    answers.write(HEAD.pack(kind, nonce, len(payload)) + payload)
    answers.flush()


if __name__ == "__main__":
    main()
