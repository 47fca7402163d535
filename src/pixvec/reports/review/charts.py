"""Counts -> where things are drawn: the numbers of a chart, and no mark of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pixvec.codes import CODES
from pixvec.formatting.text import duration
from pixvec.reports.review.findings import UNKNOWN_STAGE, Pace, Review, Span

VECTORS: Final = "vectors"
RATE_WIDTH, RATE_HEIGHT = 960, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 12, 28
_GAP_SHARE, _MAX_GAP = 0.15, 4.0
"""What is left free between columns: a share of their width, but not much."""
_STEPS_S: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400)


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: its stage, how many rows, and where it begins and how long it is, in percent."""

    stage: str
    n: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Column:
    """A span of a run: its place, the heights of its vectors and failures, and its words."""

    x: float
    width: float
    vectors_height: float
    failed_height: float
    text: str

    @property
    def vectors_y(self) -> float:
        """Where its vectors begin."""
        return RATE_HEIGHT - _BOTTOM - self.vectors_height

    @property
    def failed_y(self) -> float:
        """Where its failures begin, on top of the vectors."""
        return self.vectors_y - self.failed_height


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class RateChart:
    """Rows in a second, over time."""

    columns: tuple[Column, ...]
    rates: tuple[Tick, ...]
    times: tuple[Tick, ...]
    width: int = RATE_WIDTH
    height: int = RATE_HEIGHT
    left: int = _LEFT
    right: int = RATE_WIDTH - _RIGHT
    bottom: int = RATE_HEIGHT - _BOTTOM


def outcome_bar(review: Review) -> tuple[Segment, ...]:
    """Divide all rows: vectors, then failures in the order of the pipeline."""
    counts = Counter({VECTORS: review.n_vectors})
    for failure in review.failures:
        counts[failure.stage] += failure.n
    stages = [VECTORS, *dict.fromkeys(code.stage for code in CODES.values()), UNKNOWN_STAGE]
    return segments((stage, counts[stage]) for stage in stages)


def segments(counts: Iterable[tuple[str, int]]) -> tuple[Segment, ...]:
    """Divide a bar by counts; what has none is left out."""
    shown = [(stage, n) for stage, n in counts if n]
    total = sum(n for _, n in shown)
    made, done = [], 0
    for stage, n in shown:
        made.append(Segment(stage, n, 100 * done / total, 100 * n / total))
        done += n
    return tuple(made)


def rate_chart(pace: Pace) -> RateChart:
    """Draw rows in a second over time, a column for each span."""
    step, top = _rate_scale(max(span.rows_per_second for span in pace.spans))
    height, width = RATE_HEIGHT - _TOP - _BOTTOM, RATE_WIDTH - _LEFT - _RIGHT
    per_second = width / pace.seconds
    return RateChart(
        columns=tuple(_column(span, per_second, height / top) for span in pace.spans),
        rates=tuple(
            Tick(RATE_HEIGHT - _BOTTOM - height * n * step / top, f"{n * step:g}") for n in range(round(top / step) + 1)
        ),
        times=tuple(Tick(_LEFT + second * per_second, duration(second)) for second in _times(pace.seconds)),
    )


def _column(span: Span, per_second: float, per_rate: float) -> Column:
    width = span.seconds * per_second
    gap = min(_GAP_SHARE * width, _MAX_GAP)
    return Column(
        x=_LEFT + span.start_s * per_second + gap / 2,
        width=width - gap,
        vectors_height=span.n_vectors / span.seconds * per_rate,
        failed_height=span.n_failed / span.seconds * per_rate,
        text=f"{duration(span.start_s)} to {duration(span.end_s)}: {span.rows_per_second:.1f} rows/s, "
        f"{span.n_failed:,} without a vector",
    )


def _rate_scale(highest: float) -> tuple[float, float]:
    """Choose the step of the axis and its top: round numbers, three to five of them."""
    rough = max(highest, 1e-3) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    return step, step * math.ceil(max(highest, 1e-3) / step)


def _times(seconds: float) -> list[int]:
    step = next((step for step in _STEPS_S if seconds / step <= 8), 86_400 * math.ceil(seconds / 86_400 / 8))
    return list(range(0, math.floor(seconds) + 1, step))
