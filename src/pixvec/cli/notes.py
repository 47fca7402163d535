"""The library's warnings -> lines on stderr, as a command says everything else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pixvec.cli.console import say_problem
from pixvec.errors import PixvecWarning


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
