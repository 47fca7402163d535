"""Pixels in flight: however many images are decoded side by side, their pixels fit into memory."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class PixelBudget:
    """Lets threads hold pixels up to a limit; who holds more than the limit, holds it alone.

    Of those who wait, the images of a place that holds less go first.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._held: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._changed = threading.Condition()

    @contextmanager
    def hold(self, n_pixels: int, where: str = "") -> Iterator[None]:
        """Wait until the pixels fit; they count until the block ends.

        Parameters
        ----------
        where
            Where the image comes from.
        """
        with self._changed:
            self._waiting[where] += 1
            self._changed.wait_for(lambda: self._has_room(n_pixels, where))
            self._waiting -= Counter([where])
            self._held[where] += n_pixels
            self._changed.notify_all()  # those who let it go first
        try:
            yield
        finally:
            with self._changed:
                self._held -= Counter({where: n_pixels})
                self._changed.notify_all()

    def _has_room(self, n_pixels: int, where: str) -> bool:
        n_held = self._held.total()
        if not n_held:
            return True
        is_next = all(self._held[where] <= self._held[other] for other in self._waiting)
        return is_next and n_held + n_pixels <= self._max_pixels
