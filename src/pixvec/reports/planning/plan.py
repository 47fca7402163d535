"""What planning comes to, as frozen values in JSON's types; nothing of how they are found or shown."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rows that will end with one code.

    Parameters
    ----------
    n_rows
        An estimate, but exact where `n_tried` is 0: then their cells say so.
    n_tried
        How many of the sample did.
    example
        One of these, without what may be secret in it.
    """

    code: str
    n_rows: int
    n_tried: int
    retryable: bool
    advice: str
    example: str | None


@dataclass(frozen=True, slots=True)
class HostPlan:
    """A host: its rows, what became of those that were tried, and seconds for one."""

    name: str
    n_rows: int
    n_tried: int
    n_failed: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage will take.

    Parameters
    ----------
    seconds
        For all rows, were it the only stage.
    per_second
        Images that it takes on in a second.
    """

    name: str
    seconds: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will meet and cost; all but what is counted in the column is an estimate.

    Parameters
    ----------
    n_different, is_exact
        How many different URLs there are; an estimate in very long columns.
    vectors_share, vectors_margin
        The share of rows that will have a vector, and how far off that may be, at 95 %.
    formats
        How many images of the sample have each.
    image_bytes, short_side
        Of an image: the mean size, and the median of the shorter side in pixels.
    stages
        Fetch, decode, model.
    seconds_low, seconds_high
        With every repeat saved, and with none saved that may come too late. Servers are waited for meanwhile, but
        decoding and the model share the cores.
    bottleneck
        The stage that sets the pace.
    fetched_bytes
        From the network in all.
    sample_bytes_per_second
        What came in when the sample was fetched.
    memory_bytes
        At the peak, with the model and the decode workers.
    output_bytes, disk_bytes
        Of the table as Parquet; with what waits beside it until it is whole.
    """

    name: str
    column: str
    model: str
    n_rows: int
    n_urls: int
    n_different: int
    is_exact: bool
    n_hosts: int
    n_tried: int
    vectors_share: float
    vectors_margin: float
    outcomes: tuple[Outcome, ...]
    hosts: tuple[HostPlan, ...]
    formats: dict[str, int]
    image_bytes: int
    short_side: int
    stages: tuple[Stage, ...]
    seconds_low: float
    seconds_high: float
    start_s: float
    bottleneck: str
    fetched_bytes: int
    sample_bytes_per_second: float
    memory_bytes: int
    output_bytes: int
    disk_bytes: int
    free_disk_bytes: int

    def as_json(self) -> dict[str, Any]:
        """Give all of it in JSON's types."""
        return asdict(self)
