"""The options of the cache."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pixvec.errors import UsageError
from pixvec.options import Options, option


@dataclass(frozen=True, kw_only=True)
class CacheOptions(Options, group="runs"):
    """Whether rows are remembered across runs, and in how much room.

    Raises
    ------
    UsageError
        For a path that is no folder.
    """

    cache: str | Path | None = option(
        None, "remember vectors in this folder, across runs: next time only what is new or has changed costs anything"
    )
    cache_size: int = option(10_000_000_000, "bytes that the cache may take", minimum=1 << 20)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cache is not None and Path(self.cache).exists() and not Path(self.cache).is_dir():
            raise UsageError(f"`cache={str(self.cache)!r}`: expected a folder, and this is a file")
