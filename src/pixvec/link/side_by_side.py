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
    """Apply `work` to items, all of which are taken at once; what comes of them has the items' order.

    Raises
    ------
    StoppedError
        Soon after `stop` is set. Whatever else `work` raises is raised too, and the rest is not begun.
    """

    def unless_stopped(item: _In) -> _Out:
        heed(stop)
        return work(item)

    with ThreadPoolExecutor(n_cores(), "pixvec-link") as pool:
        return list(pool.map(unless_stopped, items))
