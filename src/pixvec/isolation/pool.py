"""Workers, as many as pictures are decoded at once: started when they are needed, replaced when they are lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pixvec.isolation.worker import Worker, WorkerLostError, WorkerStartError

_START_TRIES: Final = 5
"""How many workers may be ended by somebody, one after the other, before they have started."""


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

    def start_ahead(self) -> None:
        """Start a worker that is lent later, without waiting until it has started."""
        self._take_back(self._take())

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
        worker = self._take_ready()
        try:
            yield worker
        except WorkerLostError:
            self._refuse_if_closed()  # which is what ended it
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

    def _take_ready(self) -> Worker:
        n_tries = 0
        while True:
            worker = self._take()
            try:
                worker.await_ready()
            except WorkerStartError as error:
                self._take_back(worker)
                self._refuse_if_closed()
                n_tries += 1
                if n_tries == _START_TRIES or not error.may_pass:
                    raise
            else:
                return worker

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise WorkersClosedError from None

    def _take(self) -> Worker:
        with self._lock:
            self._refuse_if_closed()
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
            if worker.is_idle and worker.is_alive and not self._is_closed:
                self._idle.append(worker)
            else:
                self._drop(worker)

    def _drop(self, worker: Worker) -> None:
        self._all.discard(worker)
        worker.close()
