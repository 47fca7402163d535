"""One decode worker as its parent sees it: an image's bytes go in, its header and its crop come out.

In: bodies, one at a time. Out: what `decode_worker` answers, or how it ended. No answer is trusted: a decoder that an
image has taken over may say anything. An answer counts only if it repeats the image's nonce, and holds what was asked
for.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import numpy as np
import PIL
import simplejpeg

from pixvec.codes import CODES
from pixvec.errors import ImageError
from pixvec.images.cropping import CropPlan
from pixvec.images.decode import DecodeOptions, Header
from pixvec.images.decode_worker import (
    BODY,
    BUG,
    CROP,
    ERROR,
    GO,
    HEAD,
    HEADER,
    NONCE_BYTES,
    PLAN,
    READY,
    pack_plan,
    unpack_header,
    unpack_lacks,
)
from pixvec.images.thumbnail import is_thumbnail, max_thumbnail_bytes

WORKER: Final = ("-m", "pixvec.images.decode_worker")
_START_S: Final = 60.0  # a fifth of a second is the rule; a machine that swaps takes longer
_END_S: Final = 1.0
_LONGEST_ANSWER: Final = 1 << 16
_LONGEST_DETAIL: Final = 1_000
_MAX_FRAMES: Final = 2**31 - 1
_MAX_COST: Final = 16
"""A pixel is never said to take so many times 5 bytes."""
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""A thread that a library starts while it is imported would be outside of the sandbox, which begins after that."""
_PASSED_ON: Final = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME")
"""What of the environment an interpreter may need to start; a worker has no use for the rest, and must not see it."""
_HOMES: Final = (
    str(Path(__file__).parents[3]),
    *(str(Path(package.__path__[0]).parent) for package in (PIL, np, simplejpeg)),
)
"""Where pixvec and what decodes are."""


class WorkerStartError(Exception):
    """A worker cannot be started, and this is why.

    Parameters
    ----------
    reason
        What the system said, or the process before it ended.
    may_pass
        Whether the next one may start all the same, because somebody ended this one.
    """

    def __init__(self, reason: str, *, may_pass: bool = False) -> None:
        super().__init__(reason)
        self.may_pass = may_pass


class WorkerLostError(Exception):
    """A worker did not come back from an image.

    Parameters
    ----------
    reason
        What the decoder did, for the image's row.
    is_the_image
        Whether that is the image's doing without doubt; else it may have been somebody's who ends processes.
    """

    def __init__(self, reason: str, *, is_the_image: bool) -> None:
        super().__init__(reason)
        self.is_the_image = is_the_image


class Worker:
    """A process that decodes, started at once; `open` and `crop` are as of `cropping.Cropper`.

    Parameters
    ----------
    plan
        What all its images have in common.
    n_crop_bytes
        The length of a crop.
    options
        The limits.
    program
        The interpreter's arguments.

    Attributes
    ----------
    is_ready
        Whether it has started.
    is_idle
        Whether it has no image.
    lacks
        The layers of the sandbox that its system lacks, once it is ready.

    Raises
    ------
    WorkerStartError
        The process cannot be started.
    """

    def __init__(
        self,
        plan: CropPlan,
        *,
        n_crop_bytes: int,
        options: DecodeOptions,
        program: tuple[str, ...] = WORKER,
    ) -> None:
        if not sys.executable or getattr(sys, "frozen", False) or os.name != "posix":
            raise WorkerStartError("this program brings no Python interpreter that workers could run in")
        self._plan = plan
        self._n_crop_bytes = n_crop_bytes
        self._max_answer = n_crop_bytes + (0 if plan.thumbnail is None else max_thumbnail_bytes(plan.thumbnail))
        self._max_s = options.max_decode_s
        self._nonce = b""
        try:
            self._socket, self._process = _start(program)
        except OSError as error:
            raise WorkerStartError(f"{sys.executable!r} cannot be started: {error.strerror}") from error
        self.is_ready = False
        self.is_idle = True
        self.lacks: frozenset[str] = frozenset()
        with contextlib.suppress(OSError):  # that it has ended already is found when it is awaited
            self._send(PLAN, pack_plan(plan, max_cpu_s=options.max_decode_cpu_s, max_bytes=options.max_decode_bytes))

    @property
    def is_fit(self) -> bool:
        """Whether the process runs, and has said nothing that it was not asked for."""
        return self._process.poll() is None and not (self.is_ready and self._has_unread_bytes())

    def await_ready(self) -> None:
        """Wait until the process has started.

        Raises
        ------
        WorkerStartError
            It ended instead, or took too long.
        """
        if self.is_ready:
            return
        try:
            self.lacks = unpack_lacks(self._receive(READY, max_s=_START_S))
        except (TypeError, ValueError):
            raise WorkerStartError(f"{sys.executable!r} gives an answer that makes no sense") from None
        except TimeoutError:
            raise WorkerStartError(f"{sys.executable!r} took over {_START_S:g} s") from None
        except WorkerLostError as error:
            was_ended = (self._process.returncode or 0) < 0
            raise WorkerStartError(f"{sys.executable!r}: {self._last_words() or error}", may_pass=was_ended) from None
        if self._process.stderr:
            self._process.stderr.close()
        self.is_ready = True

    def open(self, body: bytes) -> Header:
        """Let it read an image's header.

        Raises
        ------
        ImageError
            As `Cropper.open` does.
        WorkerLostError
            The worker does not answer.
        """
        self.is_idle = False
        packed = self._ask(BODY, body, wanted=HEADER)
        try:
            header = unpack_header(packed)
        except (struct.error, UnicodeError):
            raise self._lost_to_nonsense() from None
        if not self._is_as_asked(header):
            raise self._lost_to_nonsense()
        return header

    def crop(self) -> bytes:
        """Let it decode and crop the image that was opened.

        Raises
        ------
        ImageError
            As `Cropper.crop` does.
        WorkerLostError
            The worker does not answer.
        """
        crop = self._ask(GO, b"", wanted=CROP)
        if not self._makes_sense(crop):
            raise self._lost_to_nonsense()
        self.is_idle = True
        return crop

    def _is_as_asked(self, header: Header) -> bool:
        n_pixels = header.width * header.height
        return (
            header.format in self._plan.formats
            and 0 < n_pixels <= self._plan.max_pixels
            and 0 < header.n_pixels <= _MAX_COST * n_pixels
            and header.frames <= _MAX_FRAMES
        )

    def _makes_sense(self, crop: bytes) -> bool:
        if self._plan.thumbnail is None:
            return len(crop) == self._n_crop_bytes
        thumbnail = crop[self._n_crop_bytes :]
        return len(crop) == self._n_crop_bytes or is_thumbnail(thumbnail, self._plan.thumbnail)

    def kill(self) -> None:
        """End the process; a thread that waits for its answer finds it lost. May be called from any thread."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and let go of everything."""
        self.kill()
        self._socket.close()
        if self._process.stderr:
            self._process.stderr.close()

    # Frames -----------------------------------------------------------------------------------------------------------

    def _ask(self, kind: bytes, payload: bytes, *, wanted: bytes) -> bytes:
        try:
            self._send(kind, payload)
            return self._receive(wanted, max_s=self._max_s)
        except TimeoutError:
            raise self._lost(f"the decoder took over {self._max_s:g} s", is_the_image=True) from None
        except OSError:
            raise self._lost_by_itself() from None

    def _send(self, kind: bytes, payload: bytes) -> None:
        if kind != GO:
            self._nonce = os.urandom(NONCE_BYTES)
        self._socket.settimeout(self._max_s)
        self._socket.sendall(HEAD.pack(kind, self._nonce, len(payload)) + payload)  # at once, so that it wakes once

    def _receive(self, wanted: bytes, *, max_s: float) -> bytes:
        deadline = time.monotonic() + max_s
        kind, nonce, length = HEAD.unpack(self._receive_bytes(HEAD.size, deadline))
        longest = self._max_answer if kind == CROP else _LONGEST_ANSWER
        if kind not in (wanted, ERROR, BUG) or nonce != self._nonce or length > longest:
            raise self._lost_to_nonsense()
        payload = self._receive_bytes(length, deadline)
        if kind == BUG:
            raise RuntimeError(f"a bug, met in a decode worker:\n{_shown(payload)}")
        if kind == ERROR:
            raise self._image_error(payload)
        return payload

    def _has_unread_bytes(self) -> bool:
        self._socket.settimeout(0)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True  # or it has hung up

    def _receive_bytes(self, n_bytes: int, deadline: float) -> bytes:
        received = bytearray(n_bytes)
        left = memoryview(received)
        while left:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                n_received = self._socket.recv_into(left)
            except ConnectionError:
                n_received = 0
            if not n_received:
                raise self._lost_by_itself()
            left = left[n_received:]
        return bytes(received)

    def _image_error(self, payload: bytes) -> Exception:
        try:
            code, detail = json.loads(payload)
            makes_sense = CODES[code].stage == "image" and len(detail) <= _LONGEST_DETAIL and detail.isprintable()
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            makes_sense = False
        if not makes_sense:
            return self._lost_to_nonsense()
        self.is_idle = True
        return ImageError(code, detail)

    # Ends -------------------------------------------------------------------------------------------------------------

    def _lost(self, reason: str, *, is_the_image: bool) -> WorkerLostError:
        self.kill()
        return WorkerLostError(reason, is_the_image=is_the_image)

    def _lost_to_nonsense(self) -> WorkerLostError:
        """Let the image be tried again: it may be an earlier one that took this worker over."""
        return self._lost("the decoder's answer makes no sense", is_the_image=False)

    def _lost_by_itself(self) -> WorkerLostError:
        try:
            status = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            return self._lost("the decoder hung up", is_the_image=True)
        if status == -signal.SIGPROF:
            return WorkerLostError("the decoder took too much processor time", is_the_image=True)
        how = (
            f"was ended by signal {-status} ({_signal_name(-status)})" if status < 0 else f"ended with status {status}"
        )
        return WorkerLostError(f"the decoder {how}", is_the_image=False)

    def _last_words(self) -> str:
        words = self._process.stderr.read(_LONGEST_ANSWER) if self._process.stderr else b""
        lines = words.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


def _start(program: tuple[str, ...]) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    flags = ["-P", "-W", "ignore", *(["-B"] if sys.dont_write_bytecode else [])]
    near, far = socket.socketpair()
    try:
        return near, subprocess.Popen(  # noqa: S603 (our own program)
            [sys.executable, *flags, *program],
            stdin=far.fileno(),
            stdout=far.fileno(),
            stderr=subprocess.PIPE,
            env=_environment(),
            process_group=0,  # Ctrl-C on a terminal is the parent's to answer, and a worker signals its own group alone
        )
    except OSError:
        near.close()
        raise
    finally:
        far.close()


def _environment() -> dict[str, str]:
    """Let a worker find the modules that the parent found, in their order, and none in the folder it happens to be in.

    A relative entry of the path means another folder once the program has changed its own. What was found by way of
    one, by an import hook or in an archive is named by where it is.
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = [*filter(os.path.isabs, sys.path), *_HOMES]
    return {**passed_on, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}


def _shown(traceback: bytes) -> str:
    """Keep what a terminal would obey out of text that a worker wrote."""
    text = traceback.decode(errors="replace")
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unnamed"
