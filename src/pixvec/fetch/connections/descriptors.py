"""File descriptors, of which a process may have so many: what connections may take of them, and waiting for a free one.

That there is none left is the fault of this machine, and no row's: who needs one waits.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from pixvec.errors import FetchError, RunError

Result = TypeVar("Result")

_SHORTAGES: Final = frozenset([errno.EMFILE, errno.ENFILE])
_OPEN: Final = "/dev/fd"
_N_PROBES: Final = 4
"""As many as a look-up may have open at once: its files and a socket to each name server."""
_PAUSE_S: Final = 0.25


def fitting_connections(wanted: int) -> int:
    """Return how many connections to have: at most half as many as there are descriptors free.

    The other half is for a second socket where a host has addresses of two kinds, for look-ups, for files and for
    decode workers.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (limit - _count_open()) // 2))


def _count_open() -> int:
    try:
        return len(os.listdir(_OPEN))  # noqa: PTH208 (numbers, not paths)
    except OSError:  # there is none left to read the folder with, or no such folder
        return 0


def is_shortage(error: BaseException) -> bool:
    """Tell whether an error says that no descriptor is free."""
    return isinstance(error, OSError) and error.errno in _SHORTAGES


def shortage_behind(error: BaseException | None) -> OSError | None:
    """Find the shortage that an exception of another library was raised for."""
    while error is not None:
        if isinstance(error, OSError) and is_shortage(error):
            return error
        error = error.__cause__ or error.__context__
    return None


def shortage_now() -> OSError | None:
    """Find out whether descriptors are short: a look-up that can open no file says that there is no such host."""
    probes = []
    try:
        for _ in range(_N_PROBES):
            probes.append(os.open(os.devnull, os.O_RDONLY))  # noqa: PERF401 (those before a failure are closed)
    except OSError as error:
        return error if is_shortage(error) else None
    finally:
        for probe in probes:
            os.close(probe)
    return None


class Patience:
    """Waits for free descriptors together, for all who need one; for one event loop.

    Parameters
    ----------
    max_s
        How long, while nobody gets one.
    """

    def __init__(self, max_s: float) -> None:
        self._max_s = max_s
        self._short_since: float | None = None

    async def until_done(self, work: Callable[[], Awaitable[Result]], *, before_pause: Callable[[], object]) -> Result:
        """Do work anew, after a pause, for as long as it fails for want of a descriptor.

        Raises
        ------
        RunError
            Nobody's work was done for too long.
        """
        while True:
            try:
                result = await work()
            except FetchError:
                self._short_since = None
                raise
            except OSError as error:
                if not is_shortage(error):
                    raise
                self._wait_or_end(error)
            else:
                self._short_since = None
                return result
            before_pause()
            await asyncio.sleep(_PAUSE_S)

    def _wait_or_end(self, error: OSError) -> None:
        now = asyncio.get_running_loop().time()
        self._short_since = self._short_since or now
        if now - self._short_since > self._max_s:
            raise RunError(
                f"no file or connection could be opened for {self._max_s:g} s ({os.strerror(error.errno or 0)}): "
                "raise the limit on open files (`ulimit -n`), or lower `connections`"
            ) from None
