"""The errors of pixvec, and the codes that say why a row has no vector.

PixvecError
├── UsageError             the caller's mistake, found before any work
│   ├── MissingExtraError  a feature whose packages are not installed
│   └── RecipeError        a recipe that cannot be read or run (in recipe/errors.py)
├── ModelError             a checkpoint that cannot be found, read or run
├── RunError               a run that broke after it had begun
│   └── TooManyFailedError the output is whole, and more rows failed than were allowed (in report.py)
└── RowError               one row has no vector: code, detail, retryable
    ├── FetchError         no bytes came
    └── ImageError         bytes came, and no image came of them
"""

from __future__ import annotations

from pixvec.codes import code_of, is_retryable


class PixvecError(Exception):
    """Every error that pixvec raises on purpose."""


class PixvecWarning(UserWarning):
    """Something the caller should know of and that stops nothing."""


class UsageError(PixvecError):
    """The caller's mistake, found before any work began."""


class MissingExtraError(UsageError):
    """A feature was asked for whose packages are not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs packages that are not installed: pip install "pixvec[{extra}]"')


class ModelError(PixvecError):
    """A checkpoint cannot be found, read or run."""


class RunError(PixvecError):
    """A run broke after it had begun; what was finished is safe."""


class RowError(PixvecError):
    """One row has no vector, and this is why.

    Parameters
    ----------
    code
        One of the stable codes (`pixvec.codes.CODES`).
    detail
        One sentence for a person: never bytes of a body, credentials or signed query strings.
    """

    def __init__(self, code: str, detail: str) -> None:
        if code_of(code) is None:
            raise ValueError(f"{code!r} is no code of a row")
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"

    @property
    def retryable(self) -> bool:
        """Whether the row may succeed at a later time."""
        return is_retryable(self.code)


class FetchError(RowError):
    """No bytes came from a cell."""


class ImageError(RowError):
    """Bytes came, and no image came of them."""
