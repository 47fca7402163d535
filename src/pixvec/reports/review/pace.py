"""A run's log -> how it went over time.

Each line says, in JSON, how many seconds after its start (``t``) a run had decided how many rows (``rows``) with how
many vectors (``vectors``), those of earlier starts included, and which share of the time decoding and the model worked
(``decode_busy``, ``model_busy``). A start begins again at second 0, with a line whose ``event`` says so. Lines that say
something else, or were cut off, are passed over.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from pixvec.errors import UsageError
from pixvec.files.own import beside
from pixvec.files.untrusted import parse_json
from pixvec.reports.review.findings import Pace, Span
from pixvec.run.log import log_path

N_SPANS: Final = 60
_MAX_LOG_BYTES: Final = 32 << 20
"""Of a run of weeks; of a longer log its beginning is read."""
_MAX_LINE_CHARS: Final = 1 << 16
_MIN_S: Final = 0.001
"""A run that took no longer has no pace."""
_LOGGER: Final = logging.getLogger("pixvec")


@dataclass(frozen=True, slots=True)
class _Mark:
    """A line of the log; the busy times in seconds."""

    t: float
    rows: int
    vectors: int
    decode_s: float = 0.0
    model_s: float = 0.0
    is_start: bool = False


def read_pace(table: Path) -> Pace | None:
    """Read the log beside a table; None where there is none, or nothing in it."""
    try:
        with (
            beside(table) as folder,
            folder.read(log_path(table.resolve()).name, of_anyone=True) as opened,
        ):
            content = opened.read(_MAX_LOG_BYTES)
    except FileNotFoundError:
        return None
    except (OSError, UsageError) as error:
        _LOGGER.warning("the log beside %s is left aside: %s", table, error)
        return None
    log = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="replace")
    return _pace(_marks(iter(lambda: log.readline(_MAX_LINE_CHARS), "")))


def _pace(marks: Iterable[_Mark]) -> Pace | None:
    """Join the starts of a run to one stretch of work, and cut that into spans of equal length."""
    points, n_starts = _joined(marks)
    last = points[-1]
    if last.t < _MIN_S:
        return None
    edges = np.linspace(0, last.t, min(N_SPANS, len(points) - 1) + 1).tolist()
    vectors = _decided(edges, points, [point.vectors for point in points])
    failed = _decided(edges, points, [point.rows - point.vectors for point in points])
    spans = tuple(Span(*ends, *decided) for ends, *decided in zip(pairwise(edges), vectors, failed, strict=True))
    return Pace(last.t, last.rows, n_starts, last.decode_s / last.t, last.model_s / last.t, spans)


def _decided(edges: list[float], points: list[_Mark], counts: list[int]) -> list[int]:
    """Say how many rows were decided between edges, where a count grew as the points say."""
    grown: list[float] = np.interp(edges[1:], [point.t for point in points], counts).tolist()
    return [round(end) - round(start) for start, end in pairwise([0.0, *grown])]


def _joined(marks: Iterable[_Mark]) -> tuple[list[_Mark], int]:
    """Add up what the starts say, and count them; rows that were lost between two of them come but once."""
    points, n_starts, before, base = [_Mark(0, 0, 0)], 0, math.inf, _Mark(0, 0, 0)
    for mark in marks:
        if mark.is_start or mark.t < before:
            n_starts, base = n_starts + 1, points[-1]
        before = mark.t
        points.append(_after(base, points[-1], mark))
    return points, n_starts


def _after(base: _Mark, last: _Mark, mark: _Mark) -> _Mark:
    rows = max(mark.rows, last.rows)
    return replace(
        mark,
        t=base.t + mark.t,
        rows=rows,
        vectors=min(max(mark.vectors, last.vectors), rows, rows - (last.rows - last.vectors)),
        decode_s=base.decode_s + mark.decode_s,
        model_s=base.model_s + mark.model_s,
    )


def _marks(lines: Iterable[str]) -> Iterator[_Mark]:
    for line in lines:
        try:
            said = parse_json(line)
        except ValueError:
            continue
        if isinstance(said, dict) and all(_is_count(said.get(name)) for name in ("t", "rows", "vectors")):
            t, decode_s, model_s = float(said["t"]), _share(said, "decode_busy"), _share(said, "model_busy")
            is_start = said.get("event") == "start"
            yield _Mark(t, int(said["rows"]), int(said["vectors"]), decode_s * t, model_s * t, is_start)


def _is_count(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and 0 <= value < 1e15


def _share(said: dict[str, Any], name: str) -> float:
    return min(float(said[name]), 1.0) if _is_count(said.get(name)) else 0.0
