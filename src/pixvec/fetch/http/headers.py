"""Header lines of a request: ours, and those that the user has for one host."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Final

from pixvec.errors import FetchError, UsageError
from pixvec.fetch.url import URL, parse

_LINE: Final = re.compile(
    r"((?P<scheme>https?)://)?(?P<host>\[[^\]\s]+\]|[^\[\]:/\s]+)(:(?P<port>[0-9]{1,5}))?:\s+(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+):(?P<value>.*)",
    re.DOTALL,
)
_LOGGER = logging.getLogger("pixvec")
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
    """A header for one origin: scheme, host and port."""

    origin: str
    name: str
    value: str = field(repr=False)

    def is_for(self, url: URL) -> bool:
        """Tell whether it is sent with a request for this URL."""
        return url.origin == self.origin


def parse_header(text: str) -> HostHeader:
    """Read ``[http://|https://]HOST[:PORT]: Name: value``; https where no scheme is named, and the scheme's own port.

    Raises
    ------
    UsageError
        For anything else, and for headers that are not the user's to set. It quotes no value: that may be a secret.
    """
    line = _LINE.fullmatch(text)
    if line is None:
        raise UsageError(
            "`header`: expected '[http://]HOST[:PORT]: Name: value', with a space after the colon of host and port"
        )
    name, value = line["name"], line["value"].strip(" \t")
    if name.lower() in _OURS:
        raise UsageError(f"`header`: {name} cannot be set: the connection, or what an answer means, depends on it")
    if not _VALUE.fullmatch(value):
        raise UsageError(f"`header`: the value of {name} must be one line of ASCII text")
    return HostHeader(_origin(line["scheme"] or "https", line["host"], line["port"] or ""), name, value)


@cache
def warn_of_open_header(name: str, origin: str) -> None:
    """Warn, once in a process, of a header that anybody on the way can read."""
    _LOGGER.warning("the header %s goes to %s without encryption", name, origin)


def _origin(scheme: str, host: str, port: str) -> str:
    try:
        return parse(f"{scheme}://{host}:{port}/").origin
    except FetchError as error:
        raise UsageError(f"`header`: {host!r} is no host: {error.detail}") from None
