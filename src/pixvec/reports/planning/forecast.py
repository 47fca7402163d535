"""A survey and what a sample of it came to -> what a run will meet and cost.

A host's sampled URLs stand for all rows of that host, each for as many as its URL has rows; and all of them together
for the hosts that were not sampled.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, median
from typing import Final

from pixvec.codes import code_of, is_retryable
from pixvec.fetch import FetchOptions, redacted
from pixvec.pipeline.window import WAITING_ROWS
from pixvec.reports.planning.plan import HostPlan, Outcome, Plan, Stage
from pixvec.reports.planning.survey import Survey
from pixvec.reports.planning.trial import ModelPace, Trial, Try
from pixvec.reports.planning.weights import Weights, row_weights

N_LISTED_HOSTS: Final = 10
_Z: Final = 1.96
"""Of 95 % confidence."""
_ROW_BYTES: Final = 600
"""Of a decided row that waits, its vector aside."""
_FACTS_BYTES: Final = 90
"""What a row takes in the output beside its vector: above all the hash of its image."""
_WORKER_BYTES, _PIXEL_BYTES = 30 << 20, 8
"""Of a decode worker, and of each pixel that it holds; measured, as the system gives a child its parent's peak."""
_PACKED: Final = 0.92
"""What zstd leaves of vectors."""
_UNREACHABLE: Final = frozenset({"host_not_found", "dns_error", "connect_error", "timeout", "tls_error"})


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured of this process and of the disk, in bytes."""

    memory_bytes: int
    free_disk_bytes: int


class Forecast:
    """What follows from a survey and a trial.

    Parameters
    ----------
    options
        Of the run.
    dim
        How many numbers a vector has.
    input_bytes
        The size of the table.
    """

    def __init__(
        self, survey: Survey, trial: Trial, pace: ModelPace, options: FetchOptions, *, dim: int, input_bytes: int
    ) -> None:
        self._survey, self._trial, self._pace, self._options = survey, trial, pace, options
        self._dim, self._input_bytes = dim, input_bytes
        self._rows = row_weights(survey, trial.tries)
        self._urls = self._rows.of_urls()
        self._decoded = [one for one in trial.tries if one.image is not None]
        self._share = self._rows.share(self._decoded)

    def plan(self, machine: Machine, *, name: str, column: str, model: str) -> Plan:
        """Put it all together."""
        survey, trial = self._survey, self._trial
        fewest = self._stages(survey.n_different, self._urls)
        most, n_most = (fewest, survey.n_different) if survey.n_different <= WAITING_ROWS else self._unsaved()
        bodies = {one: one.n_bytes for one in trial.tries}
        n_vectors = round(self._share * survey.n_urls)
        results = n_vectors * self._dim * 4 * _PACKED + survey.n_rows * _FACTS_BYTES
        return Plan(
            name=name,
            column=column,
            model=model,
            n_rows=survey.n_rows,
            n_urls=survey.n_urls,
            n_different=survey.n_different,
            is_exact=survey.is_exact,
            n_hosts=survey.n_hosts,
            n_tried=len(trial.tries),
            vectors_share=n_vectors / max(survey.n_rows, 1),
            vectors_margin=self._margin() * survey.n_urls / max(survey.n_rows, 1),
            outcomes=self._outcomes(),
            hosts=tuple(self._hosts()),
            formats=dict(Counter(one.image.format for one in self._decoded if one.image).most_common()),
            image_bytes=round(_mean(one.n_bytes for one in self._decoded)),
            short_side=round(median(_short_sides(self._decoded) or [0])),
            stages=fewest,
            seconds_low=self._pace.start_s + self._seconds(fewest, survey.n_different),
            seconds_high=self._pace.start_s + self._seconds(most, n_most),
            start_s=self._pace.start_s,
            bottleneck=max(fewest, key=lambda stage: stage.seconds).name,
            fetched_bytes=round(self._urls.mean(bodies) * survey.n_different),
            sample_bytes_per_second=sum(bodies.values()) / max(trial.fetching_s, 1e-9),
            memory_bytes=self._memory(machine, max(bodies.values(), default=0)),
            output_bytes=round(results + self._input_bytes),
            disk_bytes=round(2 * results + self._input_bytes),
            free_disk_bytes=machine.free_disk_bytes,
        )

    def _stages(self, n_urls: int, weights: Weights) -> tuple[Stage, Stage, Stage]:
        """Say what each stage takes for so many URLs, of which the sample stands for each by its weight."""
        n_images = weights.share(self._decoded) * n_urls
        decode_s = _mean(one.decode_s or 0 for one in self._decoded) / self._trial.n_decode_threads
        fetching_s = self._fetching_s(n_urls, weights)
        return (
            Stage("fetch", fetching_s, n_urls / fetching_s if fetching_s else 0.0),
            Stage("decode", n_images * decode_s, 1 / decode_s if decode_s else 0.0),
            Stage("model", n_images / self._pace.images_per_second, self._pace.images_per_second),
        )

    def _unsaved(self) -> tuple[tuple[Stage, Stage, Stage], int]:
        """Say what they take where no repeat is saved; a run saves those of the URLs that it met last."""
        return self._stages(self._survey.n_urls, self._rows), self._survey.n_urls

    def _seconds(self, stages: tuple[Stage, Stage, Stage], n_urls: int) -> float:
        """Say what they take together: servers are waited for meanwhile, but decoding and the model share all cores."""
        fetch, decode, model = stages
        own_s = n_urls * self._trial.url_cpu_s / self._trial.n_decode_threads
        return max(fetch.seconds, decode.seconds + model.seconds + own_s)

    def _fetching_s(self, n_urls: int, weights: Weights) -> float:
        """Say how long fetching takes: all connections are busy, or the host that takes longest, or this process."""
        seconds = weights.mean({one: one.fetch_s for one in self._trial.tries})
        in_all = n_urls * seconds / self._options.connections
        part = n_urls / max(self._survey.n_urls, 1)
        at_hosts = [
            part * host.n_rows * self._row_s(host.name, host.seconds)
            for host in self._all_hosts()
            if host.seconds is not None
        ]
        return max([in_all, n_urls * self._trial.url_cpu_s, *at_hosts])

    def _row_s(self, host: str, seconds: float) -> float:
        """Return how long a row keeps the next one of its host waiting, with as many at once as the host bears."""
        return max(seconds / self._options.connections_per_host, 1 / self._trial.per_second.get(host, math.inf))

    def _outcomes(self) -> tuple[Outcome, ...]:
        tried: defaultdict[str, list[Try]] = defaultdict(list)
        for one in self._trial.tries:
            if one.code is not None:
                tried[one.code].append(one)
        estimated = {code: round(self._rows.share(tries) * self._survey.n_urls) for code, tries in tried.items()}
        counts = Counter(self._survey.refused) + Counter(estimated)
        return tuple(_outcome(code, n, tried[code]) for code, n in sorted(counts.items(), key=lambda it: (-it[1], it)))

    def _hosts(self) -> list[HostPlan]:
        return sorted(self._all_hosts(), key=lambda host: (-host.n_rows, host.name))[:N_LISTED_HOSTS]

    def _all_hosts(self) -> Iterable[HostPlan]:
        tried: defaultdict[str | None, list[Try]] = defaultdict(list)
        for one in self._trial.tries:
            tried[one.sampled.host].append(one)
        for host, n_rows in self._survey.hosts.items():
            if host is not None:
                yield _host(host, n_rows, tried[host])

    def _memory(self, machine: Machine, largest: int) -> int:
        waiting = min(self._survey.n_urls, WAITING_ROWS) * (self._dim * 4 + _ROW_BYTES)
        bodies = min(self._options.max_bytes_in_flight, self._options.connections * largest)
        pixels = max((one.image.width * one.image.height for one in self._decoded if one.image), default=0)
        worker = _WORKER_BYTES + pixels * _PIXEL_BYTES
        return machine.memory_bytes + waiting + bodies + self._trial.n_decode_threads * worker

    def _margin(self) -> float:
        if not self._trial.tries or len(self._trial.tries) >= self._survey.n_different:
            return 0.0
        n = self._rows.effective_n
        return _Z * math.sqrt(max(self._share * (1 - self._share), 1 / (4 * n)) / n)


def _outcome(code: str, n_rows: int, tries: list[Try]) -> Outcome:
    known = code_of(code)
    example = _name(tries[0]) if tries else None
    return Outcome(code, n_rows, len(tries), is_retryable(code), known.advice if known else "", example)


def _name(one: Try) -> str:
    """Name what was tried, without what may be secret in a URL."""
    return one.sampled.cell if one.sampled.host is None else redacted(one.sampled.cell)


def _host(name: str, n_rows: int, tries: list[Try]) -> HostPlan:
    """Sum up a host; one that never answered costs next to nothing, since its rows are decided at once."""
    failed = [one for one in tries if one.code is not None]
    is_down = bool(tries) and all(one.code in _UNREACHABLE for one in tries)
    seconds = None if is_down or not tries else fmean(one.fetch_s for one in tries)
    return HostPlan(name, n_rows, len(tries), len(failed), seconds)


def _short_sides(decoded: Iterable[Try]) -> list[int]:
    return [min(one.image.width, one.image.height) for one in decoded if one.image]


def _mean(values: Iterable[float]) -> float:
    return fmean(listed) if (listed := list(values)) else 0.0
