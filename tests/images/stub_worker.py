"""A decode worker that does, where an image's bytes ask for it, what a broken or hijacked decoder would do.

Deeds stand before the image, each as ``name:argument`` and a separator: the first is done when the image is opened,
the others when it is decoded. With the path of a file that is not there, the first worker dies before it has started.
With ``--mark`` and the path of a file of one byte, deeds can leave a mark in it, which needs no right to open files.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pixvec.errors import ImageError
from pixvec.images.cropping import Cropper
from pixvec.images.decode import Header
from pixvec.images.decode_worker import main

SEPARATOR = b"\0deed\0"


def _loop() -> None:
    while True:
        pass


def _sleep(_: str) -> None:
    _leave_mark()
    time.sleep(600)


def _die_once(_: str) -> None:
    if _leave_mark():
        os.kill(os.getpid(), signal.SIGKILL)


def _leave_mark() -> bool:
    """Leave a mark; tell whether it is the first."""
    for mark in MARKS:
        if not mark[0]:
            mark[0] = 1
            return True
    return False


def _die_at_first(mark: Path) -> None:
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def _tell(what: str) -> None:
    told = {"environment": " ".join(sorted(os.environ)), "process": str(os.getpid())}
    raise ImageError("corrupt_image", told[what])


MARKS: list[mmap.mmap] = []

DEEDS: dict[str, Callable[[str], object]] = {
    "segfault": lambda _: ctypes.string_at(0),
    "loop": lambda _: _loop(),
    "sleep": _sleep,
    "die": lambda number: os.kill(os.getpid(), int(number)),
    "die-once": _die_once,
    "exit": lambda status: os._exit(int(status)),
    "gorge": lambda n_bytes: bytearray(int(n_bytes)),
    "print": lambda text: os.write(1, text.encode()) + os.write(2, text.encode()),
    "tell": _tell,
    "err": lambda _: 1 // 0,
}


LIES: dict[bytes, Callable[[bytes], bytes]] = {
    b"lie:": lambda _: b"short",
    b"cut:": lambda answer: answer[:-1],
    b"bloat:": lambda answer: answer + bytes(100_000),
    b"forge:": lambda answer: answer[: 16 * 16 * 3] + b'"><script>alert(1)</script>' * 9,
    b"omit:": lambda answer: answer[: 16 * 16 * 3],
}


class StubCropper(Cropper):
    """Does deeds."""

    def open(self, body: bytes) -> Header:
        *deeds, body = body.split(SEPARATOR)
        self._late = deeds[1:]
        _do(deeds[:1])
        return super().open(body)

    def crop(self) -> bytes:
        _do(self._late)
        return LIES.get(b"".join(self._late), bytes)(super().crop())


def _do(deeds: list[bytes]) -> None:
    for deed in deeds:
        name, _, argument = deed.decode().partition(":")
        if name in DEEDS:
            DEEDS[name](argument)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--mark", path]:
            with Path(path).open("r+b") as file:
                MARKS.append(mmap.mmap(file.fileno(), 1))
        case [path]:
            _die_at_first(Path(path))
    main(StubCropper)
