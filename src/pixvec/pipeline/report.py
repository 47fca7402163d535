"""What a call did: rows, vectors, failures by cause, where the time went. Counts go in, a text for people comes out."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from pixvec.codes import ANY_SERVER, advice_on
from pixvec.errors import RunError
from pixvec.formatting.text import count

if TYPE_CHECKING:  # its arrays are NumPy's, which no help text should wait for
    from pixvec.values import Row

_BUSY_SHARE = 0.5
"""A stage that was busy for less than this share of the time held nobody up."""
_MAX_TOLD_HOSTS = 100
_MAX_HOSTS = 10_000
"""Hosts that failures are counted by, the first ones; a column may have millions."""


@dataclass(slots=True, repr=False)
class Report:
    """The counts of one call; they grow while it runs."""

    n_rows: int = 0
    n_vectors: int = 0
    n_expected: int | None = None
    """How many rows there will be: known, or estimated by the bytes that are read; None where there is neither."""
    n_resumed: int = 0
    """Rows that an earlier run decided; the other counts of rows have them too, the pace does not."""
    n_repeats: int = 0
    n_cached: int = 0
    """Images that were embedded, or found to be none, by an earlier run."""
    n_bytes: int = 0
    column: str | None = None
    """The column that was embedded, where it is one of a table."""
    is_of_texts: bool = False
    """Whether texts were embedded, which are neither fetched nor decoded."""
    n_cut: int = 0
    """Rows whose text was longer than the model reads."""
    failures: Counter[str] = field(default_factory=Counter)
    failed_hosts: Counter[str] = field(default_factory=Counter)
    liftable: Counter[str] = field(default_factory=Counter)
    """Rows that an earlier run decided, by code, before an option was widened that may lift it."""
    private_addresses: set[str] = field(default_factory=set)
    """Addresses that were dialled and that only an option opens, as ``ADDRESS:PORT``, the first thousand."""
    refused_addresses: set[str] = field(default_factory=set)
    """Addresses of this machine and its networks that URLs named and that were refused, likewise."""
    sandbox_lacks: set[str] = field(default_factory=set)
    """What decoding has to do without, once an image was decoded: layers of the sandbox that this system lacks, or
    "workers" where images are decoded in this process."""
    n_in_progress: int = 0
    """At an end before the last row: rows that were asked for and are not decided."""
    decode_busy: float = 0.0
    model_busy: float = 0.0
    """Seconds that each stage worked, divided by the number of its threads."""
    was_finished: bool = False
    """Whether there was nothing to do."""
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None

    @property
    def n_failed(self) -> int:
        """How many rows have no vector."""
        return self.n_rows - self.n_vectors

    @property
    def n_new(self) -> int:
        """How many rows this call decided."""
        return self.n_rows - self.n_resumed

    @property
    def n_cells(self) -> int:
        """How many rows have a cell that is not empty."""
        return self.n_rows - self.failures["null_input"]

    @property
    def main_reason(self) -> str | None:
        """The code of most of the rows with a cell; None where no code is that of most."""
        codes = [(n, code) for code, n in self.failures.items() if code != "null_input" and 2 * n > self.n_cells]
        return codes[0][1] if codes else None

    @property
    def advice(self) -> str | None:
        """What helps against the code of most rows; None where there is no such code, or that help is given already."""
        is_lifted = self.main_reason in self.liftable
        advice = advice_on(self.main_reason) if self.main_reason and not is_lifted else None
        if advice and len(self.refused_addresses) == 1:
            return advice.replace(ANY_SERVER, next(iter(self.refused_addresses)))
        return advice

    @property
    def seconds(self) -> float:
        """Seconds since the start, or from start to end."""
        return (self.ended or time.monotonic()) - self.started

    @property
    def rows_per_second(self) -> float:
        """Rows decided in a second."""
        return self.n_new / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Seconds until all rows are decided, at the pace so far; None where nothing tells."""
        if self.n_expected is None or not self.n_new:
            return None
        return (self.n_expected - self.n_rows) / self.rows_per_second

    @property
    def bottleneck(self) -> str:
        """The stage that set the pace: model, decode or fetch."""
        name, busy = max(("model", self.model_busy), ("decode", self.decode_busy), key=lambda stage: stage[1])
        return name if busy > _BUSY_SHARE * self.seconds else "fetch"

    def end(self) -> Self:
        """Stop the clock."""
        self.ended = time.monotonic()
        return self

    def resume(self, n_rows: int, failures: Mapping[str, int], *, lifted: Collection[str] = ()) -> None:
        """Count rows that an earlier run decided; before new ones are. Codes are `lifted` where more is allowed now."""
        self.liftable.update({code: n for code, n in failures.items() if code in lifted})
        self.n_resumed += n_rows
        self.n_rows += n_rows
        self.n_vectors += n_rows - sum(failures.values())
        self.failures.update(failures)

    def count(self, row: Row, host: str | None) -> None:
        """Count one decided row."""
        self.n_rows += 1
        if row.error is None:
            self.n_vectors += 1
            return
        self.failures[row.error] += 1
        if host and (host in self.failed_hosts or len(self.failed_hosts) < _MAX_HOSTS):
            self.failed_hosts[host] += 1

    def count_model_time(self, seconds: float) -> None:
        """Count time that the model worked for this call."""
        self.model_busy += seconds

    def as_json(self) -> dict[str, Any]:
        """Give the counts in JSON's types, the most frequent causes first."""
        counts = ("n_rows", "n_vectors", "n_failed", "n_resumed", "n_repeats", "n_cached", "n_cut", "n_bytes")
        return {
            **{name: getattr(self, name) for name in counts},
            "failures": dict(self.failures.most_common()),
            "failed_hosts": dict(self.failed_hosts.most_common(_MAX_TOLD_HOSTS)),
            "main_reason": self.main_reason,
            "liftable": dict(self.liftable.most_common()),
            "private_addresses": sorted(self.private_addresses),
            "seconds": round(self.seconds, 3),
            "was_finished": self.was_finished,
        }

    def __repr__(self) -> str:
        failed = f", {self.n_failed:,} without a vector ({most_common(self.failures, 3)})" if self.n_failed else ""
        return f"<pixvec.Report of {count(self.n_rows, 'row')}{failed}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        """Say it for a person, in a few lines."""
        lines = [
            f"column: {self.column}" if self.column is not None else "",
            f"{count(self.n_rows, 'row')}: {count(self.n_vectors, 'vector')}, {self.n_failed:,} without",
            f"decided by earlier runs: {self.n_resumed:,}" if self.n_resumed else "",
            f"failures: {most_common(self.failures)}" if self.failures else "",
            f"failed at: {most_common(self.failed_hosts)}" if self.failed_hosts else "",
            *(self._work() if self.n_new else []),
            self._liftable() if self.liftable else "",
            f"most rows failed with {self.main_reason}. {self.advice}" if self.advice else "",
            f"private addresses dialled: {listed(self.private_addresses)}" if self.private_addresses else "",
            f"cut at the model's length: {count(self.n_cut, 'text')}" if self.n_cut else "",
            f"known from the cache: {count(self.n_cached, 'image')}" if self.n_cached else "",
        ]
        return "\n".join(filter(None, lines))

    def _liftable(self) -> str:
        return f"decided under narrower options: {most_common(self.liftable)}; `retry_failed=True` embeds them again"

    def _work(self) -> tuple[str, str]:
        """Say what this call did, which is nothing where all rows were decided."""
        pace, repeats = f"{self.seconds:.1f} s, {self.rows_per_second:.1f} rows/s", f"{self.n_repeats:,} repeats saved"
        if self.is_of_texts:
            return pace, repeats
        return f"{pace}, bottleneck: {self.bottleneck}", f"{self.n_bytes / 1e6:,.1f} MB fetched, {repeats}"


OnProgress: TypeAlias = Callable[[Report], None]
"""What a call tells its report to while it runs."""


def counting_rows(tell: OnProgress) -> Callable[[int, int], None]:
    """Tell of work that counts its rows and nothing else."""
    report = Report()

    def count(n_done: int, n_rows: int) -> None:
        report.n_rows = report.n_vectors = n_done
        report.n_expected = n_rows
        tell(report)

    return count


def most_common(counts: Counter[str], most: int = 8) -> str:
    """List names with their counts, the highest first; equal ones by name, since arrival has no order of its own."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return _first([f"{name} {n:,}" for name, n in ranked], most)


def listed(names: Iterable[str], most: int = 8) -> str:
    """List names in the order of their letters."""
    return _first(sorted(names), most)


def _first(names: list[str], most: int) -> str:
    return ", ".join([*names[:most], f"and {len(names) - most:,} more"] if len(names) > most else names)


class TooManyFailedError(RunError):
    """The output is whole, and more of its rows failed than were allowed; or all that have a cell.

    Parameters
    ----------
    output
        The file that was written.
    report
        What happened.
    allowed
        How many rows were allowed to fail, as the caller said it; None where nothing was said.
    """

    def __init__(self, output: Path, report: Report, allowed: object) -> None:
        if report.n_vectors or not report.n_cells:
            failed = f"{report.n_failed:,} of {report.n_rows:,} rows have no vector"
            way_on = f"more than `max_failed={allowed!r}` allows"
        else:
            failed = f"none of its {report.n_rows:,} rows has a vector"
            way_on = "which only `max_failed='100%'` allows"
        super().__init__(f"{output} is written, but {failed}, {way_on}")
        self.report = report


class BugsMetError(RunError):
    """The output is whole, and some of its rows met a bug: they were kept as ``internal_error``.

    Parameters
    ----------
    output
        The file that was written.
    report
        What happened.
    """

    def __init__(self, output: Path, report: Report) -> None:
        n = report.failures["internal_error"]
        super().__init__(f"{output} is written, but a bug of pixvec's was met in {n:,} of its rows: please report it")
        self.report = report
