"""Computations that stop soon after their caller asks for it."""

from __future__ import annotations

import threading


class StoppedError(Exception):
    """The caller asked for a computation to stop."""


def raise_if_stopped(stop: threading.Event | None) -> None:
    """Raise `StoppedError` when `stop` is set."""
    if stop is not None and stop.is_set():
        raise StoppedError
