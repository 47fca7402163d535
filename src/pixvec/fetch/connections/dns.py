"""A host name -> its addresses, from the system's resolver, asked once for all that ask.

getaddrinfo cannot be interrupted: each look-up has a daemon thread of its own, so that one that hangs keeps neither a
call nor the process alive.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, TypeVar

from aiohttp.abc import AbstractResolver, ResolveResult

from pixvec.concurrency.fair_budget import Claim, FairBudget, Place
from pixvec.fetch.connections.descriptors import shortage_now

AddrInfos: TypeAlias = list[tuple[Any, ...]]
Awaited = TypeVar("Awaited")

UNKNOWN_NAME: Final = frozenset(
    getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY") if hasattr(socket, name)
)
"""getaddrinfo's errors that say that there is no such host, and not that nobody could tell."""

_MAX_LOOKUPS: Final = 64
_MAX_OF_ONE_DOMAIN: Final = _MAX_LOOKUPS // 2
_PREFERRED: Final = 24
"""Of these, how many are kept for names that were found before, or that several wait for."""
_MAX_THREADS: Final = 256
_MAX_NAMES: Final = 16_384


class SystemResolver(AbstractResolver):
    """Looks names up, each within a limit of its own.

    Parameters
    ----------
    timeout_s
        Of one look-up, from when it begins. One that takes longer is given up; its thread ends when it can. When 256
        threads have not ended, the next look-up waits as long again for one of them.
    getaddrinfo
        Called as the function of that name in `socket`, which is called where none is given.
    """

    def __init__(self, *, timeout_s: float, getaddrinfo: Callable[..., AddrInfos] | None = None) -> None:
        self._timeout_s = timeout_s
        self._getaddrinfo = getaddrinfo or socket.getaddrinfo
        self._threads = asyncio.Semaphore(_MAX_THREADS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name, or raise `socket.gaierror`."""
        await self._in_time(self._threads.acquire())
        infos = await self._in_time(self._start(host, port, family))
        return [_as_result(host, info) for info in infos]

    async def close(self) -> None:
        """Do nothing: look-ups in progress end by themselves, and nobody waits for them."""

    async def _in_time(self, awaited: Awaitable[Awaited]) -> Awaited:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await awaited
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, f"no answer within {self._timeout_s:g} s") from None

    def _start(self, host: str, port: int, family: int) -> asyncio.Future[AddrInfos]:
        answer: asyncio.Future[AddrInfos] = asyncio.get_running_loop().create_future()
        thread = threading.Thread(
            target=self._look_up, args=(answer, host, port, family), name="pixvec-dns", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:
            self._threads.release()
            raise socket.gaierror(socket.EAI_AGAIN, "the system gives no more threads") from None
        return answer

    def _look_up(self, answer: asyncio.Future[AddrInfos], host: str, port: int, family: int) -> None:
        outcome: AddrInfos | Exception
        try:
            # As bytes, or Python would run the name through its old IDNA codec.
            outcome = self._getaddrinfo(
                host.encode(), port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
            )
        except Exception as error:  # noqa: BLE001 (it is raised where the answer is awaited)
            outcome = shortage_now() or error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            answer.get_loop().call_soon_threadsafe(self._deliver, answer, outcome)

    def _deliver(self, answer: asyncio.Future[AddrInfos], outcome: AddrInfos | Exception) -> None:
        self._threads.release()
        if answer.done():
            return
        if isinstance(outcome, Exception):
            answer.set_exception(outcome)
        else:
            answer.set_result(outcome)


@dataclass(frozen=True, slots=True)
class _Question:
    """A name that was asked for: what comes of it, and until when that is worth anything."""

    place: Place
    outcome: asyncio.Task[list[ResolveResult] | OSError]
    good_until: float

    @property
    def found(self) -> bool:
        """Whether it brought addresses."""
        return self.outcome.done() and not isinstance(self.outcome.result(), OSError)

    def is_good(self, now: float) -> bool:
        if not self.outcome.done():
            return True
        return now < self.good_until and not _may_change(self.outcome.result())


class Names(AbstractResolver):
    """Asks a resolver once for all who ask at the same time, or soon after; for one event loop.

    That a name does not exist is remembered too; that nobody could tell is not. At most 64 names are looked up at once:
    half of them of one domain, which is the last two labels, and 40 that were never found before and that a single row
    waits for.

    Parameters
    ----------
    resolver
        Looks names up.
    memory_s
        How long an answer is good, from when the question was asked.
    """

    def __init__(self, resolver: AbstractResolver, *, memory_s: float) -> None:
        self._resolver = resolver
        self._memory_s = memory_s
        self._questions: OrderedDict[str, _Question] = OrderedDict()
        self._lookups = FairBudget(_MAX_LOOKUPS, preferred=_PREFERRED)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name, or raise `socket.gaierror`."""
        # Shielded: one who gives up must not end it for all.
        outcome = await asyncio.shield(self._question(host, family).outcome)
        if isinstance(outcome, OSError):
            raise outcome.with_traceback(None)  # which would grow with each raising
        return [ResolveResult({**result, "port": port}) for result in outcome]

    async def close(self) -> None:
        """Give up what is in progress."""
        for question in self._questions.values():
            question.outcome.cancel()
        await self._resolver.close()

    def _question(self, host: str, family: socket.AddressFamily) -> _Question:
        now = asyncio.get_running_loop().time()
        question = self._questions.get(host)
        if question is None or not question.is_good(now):
            found = question is not None and question.found
            place = Place(most=_MAX_OF_ONE_DOMAIN, is_preferred=found)
            outcome = asyncio.create_task(self._ask(host, family, place))
            question = self._questions[host] = _Question(place, outcome, now + self._memory_s)
            self._questions.move_to_end(host)
        elif not question.outcome.done():
            self._lookups.prefer(question.place)
        if len(self._questions) > _MAX_NAMES:
            self._questions.popitem(last=False)  # it goes on for those who wait for it
        return question

    async def _ask(self, host: str, family: socket.AddressFamily, place: Place) -> list[ResolveResult] | OSError:
        try:
            async with self._lookups.hold(Claim(host=domain_of(host)), place=place):
                return await self._resolver.resolve(host, 0, family)
        except OSError as error:
            return error.with_traceback(None)


def domain_of(host: str) -> str:
    """Return the last two labels of a name."""
    return ".".join(host.removesuffix(".").rsplit(".", 2)[-2:])


def _may_change(outcome: list[ResolveResult] | OSError) -> bool:
    return isinstance(outcome, OSError) and outcome.errno not in UNKNOWN_NAME


def _as_result(host: str, info: tuple[Any, ...]) -> ResolveResult:
    family, _, protocol, _, (address, port, *_) = info
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=protocol, flags=socket.AI_NUMERICHOST
    )
