"""Make each thing once: who asks while it is being made waits for it, who asks later finds it in a bounded index."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")


class SingleFlight(Generic[Key, Made]):
    """One flight for each key, and the memory of the last `size` keys.

    For one event loop. What is made is shared: nobody may change it.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._flights: OrderedDict[Key, asyncio.Future[Made]] = OrderedDict()
        self.n_repeats = 0

    async def get(self, key: Key, make: Callable[[], Coroutine[Any, Any, Made]]) -> Made:
        """Return what `make` made for `key`, now or earlier."""
        if flight := self._flights.get(key):
            self.n_repeats += 1
            self._flights.move_to_end(key)
            return await asyncio.shield(flight)  # one who gives up must not end it for all
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        self._forget_oldest()
        try:
            flight.set_result(await make())
        except asyncio.CancelledError:
            flight.cancel()
            raise
        except BaseException as error:
            flight.set_exception(error)
            flight.exception()  # the maker's caller has it; that nobody else waits is no fault
            raise
        return flight.result()

    def _forget_oldest(self) -> None:
        # A flight that is forgotten under way goes on for those who wait for it.
        while len(self._flights) > self._size:
            self._flights.popitem(last=False)
