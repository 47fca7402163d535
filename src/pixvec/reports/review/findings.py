"""What a review comes to, as frozen values in JSON's types: counts, examples, shares; nothing of how they are shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from pixvec.codes import code_of
from pixvec.formatting.bidi import ascii_url

UNKNOWN_STAGE = "other"


@dataclass(frozen=True, slots=True)
class Count:
    """How many there are of something."""

    name: str
    n: int


@dataclass(frozen=True, slots=True)
class Example:
    """One row, numbered from 0: its cell without what may be secret in it, and the sentence beside its code."""

    row: int
    cell: str
    detail: str

    @property
    def href(self) -> str | None:
        """Where a click may lead: a whole URL, of http or https."""
        is_url = self.cell.lower().startswith(("http://", "https://"))
        return ascii_url(self.cell) if is_url and "…" not in self.cell else None


@dataclass(frozen=True, slots=True)
class Failure:
    """The rows that one code explains.

    Parameters
    ----------
    stage, meaning, advice
        As in `codes`; ``other`` and empty for a code that is none of pixvec's.
    retryable
        Whether `--retry-failed` asks again.
    hosts
        Where it happened most.
    examples
        The first of the rows.
    """

    code: str
    n: int
    stage: str
    meaning: str
    advice: str
    retryable: bool
    hosts: tuple[Count, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Host:
    """A host, its rows, how many have no vector, and the code that most of these have."""

    name: str
    n_rows: int
    n_failed: int
    worst: str | None


@dataclass(frozen=True, slots=True)
class SharedImage:
    """One file that came from many different URLs: often what a site shows for an image that is gone.

    Parameters
    ----------
    n_rows, n_urls
        The rows it was embedded for, and how many different cells these have.
    final_url
        Where the first of them was redirected to; None where it was not.
    examples
        The first of the rows.
    """

    sha256: str
    format: str
    width: int
    height: int
    n_bytes: int
    n_rows: int
    n_urls: int
    final_url: str | None
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Images:
    """What was embedded.

    Parameters
    ----------
    formats
        Rows of each, the most frequent first.
    short_sides
        Rows by the shorter side in pixels, the smallest first.
    n_files, n_bytes
        How many different files, and their bytes: those of a file that comes again count once.
    n_redirected, n_animated
        Rows whose image came from another URL than the cell's; rows whose file has several frames.
    shared
        Files behind many URLs, the most rows first.
    n_shared
        How many there are, listed or not.
    """

    formats: tuple[Count, ...]
    short_sides: tuple[Count, ...]
    n_files: int
    n_bytes: int
    n_redirected: int
    n_animated: int
    shared: tuple[SharedImage, ...]
    n_shared: int


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a run: seconds of work at its start and end, and the rows that were decided in it."""

    start_s: float
    end_s: float
    n_vectors: int
    n_failed: int

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s

    @property
    def rows_per_second(self) -> float:
        """Rows decided in a second."""
        return (self.n_vectors + self.n_failed) / self.seconds


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run went over time; pauses between a stop and the next start are left out.

    Parameters
    ----------
    spans
        Of equal length, in order.
    n_starts
        How many times the run was started.
    decode_busy, model_busy
        The share of the time that each worked; 0 where the log does not say.
    """

    seconds: float
    n_rows: int
    n_starts: int
    decode_busy: float
    model_busy: float
    spans: tuple[Span, ...]

    @property
    def rows_per_second(self) -> float:
        """Rows decided in a second of work."""
        return self.n_rows / self.seconds


@dataclass(frozen=True, slots=True)
class Review:
    """What happened to a table's rows, and why.

    Parameters
    ----------
    name
        The table's.
    column
        The column of URLs; None where nothing says which it is: then hosts and repeats are not known.
    n_urls
        How many different cells there are, empty ones aside.
    hosts
        Those with the most failures, then those with the most rows.
    images
        None where the table does not say what was embedded.
    provenance
        What the vectors were made with; None where nothing says so.
    pace
        None where there is no log.
    """

    name: str
    column: str | None
    n_rows: int
    n_vectors: int
    n_urls: int
    n_repeats: int
    failures: tuple[Failure, ...]
    hosts: tuple[Host, ...]
    n_hosts: int
    images: Images | None
    provenance: dict[str, Any] | None
    pace: Pace | None

    @property
    def n_failed(self) -> int:
        """How many rows have no vector."""
        return self.n_rows - self.n_vectors

    @property
    def n_retryable(self) -> int:
        """How many rows may succeed at a later time."""
        return sum(failure.n for failure in self.failures if failure.retryable)

    def as_json(self) -> dict[str, Any]:
        """Give all of it in JSON's types."""
        return {**asdict(self), "n_failed": self.n_failed, "n_retryable": self.n_retryable}


def stage_of(code: str) -> str:
    """Say where in the pipeline a row ended."""
    known = code_of(code)
    return known.stage if known else UNKNOWN_STAGE
