"""Workers, as many as images are decoded at once: started when they are needed, replaced when they are lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from pixvec.images.workers.worker import Worker, WorkerLostError, WorkerStartError

_START_TRIES: Final = 5
"""How many workers may be ended by somebody, one after the other, before they have started."""
_PAUSE_S: Final = 0.25
"""How long one who has no worker waits before starting one is tried again; one that comes back ends the wait."""


class WorkersClosedError(Exception):
    """The workers were asked for after their end."""


class Workers:
    """Lends workers to threads, each to one at a time; the one that came back last goes first, so that few are started.

    The first one decides whether workers can be had at all. If it started and a later one does not, the machine is
    short of something for a while: a thread that needs a worker waits.

    Parameters
    ----------
    start
        Starts one more.
    max_wait_s
        How long one waits for a worker that cannot be started, while there is none that may come back.

    Attributes
    ----------
    were_had
        Whether there has been one.
    """

    def __init__(self, start: Callable[[], Worker], *, max_wait_s: float = 60.0) -> None:
        self._start = start
        self._max_wait_s = max_wait_s
        self.were_had = False
        self._changed = threading.Condition()
        self._idle: list[Worker] = []
        self._all: set[Worker] = set()
        self._is_closed = False

    def start_ahead(self) -> None:
        """Start a worker that is lent later, without waiting until it has started."""
        self._take_back(self._take())

    @contextmanager
    def lend(self) -> Iterator[Worker]:
        """Lend a worker; it comes back when the block ends, unless it was lost or left in the middle of an image.

        Raises
        ------
        WorkerStartError
            The first one cannot be started, or none has been for as long as one waits.
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
        """End all workers, whatever they are doing; who waits for one finds it lost."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            for worker in self._all.difference(self._idle):
                worker.kill()
            while self._idle:
                worker = self._idle.pop()
                self._all.discard(worker)
                worker.close()

    def _take_ready(self) -> Worker:
        n_tries, deadline = 0, None
        while True:
            try:
                return self._try_once()
            except WorkerStartError as error:
                self._refuse_if_closed()
                n_tries += 1
                if error.may_pass and n_tries < _START_TRIES:
                    continue
                deadline = self._next_deadline(deadline)
                if not self.were_had or time.monotonic() > deadline:
                    raise
            with self._changed:
                self._changed.wait(_PAUSE_S)

    def _try_once(self) -> Worker:
        worker = self._take()
        try:
            worker.await_ready()
        except WorkerStartError:
            self._take_back(worker)
            raise
        self.were_had = True
        return worker

    def _next_deadline(self, deadline: float | None) -> float:
        """Say until when to wait: for as long as others have workers, which come back, the time does not run."""
        with self._changed:
            others_have_some = any(worker.is_ready for worker in self._all)
        if deadline is None or others_have_some:
            return time.monotonic() + self._max_wait_s
        return deadline

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise WorkersClosedError from None

    def _take(self) -> Worker:
        with self._changed:
            self._refuse_if_closed()
            worker = self._take_idle() or self._start()
            self._all.add(worker)
            return worker

    def _take_idle(self) -> Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_fit:
                return worker
            self._drop(worker)
        return None

    def _take_back(self, worker: Worker) -> None:
        with self._changed:
            if worker.is_idle and worker.is_fit and not self._is_closed:
                self._idle.append(worker)
            else:
                self._drop(worker)
            self._changed.notify()

    def _drop(self, worker: Worker) -> None:
        self._all.discard(worker)
        worker.close()
