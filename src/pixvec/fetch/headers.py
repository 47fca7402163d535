"""Header lines of a request: ours, and those that the user has for one host. It must not know when one is sent."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Final

from pixvec.errors import FetchError, UsageError
from pixvec.fetch.url import URL, parse

_LINE: Final = re.compile(
    r"(?P<host>\[[^\]\s]+\]|[^\[\]:/\s]+)(:(?P<port>[0-9]{1,5}))?:\s+(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):(?P<value>.*)",
    re.DOTALL,
)
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_OURS: Final = frozenset(
    [
        *("host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect"),
        *("content-length", "content-encoding", "accept-encoding", "range", "if-range"),
        *("proxy-authorization", "proxy-connection"),
    ]
)
"""What frames a message, or changes what an answer means."""


@cache
def default_user_agent() -> str:
    """Say who asks, and where to read about it."""
    return f"pixvec/{version('pixvec')} (+https://github.com/pixvec/pixvec)"


def check_user_agent(text: str) -> None:
    """Refuse what cannot be sent.

    Raises
    ------
    UsageError
        For an empty text, or one with line breaks or anything else that is no ASCII.
    """
    if not text.strip() or not _VALUE.fullmatch(text):
        raise UsageError("`user_agent`: expected a line of ASCII text")


@dataclass(frozen=True, slots=True)
class HostHeader:
    """A header for one host, at one port or at all."""

    host: str
    port: int | None
    name: str
    value: str = field(repr=False)

    def is_for(self, url: URL) -> bool:
        """Tell whether it is sent with a request for this URL."""
        return url.host == self.host and self.port in {None, url.port}


def parse_header(text: str) -> HostHeader:
    """Read ``HOST[:PORT]: Name: value``.

    Raises
    ------
    UsageError
        For anything else, and for headers that are not the user's to set. It quotes no value: that may be a secret.
    """
    line = _LINE.fullmatch(text)
    if line is None:
        raise UsageError("`header`: expected 'HOST: Name: value', with a space after the host's colon")
    name, value = line["name"], line["value"].strip(" \t")
    if name.lower() in _OURS:
        raise UsageError(f"`header`: {name} cannot be set: the connection, or what an answer means, depends on it")
    if not _VALUE.fullmatch(value):
        raise UsageError(f"`header`: the value of {name} must be one line of ASCII text")
    place = _place(line["host"], line["port"] or "")
    return HostHeader(place.host, place.port if line["port"] else None, name, value)


def _place(host: str, port: str) -> URL:
    try:
        return parse(f"http://{host}:{port}/")
    except FetchError as error:
        raise UsageError(f"`header`: {host!r} is no host: {error.detail}") from None
