"""What a run did when: lines of JSON in a file beside the output, about every ten seconds, over all its starts.

The table holds nothing that depends on time; this file does. Nothing depends on it: where it cannot be written, the run
goes on without.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, Final

from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder
from pixvec.pipeline.report import OnProgress, Report

LOG_EVERY_S: Final = 10.0

_MAX_ADDRESSES: Final = 100
_FIRST_BYTES: Final = b'{"event": "start"'

_LOGGER: Final = logging.getLogger("pixvec")


def log_path(output: Path) -> Path:
    """Name the log of an output."""
    return output.with_name(f"{output.name}.log.jsonl")


@contextmanager
def keeping_log(path: Path, report: Report, *, anew: bool) -> Iterator[OnProgress]:
    """Keep a log while rows are decided; without any, none is begun.

    Parameters
    ----------
    path
        Where it is; lines are added.
    report
        The counts at the start.
    anew
        Whether to forget what earlier runs wrote.
    """
    log = _Log(path, report, anew=anew)
    outcome = "broke"
    try:
        yield log.tell
        outcome = "decided"
    except KeyboardInterrupt:
        outcome = "interrupted"
        raise
    finally:
        log.end(report, outcome)


class _Log:
    _file: BinaryIO | None = None

    def __init__(self, path: Path, report: Report, *, anew: bool) -> None:
        self._path = path
        self._anew = anew
        self._start = {**_line("start", report), "t": 0.0, "pixvec_version": version("pixvec")}
        self._last = time.monotonic()
        self._is_begun = self._is_broken = False

    def tell(self, report: Report) -> None:
        """Write a line when it is time for one."""
        if time.monotonic() - self._last >= LOG_EVERY_S:
            self._begin()
            self._write(_line("progress", report))
        elif report.n_new and not self._is_begun:
            self._begin()

    def end(self, report: Report, outcome: str) -> None:
        """Write the last line, which says how images were decoded."""
        if self._is_begun:
            lacks = sorted(report.sandbox_lacks)
            self._write({**_line("end", report), "outcome": outcome, "sandbox_lacks": lacks})
        self._close()

    def _begin(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            self._write(self._start)

    def _write(self, line: dict[str, Any]) -> None:
        self._last = time.monotonic()
        if self._is_broken:
            return
        try:
            self._file = self._file or _open(self._path, anew=self._anew)
            self._file.write(json.dumps(line).encode() + b"\n")
            self._file.flush()
        except (OSError, UsageError) as error:
            self._is_broken = True
            reason = error.strerror if isinstance(error, OSError) else error
            _LOGGER.warning("%s cannot be written, so the run goes on without a log: %s", self._path, reason)
            self._close()

    def _close(self) -> None:
        if self._file:
            with suppress(OSError):  # what could not be written is tried once more
                self._file.close()


def _open(path: Path, *, anew: bool) -> BinaryIO:
    """Open a log to add to it.

    Raises
    ------
    UsageError
        When what is there is no log.
    """
    with OwnFolder.at(path.parent) as folder:
        file = folder.open_to_add(path.name)
    file.seek(0)
    if file.read(len(_FIRST_BYTES)) not in {b"", _FIRST_BYTES}:
        file.close()
        raise UsageError(f"{path} is not a log of pixvec's: move it away")
    if anew:
        file.truncate(0)
    return file


def _line(event: str, report: Report) -> dict[str, Any]:
    seconds = max(report.seconds, 1e-9)
    return {
        "event": event,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "t": round(seconds, 3),
        "rows": report.n_rows,
        "vectors": report.n_vectors,
        "failed": dict(report.failures),
        "bytes": report.n_bytes,
        "repeats": report.n_repeats,
        "private_addresses": sorted(report.private_addresses)[:_MAX_ADDRESSES],
        "decode_busy": round(report.decode_busy / seconds, 3),
        "model_busy": round(report.model_busy / seconds, 3),
    }
