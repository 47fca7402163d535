"""SIGINT and SIGTERM on the command line: they interrupt what runs, and end the process some seconds later at most.

What runs answers an interrupt by itself, but for what cannot be cut short: a model that is being compiled, a name
server that is waited for. That ends with the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Final, NoReturn

_GRACE_S: Final = 4.0
"""How long a command may take to end after an interrupt."""


def run_interruptible(run: Callable[[], int], *, interrupted: int) -> int:
    """Run a command, and return its exit status; where it is `interrupted`, leave with that at once.

    Parameters
    ----------
    run
        Answers an interrupt by its status.
    interrupted
        The exit status of an interrupt.
    """
    _watch(interrupted)
    try:
        _handle(signal.default_int_handler)
        status = run()
    except KeyboardInterrupt:  # it came a moment before the command began, or after it had ended
        status = interrupted
    _handle(signal.SIG_DFL)
    if status == interrupted:
        _leave(status)
    return status


def _handle(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _watch(status: int) -> None:
    """Start the thread that ends the process when an interrupt is not answered in time."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_end_in_time, args=[reading, status], name="pixvec-interrupts", daemon=True).start()


def _end_in_time(interrupts: int, status: int) -> None:
    while os.read(interrupts, 1)[0] not in {signal.SIGINT, signal.SIGTERM}:
        pass
    time.sleep(_GRACE_S)
    with suppress(OSError):
        os.write(2, b"pixvec: interrupted; what is finished is kept: the same command goes on\n")
    os._exit(status)


def _leave(status: int) -> NoReturn:
    """End the process without waiting for threads that cannot be cut short."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(status)
