"""Work on several items at a time in threads, which NumPy's and the engine's functions compute in at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

from threadpoolctl import threadpool_limits

from pixvec.concurrency.cpu import n_cores
from pixvec.concurrency.forks import forget_in_children
from pixvec.concurrency.stop import raise_if_stopped

_MAX_PREFETCHED: Final = 2
"""Results that are computed ahead at a time; each may hold the candidates of a whole batch."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def parallel_map(work: Callable[[_In], _Out], items: Iterable[_In], stop: threading.Event | None = None) -> list[_Out]:
    """Apply `work` to the items on all cores, and return the results in the items' order.

    Raises
    ------
    StoppedError
        Soon after `stop` is set. An exception that `work` raises is raised here, and no further item is started.
    """
    numbered = enumerate(items)
    lock = threading.Lock()
    is_over = threading.Event()
    results: dict[int, _Out] = {}

    # Each thread takes the next item when it is ready: a future for each item would take longer than many items do.
    def work_on() -> None:
        try:
            while not is_over.is_set():
                raise_if_stopped(stop)
                with lock:
                    taken = next(numbered, None)
                if taken is None:
                    break
                number, item = taken
                results[number] = work(item)
        finally:
            is_over.set()

    with ThreadPoolExecutor(n_cores(), "pixvec-link") as pool:
        for thread in [pool.submit(work_on) for _ in range(n_cores())]:
            thread.result()
    return [results[number] for number in range(len(results))]


def prefetch(work: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """Apply `work` in other threads while this one makes the next items; yield the results in the items' order.

    An exception that `work` or `items` raises is raised here once all started work has ended.
    """
    with ThreadPoolExecutor(_MAX_PREFETCHED, "pixvec-link") as pool:
        pending: deque[Future[_Out]] = deque()
        for item in items:
            if len(pending) == _MAX_PREFETCHED:
                yield pending.popleft().result()
            pending.append(pool.submit(work, item))
        yield from (future.result() for future in pending)


class _SharedLimit:
    """A limit of one thread in each of BLAS's products, which holds while anyone uses it.

    The limit is the process's, and belongs to the host program otherwise. Were each user to restore what it found, one
    that ends late would restore the limit of another.
    """

    def __init__(self) -> None:
        self._limits: threadpool_limits | None = None
        self.forget_parent()
        forget_in_children(self)

    def forget_parent(self) -> None:
        """Forget the parent's users and its lock; the first user in the child restores the limits that it had."""
        self._lock = threading.Lock()
        self._n_users = 0

    @contextmanager
    def used(self) -> Iterator[None]:
        with self._lock:
            self._n_users += 1
            self._limits = self._limits or threadpool_limits(1, user_api="blas")
        try:
            yield
        finally:
            with self._lock:
                self._n_users -= 1
                if self._limits and not self._n_users:
                    self._limits.restore_original_limits()
                    self._limits = None


one_blas_thread = _SharedLimit().used
"""Holds BLAS to one thread in each product while the block computes several products at once."""
