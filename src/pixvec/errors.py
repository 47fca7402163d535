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
    └── ImageError         bytes came, and no picture came of them
"""

from __future__ import annotations

import re
from typing import Final

_FINAL_CODES: Final = frozenset(
    {
        *("null_input", "invalid_url", "scheme_blocked", "path_blocked", "file_not_found", "opt_out"),
        *("address_blocked", "host_not_found"),
        *("tls_error", "too_many_redirects", "too_many_bytes", "bad_encoding"),
        *("not_an_image", "unsupported_format", "too_many_pixels", "corrupt_image", "decoder_crash"),
    }
)
_RETRYABLE_CODES: Final = frozenset(
    {"file_error", "dns_error", "connect_error", "timeout", "truncated_body", "bad_response"}
)
_HTTP_CODE: Final = re.compile(r"http_(\d{3})")
_RETRYABLE_STATUSES: Final = frozenset({408, 425, 429, *range(500, 600)})


def is_row_code(code: str) -> bool:
    """Tell whether `code` is one of the stable codes a row may carry."""
    return code in _FINAL_CODES or code in _RETRYABLE_CODES or _HTTP_CODE.fullmatch(code) is not None


def is_retryable(code: str) -> bool:
    """Tell whether a row that failed with `code` may succeed at a later time."""
    status = _HTTP_CODE.fullmatch(code)
    return int(status[1]) in _RETRYABLE_STATUSES if status else code in _RETRYABLE_CODES


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
        One of the stable codes (`is_row_code`).
    detail
        One sentence for a person: never bytes of a body, credentials or signed query strings.
    """

    def __init__(self, code: str, detail: str) -> None:
        if not is_row_code(code):
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
    """Bytes came, and no picture came of them."""
