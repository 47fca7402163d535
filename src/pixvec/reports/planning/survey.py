"""A column of URLs, read once -> what is in it, and a sample of it.

Memory is bounded however long the column is. Which URLs are sampled depends on their text alone, and so neither on
their order nor on chance. No server is asked anything here.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from pixvec.errors import FetchError, UsageError
from pixvec.fetch import URL, Fetcher, Source

_MAX_HOSTS: Final = 10_000
"""Hosts that are told apart, the first ones."""
_MAX_KEPT: Final = 1 << 19
"""Hashes that are kept to count different URLs: 45 MB. Above that the count is within 0.5 %."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """A cell that is tried.

    Parameters
    ----------
    host
        The one that it stands for; None for a file of this machine.
    n_rows
        How many rows have its URL.
    """

    cell: str
    host: str | None
    n_rows: int


@dataclass(frozen=True, slots=True)
class Survey:
    """What is in a column.

    Parameters
    ----------
    refused
        Rows that can have no vector, by code, as empty ones; nothing needs to be asked for that.
    hosts
        Rows of each host that was told apart; None stands for files of this machine.
    n_different
        How many different URLs there are, of `n_urls`; an estimate where not `is_exact`.
    """

    n_rows: int
    n_urls: int
    refused: Counter[str]
    hosts: Counter[str | None]
    n_different: int
    is_exact: bool
    sample: tuple[Sampled, ...]

    @property
    def n_hosts(self) -> int:
        """How many hosts there are; no more than are told apart."""
        return sum(host is not None for host in self.hosts)


def survey_cells(cells: Iterable[object], fetcher: Fetcher, *, sample: int) -> Survey:
    """Read a column.

    Parameters
    ----------
    cells
        The column's, in order.
    fetcher
        Says where the bytes of a cell are.
    sample
        How many different URLs are tried at most.

    Raises
    ------
    UsageError
        When cells hold images: there is nothing to fetch.
    """
    n_rows, refused = 0, Counter[str]()
    hosts, lowest, different = Counter[str | None](), LowestKeys(sample), DifferentKeys()
    for cell in cells:
        n_rows += 1
        source = _locate(cell, fetcher)
        if isinstance(source, str):
            refused[source] += 1
            continue
        key = int.from_bytes(blake2b(str(source).encode("utf-8", "surrogatepass"), digest_size=8).digest())
        different.add(key)
        host = source.authority if isinstance(source, URL) else source.host
        if host in hosts or len(hosts) < _MAX_HOSTS:
            hosts[host] += 1
        lowest.add(key, str(cell), host)
    n_urls = n_rows - refused.total()
    return Survey(n_rows, n_urls, refused, hosts, min(different.n, n_urls), different.is_exact, lowest.spread(hosts))


def _locate(cell: object, fetcher: Fetcher) -> Source | str:
    """Say where the bytes of a cell are, or the code that it fails with."""
    if isinstance(cell, bytes):
        raise UsageError("the cells hold images, not URLs: there is nothing to plan for")
    if cell is None or not str(cell).strip():
        return "null_input"
    try:
        return fetcher.locate(str(cell))
    except FetchError as error:
        return error.code


class LowestKeys:
    """The URLs with the lowest keys, of all and of each host: a sample that is spread like the column, and one of each.

    How many rows have them is counted without a miss: what is among the lowest at the end was so from its first row on.

    Parameters
    ----------
    n
        How many are kept of all.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._heap: list[int] = []
        """The lowest of all, negated, so that the highest one leaves first."""
        self._of_all: dict[int, _Kept] = {}
        self._of_host: dict[str | None, _Kept] = {}

    def add(self, key: int, cell: str, host: str | None) -> None:
        """Keep a URL if its key is low."""
        self._add_to_all(key, cell, host)
        self._add_to_host(key, cell, host)

    def spread(self, hosts: Counter[str | None]) -> tuple[Sampled, ...]:
        """Choose: half of them one for each of the largest hosts, the others as they come."""
        ranked = sorted(self._of_host.values(), key=lambda kept: (-hosts[kept.host], kept.key))
        chosen = {kept.key: kept for kept in ranked[: (self._n + 1) // 2]}
        for key in sorted(self._of_all):
            if len(chosen) == self._n:
                break
            chosen.setdefault(key, self._of_all[key])
        return tuple(Sampled(kept.cell, kept.host, kept.n_rows) for _, kept in sorted(chosen.items()))

    def _add_to_all(self, key: int, cell: str, host: str | None) -> None:
        if kept := self._of_all.get(key):
            kept.n_rows += 1
        elif len(self._heap) < self._n or key < -self._heap[0]:
            self._of_all[key] = _Kept(key, cell, host)
            heapq.heappush(self._heap, -key)
            if len(self._heap) > self._n:
                del self._of_all[-heapq.heappop(self._heap)]

    def _add_to_host(self, key: int, cell: str, host: str | None) -> None:
        kept = self._of_host.get(host)
        if kept is None and len(self._of_host) == _MAX_HOSTS:
            return
        if kept is None or key < kept.key:
            self._of_host[host] = _Kept(key, cell, host)
        elif key == kept.key:
            kept.n_rows += 1


@dataclass(slots=True)
class _Kept:
    """A URL that may become one of the sample."""

    key: int
    cell: str
    host: str | None
    n_rows: int = 1


class DifferentKeys:
    """Counts different keys: exactly as long as they fit, then by those whose last bits are all zero.

    Parameters
    ----------
    size
        How many are kept.
    """

    def __init__(self, size: int = _MAX_KEPT) -> None:
        self._size = size
        self._kept: set[int] = set()
        self._n_bits = 0

    def add(self, key: int) -> None:
        """See a key."""
        if key & ((1 << self._n_bits) - 1):
            return
        self._kept.add(key)
        while len(self._kept) > self._size:
            self._n_bits += 1
            self._kept = {kept for kept in self._kept if not kept & ((1 << self._n_bits) - 1)}

    @property
    def n(self) -> int:
        """How many different ones there were."""
        return len(self._kept) << self._n_bits

    @property
    def is_exact(self) -> bool:
        """Whether none had to be left out."""
        return not self._n_bits
