"""What a server names the state of an image by, so that it can be asked whether that is still its state.

In: the headers of answers. Out: the headers of conditional requests.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp

from pixvec.fetch.url import URL

_ETAG: Final = re.compile(r'(W/)?"[\x21\x23-\x7e]{0,1000}"')
_DATE: Final = re.compile(r"[\x20-\x7e]{1,60}")
_SETTLED: Final = timedelta(seconds=60)
"""An image may change twice in a second, and clocks be apart (RFC 9110, section 8.8.2.2)."""


@dataclass(frozen=True, slots=True)
class Validators:
    """What one answer was named by.

    Parameters
    ----------
    place
        The hash of the URL that answered, at the end of all redirects: nobody else is asked with them.
    etag, last_modified
        The headers; at least one is there.
    """

    place: str
    etag: str | None
    last_modified: str | None

    def condition(self, url: URL) -> dict[str, str]:
        """Return the headers that ask for bytes only if they are others; none where another URL had answered."""
        if self.place != _place(url):
            return {}
        headers = {"If-None-Match": self.etag, "If-Modified-Since": self.last_modified}
        return {name: value for name, value in headers.items() if value}

    def agree_with(self, headers: Mapping[str, str]) -> bool:
        """Tell whether an answer speaks of the same state, or does not say."""
        if self.etag:
            return _opaque(headers.get("ETag", self.etag)) == _opaque(self.etag)
        return headers.get("Last-Modified", self.last_modified) == self.last_modified


def read_validators(url: URL, response: aiohttp.ClientResponse) -> Validators | None:
    """Find what to ask for an image with next time; None where there is nothing, or it is not to be remembered.

    One with X-Robots-Tag is not: the answer that all is as it was need not repeat it.
    """
    headers = response.headers
    wishes = {wish.strip().lower() for line in headers.getall("Cache-Control", ()) for wish in line.split(",")}
    if "X-Robots-Tag" in headers or "no-store" in wishes or headers.get("Vary", "").strip() == "*":
        return None
    etag = headers.get("ETag", "")
    found = Validators(_place(url), etag if _ETAG.fullmatch(etag) else None, _settled_date(headers))
    return found if found.etag or found.last_modified else None


def _settled_date(headers: Mapping[str, str]) -> str | None:
    """Return Last-Modified where it lay well before the answer: one second may have had two images."""
    text = headers.get("Last-Modified", "")
    modified, now = _read_date(text), _read_date(headers.get("Date", "")) or datetime.now(UTC)
    return text if modified and now - modified >= _SETTLED else None


def _read_date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text) if _DATE.fullmatch(text) else None
    except (ValueError, OverflowError):
        return None
    return date if date is None or date.tzinfo else date.replace(tzinfo=UTC)


def _opaque(etag: str) -> str:
    """Drop the mark of weakness, which a server may add on its way: these are compared weakly (RFC 9110, 13.1.2)."""
    return etag.removeprefix("W/")


def _place(url: URL) -> str:
    return hashlib.blake2b(str(url).encode(), digest_size=20).hexdigest()
