"""Workers, as many as pictures are decoded at once: started when they are needed, replaced when they are lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pixvec.isolation.worker import Worker, WorkerLostError, WorkerStartError


class WorkersClosedError(Exception):
    """The workers were asked for after their end."""


class Workers:
    """Lends workers to threads, each to one at a time; the one that came back last goes first, so that few are started.

    Parameters
    ----------
    start
        Starts one more.
    """

    def __init__(self, start: Callable[[], Worker]) -> None:
        self._start = start
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._is_closed = False

    @contextmanager
    def lend(self) -> Iterator[Worker]:
        """Lend a worker; it comes back when the block ends, unless it was lost or left in the middle of a picture.

        Raises
        ------
        WorkerStartError
            One more is needed and cannot be started.
        WorkersClosedError
            The workers have been closed, perhaps while the block waited for this one.
        """
        worker = self._take()
        try:
            yield worker
        except (WorkerStartError, WorkerLostError):
            if self._is_closed:  # which is what ended it
                raise WorkersClosedError from None
            raise
        finally:
            self._take_back(worker)

    def close(self) -> None:
        """End all workers, whatever they are doing; the threads that wait for them find them lost."""
        with self._lock:
            self._is_closed = True
            for worker in self._all:
                worker.kill()
            while self._idle:
                self._drop(self._idle.pop())

    def _take(self) -> Worker:
        with self._lock:
            if self._is_closed:
                raise WorkersClosedError
            while self._idle:
                worker = self._idle.pop()
                if worker.is_alive:
                    return worker
                self._drop(worker)
            worker = self._start()
            self._all.add(worker)
            return worker

    def _take_back(self, worker: Worker) -> None:
        with self._lock:
            if worker.is_idle and not self._is_closed:
                self._idle.append(worker)
            else:
                self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        self._all.discard(worker)
        worker.close()
