"""What the command line sets on its own process, and the library on no program that calls it."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

from pixvec.images.sandbox import forbid_attaching

_OPEN_FILES: Final = 8_192
"""Room for all connections, twice, and for whatever else a run opens; macOS allows 256 by default."""


def prepare_process() -> None:
    """Let this process open as many files as a run may need, and let no other process of this user look into it."""
    _raise_file_limit()
    forbid_attaching()


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):  # some systems have a limit of their own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
