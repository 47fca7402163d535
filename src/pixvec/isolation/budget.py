"""Pixels in flight: however many pictures are decoded side by side, their pixels fit into memory."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Lets threads hold pixels up to a limit; who holds more than the limit, holds it alone."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._held = 0
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, n_pixels: int) -> Iterator[None]:
        """Wait until the pixels fit; they count until the block ends."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + n_pixels <= self._max_pixels)
            self._held += n_pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= n_pixels
                self._changed.notify_all()
