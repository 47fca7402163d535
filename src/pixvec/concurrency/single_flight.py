"""Make each thing once: who asks while it is being made waits for it, who asks later finds it in a bounded memory."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")


class Memory(Generic[Key, Made]):
    """What one caller asked for: the last `size` things, and how often it asked again."""

    def __init__(self, size: int) -> None:
        self.n_repeats = 0
        self._size = size
        self._made: OrderedDict[Key, Made] = OrderedDict()

    def find(self, key: Key) -> Made | None:
        """Return what was made for a key, where it is remembered."""
        made = self._made.get(key)
        if made is not None:
            self.n_repeats += 1
            self._made.move_to_end(key)
        return made

    def keep(self, key: Key, made: Made) -> None:
        """Remember what was made for a key."""
        self._made[key] = made
        if len(self._made) > self._size:
            self._made.popitem(last=False)


class SingleFlight(Generic[Key, Made]):
    """What is being made, each thing once, for any number of callers in one event loop.

    What is made is shared: nobody may change it. Where the caller that makes something is cancelled, one of those who
    wait for it makes it instead.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, asyncio.Future[Made]] = {}

    async def get(self, key: Key, make: Callable[[], Coroutine[Any, Any, Made]], *, memory: Memory[Key, Made]) -> Made:
        """Return what `make` made for `key`, now or earlier.

        Raises
        ------
        Exception
            What `make` raised, to all who waited.
        """
        if (known := memory.find(key)) is not None:
            return known
        while flight := self._flights.get(key):
            try:
                made = await asyncio.shield(flight)  # one who gives up must not end it for all
            except asyncio.CancelledError:
                if not flight.cancelled() or _is_cancelled():
                    raise
            else:
                memory.n_repeats += 1
                break
        else:
            made = await self._make(key, make)
        memory.keep(key, made)
        return made

    async def _make(self, key: Key, make: Callable[[], Coroutine[Any, Any, Made]]) -> Made:
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            made = await make()
        except asyncio.CancelledError:
            flight.cancel()
            raise
        except BaseException as error:
            flight.set_exception(error)
            flight.exception()  # the maker's caller has it; that nobody else waits is no fault
            raise
        finally:
            del self._flights[key]
        flight.set_result(made)
        return made


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
