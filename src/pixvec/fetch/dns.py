"""A host name -> its addresses, from the system's resolver. It must not judge them.

getaddrinfo cannot be interrupted: each look-up has a daemon thread of its own, so that one that hangs keeps neither a
call nor the process alive.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeAlias

from aiohttp.abc import AbstractResolver, ResolveResult

AddrInfos: TypeAlias = list[tuple[Any, ...]]

_MAX_LOOKUPS: Final = 64


class SystemResolver(AbstractResolver):
    """Looks names up, at most 64 at once, each within a limit of its own.

    Parameters
    ----------
    timeout_s
        Of one look-up; one that takes longer keeps its place among the 64 until it ends.
    getaddrinfo
        Called as the function of that name in `socket`.
    """

    def __init__(self, *, timeout_s: float, getaddrinfo: Callable[..., AddrInfos] = socket.getaddrinfo) -> None:
        self._timeout_s = timeout_s
        self._getaddrinfo = getaddrinfo
        self._places = asyncio.Semaphore(_MAX_LOOKUPS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name, or raise `socket.gaierror`."""
        await self._places.acquire()
        answer: asyncio.Future[AddrInfos] = asyncio.get_running_loop().create_future()
        threading.Thread(
            target=self._look_up, args=(answer, host, port, family), name="pixvec-dns", daemon=True
        ).start()
        try:
            async with asyncio.timeout(self._timeout_s):
                infos = await answer
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {self._timeout_s:g} s") from None
        return [_as_result(host, info) for info in infos]

    async def close(self) -> None:
        """Do nothing: look-ups under way end by themselves, and nobody waits for them."""

    def _look_up(self, answer: asyncio.Future[AddrInfos], host: str, port: int, family: int) -> None:
        outcome: AddrInfos | Exception
        try:
            # As bytes, or Python would run the name through its old IDNA codec.
            outcome = self._getaddrinfo(
                host.encode(), port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except Exception as error:  # noqa: BLE001 (it is raised where the answer is awaited)
            outcome = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            answer.get_loop().call_soon_threadsafe(self._deliver, answer, outcome)

    def _deliver(self, answer: asyncio.Future[AddrInfos], outcome: AddrInfos | Exception) -> None:
        self._places.release()
        if answer.done():
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


def _as_result(host: str, info: tuple[Any, ...]) -> ResolveResult:
    family, _, protocol, _, (address, port, *_) = info
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=protocol, flags=socket.AI_NUMERICHOST
    )
