"""A plan -> a few lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pixvec.formatting.text import count, duration, share, size
from pixvec.reports.planning.plan import HostPlan, Outcome, Plan

_N_HOSTS: Final = 5
_INDENT: Final = " " * 12


def plan_text(plan: Plan) -> str:
    """Say what a run will meet and cost; the caller shows control characters as such."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    yield f"{plan.name}, column {plan.column}: {count(plan.n_rows, 'row')}, tried {count(plan.n_tried, 'URL')}"
    yield f"\nURLs        {_urls(plan)}"
    for place, host in enumerate(plan.hosts[:_N_HOSTS]):
        yield f"{_INDENT if place else 'hosts       '}{_host(host)}"
    if plan.n_hosts > _N_HOSTS:
        yield f"{_INDENT}and {plan.n_hosts - _N_HOSTS:,} more"
    yield f"\nvectors     {_vectors(plan)}"
    for place, outcome in enumerate(plan.outcomes):
        yield f"{_INDENT if place else 'without     '}{_outcome(outcome)}"
    if plan.formats:
        yield f"images    {_images(plan)}"
    yield ""
    for stage in plan.stages:
        yield f"{stage.name:<12}{stage.per_second:,.1f}/s, {duration(stage.seconds)} in all"
    yield f"bottleneck  {plan.bottleneck}"
    yield f"time        {_time(plan)}"
    yield f"network     {_network(plan)}"
    yield f"memory      about {size(plan.memory_bytes)} at the peak, with the model {plan.model}"
    yield f"disk        {_disk(plan)}"


def _urls(plan: Plan) -> str:
    about = "" if plan.is_exact else "about "
    repeats = plan.n_urls - plan.n_different
    counts = f"{plan.n_urls:,}: {about}{plan.n_different:,} different, {about}{count(repeats, 'repeat')}"
    return f"{counts}; {count(plan.n_hosts, 'host')}"


def _host(host: HostPlan) -> str:
    tried = f"tried {host.n_tried:,}, {host.n_failed:,} failed" if host.n_tried else "not tried"
    seconds = f", {host.seconds:.2f} s for one" if host.seconds is not None else ""
    return f"{host.name}: {count(host.n_rows, 'row')}; {tried}{seconds}"


def _vectors(plan: Plan) -> str:
    margin = f", give or take {100 * plan.vectors_margin:.1f}" if plan.vectors_margin else ""
    return f"about {round(plan.vectors_share * plan.n_rows):,} ({share(plan.vectors_share, 1)}{margin})"


def _outcome(outcome: Outcome) -> str:
    if not outcome.n_tried:
        return f"{outcome.code}: {count(outcome.n_rows, 'row')}"
    later = "; may succeed later" if outcome.retryable else ""
    return (
        f"{outcome.code}: about {count(outcome.n_rows, 'row')} ({outcome.n_tried:,} tried){later}; as {outcome.example}"
    )


def _images(plan: Plan) -> str:
    formats = ", ".join(f"{name} {n:,}" for name, n in plan.formats.items())
    return f"{formats}; mean {size(plan.image_bytes)}, shorter side {plan.short_side:,} pixels at the median"


def _time(plan: Plan) -> str:
    low, high = duration(plan.seconds_low), duration(plan.seconds_high)
    return f"about {low}" if low == high else f"{low} to {high}"


def _network(plan: Plan) -> str:
    needed = plan.fetched_bytes / max(plan.seconds_low, 1e-9)
    line = f"{size(plan.fetched_bytes)}, {size(needed)} in a second at that pace"
    if needed > plan.sample_bytes_per_second:
        line += f"; the sample came at {size(plan.sample_bytes_per_second)}: the network may be slower than that"
    return line


def _disk(plan: Plan) -> str:
    line = f"{size(plan.disk_bytes)} until done, then {size(plan.output_bytes)} as Parquet"
    return line if plan.disk_bytes < plan.free_disk_bytes else f"{line}; only {size(plan.free_disk_bytes)} are free"
