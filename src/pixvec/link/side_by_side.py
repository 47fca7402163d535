"""One piece of work for each of some items, on all cores: NumPy's parts of it run beside each other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from pixvec.cores import n_cores
from pixvec.engine import heed

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def side_by_side(work: Callable[[_In], _Out], items: Iterable[_In], stop: threading.Event | None = None) -> list[_Out]:
    """Apply `work` to items, which are taken one by one; what comes of them has the items' order.

    Raises
    ------
    StoppedError
        Soon after `stop` is set. Whatever else `work` raises is raised too, and the rest is not begun.
    """
    numbered = enumerate(items)
    turn = threading.Lock()
    is_over = threading.Event()
    done: dict[int, _Out] = {}

    # Each thread takes what is next when it is ready: a future for each item would take longer than many items do.
    def work_on() -> None:
        try:
            while not is_over.is_set():
                heed(stop)
                with turn:
                    taken = next(numbered, None)
                if taken is None:
                    break
                number, item = taken
                done[number] = work(item)
        finally:
            is_over.set()

    with ThreadPoolExecutor(n_cores(), "pixvec-link") as pool:
        for thread in [pool.submit(work_on) for _ in range(n_cores())]:
            thread.result()
    return [done[number] for number in range(len(done))]
