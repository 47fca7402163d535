"""The library's warnings and log -> lines on stderr, as a command says everything else."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pixvec.cli.console import say_note, say_problem
from pixvec.errors import PixvecWarning


class _Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say = say_note if record.levelno < logging.WARNING else say_problem
        say(record.getMessage())


@contextmanager
def saying_log(*, quiet: bool) -> Iterator[None]:
    """Say what the library logs while the block runs: which column it takes, what it does otherwise than asked."""
    logger, handler = logging.getLogger("pixvec"), _Lines(logging.WARNING if quiet else logging.INFO)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(logging.INFO, logger.getEffectiveLevel()))
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextmanager
def saying_warnings() -> Iterator[None]:
    """Say warnings of ours in one line each, when the block ends."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PixvecWarning)
        try:
            yield
        finally:
            for warning in caught:
                if issubclass(warning.category, PixvecWarning):
                    say_problem(str(warning.message))
