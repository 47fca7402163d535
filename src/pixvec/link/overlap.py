"""Work on one batch while the next is made: NumPy's part of a search in threads beside the engine's."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_THREADS = 2
"""So many results are on their way at a time; each may hold candidates of a whole batch."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


def overlapped(work: Callable[[_In], _Out], items: Iterable[_In]) -> Iterator[_Out]:
    """Apply `work` to items, taken in this thread, in others; results come in the items' order.

    Whatever is raised, by `work` too, is raised here once all that was begun has ended.
    """
    with ThreadPoolExecutor(_THREADS, "pixvec-link") as pool:
        begun: deque[Future[_Out]] = deque()
        for item in items:
            if len(begun) == _THREADS:
                yield begun.popleft().result()
            begun.append(pool.submit(work, item))
        yield from (future.result() for future in begun)
