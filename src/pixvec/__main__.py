"""Start the command line: ``pixvec``, or ``python -m pixvec``.

An interrupt while the imports run ends the process at once, as it would a program in C: nothing is under way yet, and
a traceback through the import system would help nobody. Later it is answered by what runs, within some seconds: what
cannot be cut short, as a model that is being compiled or a name server that is waited for, ends with the process.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn

_GRACE_S: Final = 4.0
"""How long a command may take to end after an interrupt."""


def main() -> None:
    """Run the command line, and leave with its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdout is None:
        # It is closed. Printing must say so, and no file of a run may get its number.
        sys.stdout = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 (it is open for as long as the process)
    from pixvec.cli import INTERRUPTED, execute, load  # noqa: PLC0415 (the imports are what must be interruptible)

    for word in sys.argv[1:2]:
        load(word)
    _watch_interrupts(INTERRUPTED)
    try:
        _handle_signals(signal.default_int_handler)
        status = execute(sys.argv[1:])
    except KeyboardInterrupt:  # it came a moment before the command began, or after it had ended
        status = INTERRUPTED
    _handle_signals(signal.SIG_DFL)
    if status == INTERRUPTED:
        _leave(status)
    sys.exit(status)


def _handle_signals(handler: Callable[[int, FrameType | None], object] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _watch_interrupts(status: int) -> None:
    """End the process some seconds after its first interrupt, whatever it is busy with by then."""
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


if __name__ == "__main__":
    main()
