"""Counts that grow row by row: failures by code and host, with the first examples of each.

Memory is bounded: hosts beyond the first many are counted together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from pixvec.codes import code_of, is_retryable
from pixvec.errors import FetchError
from pixvec.fetch import parse
from pixvec.reports.review.findings import Count, Example, Failure, Host, stage_of
from pixvec.reports.review.reading import Rows

N_EXAMPLES: Final = 3
N_LISTED_HOSTS: Final = 15
OTHER_HOSTS: Final = "other hosts"
_MAX_HOSTS: Final = 50_000
_N_HOSTS_OF_A_CODE: Final = 3
_SHOWN_CHARS: Final = 160
_CREDENTIALS: Final = re.compile(r"//[^/@?#]*@")


class Tally:
    """What has been counted so far."""

    def __init__(self) -> None:
        self.n_rows = 0
        self._rows_of = Counter[str]()
        self._failures_of = Counter[tuple[str, str | None]]()
        """By code and host."""
        self._examples: dict[str, list[Example]] = {}

    def add(self, rows: Rows) -> None:
        """Count some rows."""
        for row, (cell, code, detail) in enumerate(zip(rows.cells, rows.codes, rows.details, strict=True), rows.start):
            host = self._counted(_host(cell))
            if host is not None:
                self._rows_of[host] += 1
            if code is not None:
                self._failures_of[code, host] += 1
                self._keep(code, Example(row, shown(cell), shortened(detail or "")))
        self.n_rows += len(rows.codes)

    @property
    def n_failed(self) -> int:
        """How many rows have no vector."""
        return self._failures_of.total()

    @property
    def n_hosts(self) -> int:
        """How many hosts there are; no more than are told apart."""
        return len(self._rows_of)

    def failures(self) -> tuple[Failure, ...]:
        """List the codes, the most frequent first."""
        counts = Counter[str]()
        for (code, _), n in self._failures_of.items():
            counts[code] += n
        return tuple(self._failure(code, n) for code, n in ranked(counts))

    def hosts(self) -> tuple[Host, ...]:
        """List the hosts with the most failures, then those with the most rows."""
        failed = Counter[str]()
        for (_, host), n in self._failures_of.items():
            if host is not None:
                failed[host] += n
        order = sorted(self._rows_of, key=lambda host: (-failed[host], -self._rows_of[host], host))
        return tuple(
            Host(host, self._rows_of[host], failed[host], self._worst(host)) for host in order[:N_LISTED_HOSTS]
        )

    def _counted(self, host: str | None) -> str | None:
        is_known = host is None or host in self._rows_of or len(self._rows_of) < _MAX_HOSTS
        return host if is_known else OTHER_HOSTS

    def _keep(self, code: str, example: Example) -> None:
        examples = self._examples.setdefault(code, [])
        if len(examples) < N_EXAMPLES:
            examples.append(example)

    def _failure(self, code: str, n: int) -> Failure:
        known = code_of(code)
        return Failure(
            code=shortened(code),
            n=n,
            stage=stage_of(code),
            meaning=known.meaning if known else "",
            advice=known.advice if known else "",
            retryable=is_retryable(code),
            hosts=tuple(self._hosts_of(code)),
            examples=tuple(self._examples[code]),
        )

    def _hosts_of(self, code: str) -> Iterator[Count]:
        hosts = {host: n for (found, host), n in self._failures_of.items() if found == code and host is not None}
        yield from (Count(host, n) for host, n in ranked(hosts)[:_N_HOSTS_OF_A_CODE])

    def _worst(self, host: str) -> str | None:
        codes = {code: n for (code, found), n in self._failures_of.items() if found == host}
        return shortened(ranked(codes)[0][0]) if codes else None


def ranked(counts: Counter[str] | dict[str, int]) -> list[tuple[str, int]]:
    """Sort names by their counts, the highest first; equal ones by name."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def shown(cell: Any) -> str:
    """Name a cell without what may be secret in a URL: a query or a user's name; a report is passed around."""
    cell = (cell.get("path") or cell.get("bytes")) if isinstance(cell, dict) else cell
    if not isinstance(cell, str):
        return "" if cell is None else f"{len(cell):,} bytes" if isinstance(cell, bytes) else type(cell).__name__
    path, mark, _ = cell.partition("?")
    return shortened(_CREDENTIALS.sub("//…@", path) + mark + ("…" if mark else ""))


def shortened(text: str) -> str:
    """Cut what a stranger may have made as long as they like."""
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 1] + "…"


def _host(cell: Any) -> str | None:
    return _host_of_origin("/".join(cell.strip().split("/", 3)[:3])) if isinstance(cell, str) else None


@lru_cache(maxsize=1 << 16)
def _host_of_origin(origin: str) -> str | None:
    """Read the host of what stands before a URL's path, which few URLs differ in."""
    try:
        return parse(f"{origin}/").authority
    except FetchError:
        return None
