"""Start the command line: ``pixvec``, or ``python -m pixvec``.

An interrupt while the imports run ends the process at once, as it would a program in C: nothing is in progress yet, and
a traceback through the import system would help nobody.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path


def main() -> None:
    """Run the command line, and leave with its exit status."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.stdout is None:
        # It is closed. Printing must say so, and no file of a run may get its number.
        sys.stdout = Path(os.devnull).open(encoding="utf-8")  # noqa: SIM115 (it is open for as long as the process)
    from pixvec.cli import INTERRUPTED, execute, load  # noqa: PLC0415 (the imports are what must be interruptible)
    from pixvec.cli.interrupts import run_interruptible  # noqa: PLC0415
    from pixvec.cli.process import prepare_process  # noqa: PLC0415

    for word in sys.argv[1:2]:
        if load(word):
            prepare_process()
    sys.exit(run_interruptible(lambda: execute(sys.argv[1:]), interrupted=INTERRUPTED))


if __name__ == "__main__":
    main()
