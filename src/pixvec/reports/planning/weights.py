"""How many rows, or how many different URLs, each of a sample stands for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pixvec.reports.planning.survey import Survey
from pixvec.reports.planning.trial import Try


@dataclass(frozen=True, slots=True)
class Weights:
    """What each of a sample stands for."""

    of: Mapping[Try, float]

    @property
    def effective_n(self) -> float:
        """How many of equal weight would say as much."""
        return self._total**2 / sum(weight**2 for weight in self.of.values())

    def of_urls(self) -> Weights:
        """Count different URLs, where these weights count rows."""
        return Weights({one: weight / one.sampled.n_rows for one, weight in self.of.items()})

    def share(self, tries: Iterable[Try]) -> float:
        """Say which part of all some of the sample stand for."""
        return sum(self.of[one] for one in tries) / (self._total or 1)

    def mean(self, values: Mapping[Try, float]) -> float:
        """Average over all what was measured of each of the sample."""
        return sum(weight * values[one] for one, weight in self.of.items()) / (self._total or 1)

    @property
    def _total(self) -> float:
        return sum(self.of.values())


def row_weights(survey: Survey, tries: Iterable[Try]) -> Weights:
    """Divide a host's rows among its URLs in the sample, by the rows that these have."""
    tried = Counter[str | None]()
    for one in tries:
        tried[one.sampled.host] += one.sampled.n_rows
    return Weights(
        {
            one: one.sampled.n_rows * (survey.hosts[host] or tried[host]) / tried[host]
            for one in tries
            for host in [one.sampled.host]
        }
    )
