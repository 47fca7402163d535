"""The text of a cell -> a `URL`: the only place that reads URL text.

A URL goes on the wire as its cell has it. Only dot segments are resolved, and only what is illegal in a URL is escaped,
because a URL that was signed and then tidied up is refused by its server.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes

import idna

from pixvec.errors import FetchError
from pixvec.fetch.buckets import TRIMMED, names_object
from pixvec.fetch.url_hints import IMAGE_ENDINGS, why_no_url, why_several

MAX_URL_LENGTH: Final = 8192
_PORTS: Final = {"http": 80, "https": 443}

# A scheme with a dot would be a host name, one of a single letter a drive.
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+-]+):", re.IGNORECASE)
_SCHEMELESS: Final = re.compile(r"[^\s/?#@:]+\.(?P<last>[^\W\d_]+)/")
_PARTS: Final = re.compile(r"/{0,2}(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>[^#]*)")
_DOT: Final = re.compile(r"\.|%2e", re.IGNORECASE)
_TWO_DOTS: Final = re.compile(r"(\.|%2e){2}", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:]+)(:(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
_HOST: Final = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_NUMERIC_HOST: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?")

_FILE: Final = re.compile(r"(//(localhost)?(?=/))?(?P<path>(?!//)[^?#]*)([?#].*)?", re.IGNORECASE | re.DOTALL)
_MAX_NAME_CHARS: Final = 200

_REFUSED: Final = (
    (re.compile(r"[\r\n]"), "a line break: the cell may hold several URLs"),
    (re.compile(r"[\x00-\x1f\x7f-\x9f]"), "a control character"),
    (re.compile(r"[\ud800-\udfff]"), "half of a surrogate pair"),
    (re.compile(r"\\"), "a backslash"),
)
_LEGAL: Final = "%:/?#[]@!$&'()*+,;="
_STRAY_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNDECODED_BYTE: Final = re.compile(r"[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class URL:
    """One http or https URL, in parts, ready for the wire; equal URLs are the same request.

    Parameters
    ----------
    scheme
        ``"http"`` or ``"https"``.
    host
        A name in ASCII, or an IP address, that of version 6 without brackets.
    port
        Never None: the scheme's own where the cell names none.
    target
        Path and query, escaped where needed, without the fragment.
    """

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.origin}{self.target}"

    @property
    def origin(self) -> str:
        """Scheme, host and port, the port only where it is not the scheme's own."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def names_an_address(self) -> bool:
        """Whether the host is an IP address."""
        return ":" in self.host or _NUMERIC_HOST.fullmatch(self.host) is not None

    def join(self, location: str) -> URL:
        """Resolve what a redirect's Location header says; bytes that were no UTF-8 stand in it as lone surrogates."""
        text = _UNDECODED_BYTE.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", location.strip(TRIMMED))
        scheme = _SCHEME.match(text)
        if scheme and scheme[1].lower() == self.scheme and not text.startswith("//", scheme.end()):
            text = text[scheme.end() :]  # a path, says the URL standard, though it is a host in a text of its own
        elif scheme:
            return _read(text)
        if text.startswith("//"):
            return _read(f"{self.scheme}:{text}")
        reference = text.partition("#")[0]
        if not reference:
            return self
        base = self.target.partition("?")[0]
        if reference.startswith("/"):
            base = ""
        elif not reference.startswith("?"):
            base = base[: base.rindex("/") + 1]
        return _read(f"{self.origin}{base}{reference}")


def parse(cell: str) -> URL:
    """Read one cell.

    Raises
    ------
    FetchError
        ``scheme_blocked`` or ``invalid_url``, with what to do where there is something.
    """
    text = cell.strip(TRIMMED)
    url = _read(text)
    if reason := why_several(text):
        raise _invalid(reason)
    return url


def looks_like_url(text: str) -> bool:
    """Tell whether a text is a URL that `parse` takes, or names an object in a bucket, to find the column of URLs."""
    try:
        parse(text)
    except FetchError:
        return names_object(text)
    return True


def parse_path(cell: str) -> str | None:
    """Read one cell as a path: the text without a scheme, or a file: URL; None where it is neither.

    Raises
    ------
    FetchError
        ``path_blocked`` for a file: URL of another machine, ``invalid_url`` for one with what no URL can hold.
    """
    text = cell.strip(TRIMMED)
    scheme = _SCHEME.match(text)
    if scheme is None:
        return None if text.startswith("//") else text
    if scheme[1].lower() != "file":
        return None
    _refuse_illegal(text)
    parts = _FILE.fullmatch(text, scheme.end())
    if parts is None:
        raise FetchError("path_blocked", "a file: URL must name a file of this machine, as file:///folder/file")
    return os.fsdecode(unquote_to_bytes(parts["path"]))


def redacted(cell: str) -> str:
    """Name a cell without what may be secret in it: the query, a user name, an image's bytes."""
    try:
        url = parse(cell)
    except FetchError:
        return f"a text of {len(cell):,} characters"
    return f"{url.origin}{url.target.partition('?')[0]}"[:_MAX_NAME_CHARS]


def _read(text: str) -> URL:
    scheme, rest = _split_scheme(text)
    _refuse_illegal(text)
    parts = _PARTS.match(rest)
    assert parts is not None, "it matches any text"  # noqa: S101 (a condition that types cannot state)
    host, port = _split_authority(parts["authority"])
    target = _resolve_dots(parts["path"] or "/") + parts["query"]
    return URL(scheme, host, _PORTS[scheme] if port is None else port, _escape(target))


def _invalid(detail: str) -> FetchError:
    return FetchError("invalid_url", detail)


def _split_scheme(text: str) -> tuple[str, str]:
    if found := _SCHEME.match(text):
        scheme = found[1].lower()
        if scheme not in _PORTS:
            raise FetchError("scheme_blocked", f"only http and https are fetched, not {scheme[:20]}:")
        return scheme, text[found.end() :]
    if text.startswith("//"):
        return "https", text
    if (found := _SCHEMELESS.match(text)) and found["last"].lower() not in IMAGE_ENDINGS:
        return "https", f"//{text}"
    raise _invalid(why_no_url(text[:MAX_URL_LENGTH]))


def _refuse_illegal(text: str) -> None:
    if len(text) > MAX_URL_LENGTH:
        raise _invalid(f"longer than {MAX_URL_LENGTH} characters")
    for pattern, name in _REFUSED:
        if pattern.search(text):
            raise _invalid(f"a URL cannot hold {name}")


def _split_authority(authority: str) -> tuple[str, int | None]:
    if "@" in authority:
        raise _invalid("a user name or password before the host is not sent")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise _invalid("no host and port can be read")
    port = int(parts["port"]) if parts["port"] else None
    if port is not None and port > 0xFFFF:
        raise _invalid(f"port {port} is over 65535")
    return _read_host(parts["host"].lower()), port


def _read_host(text: str) -> str:
    try:
        if text.startswith("["):
            return str(ipaddress.IPv6Address(text[1:-1]))
        host = text if text.isascii() else _to_ascii(text)
        if _NUMERIC_HOST.fullmatch(host):
            # The C library reads 0177.1 and 2130706433 as addresses too, each version in a way of its own.
            return str(ipaddress.IPv4Address(host))
    except ValueError:  # idna's errors are UnicodeErrors, which are ValueErrors
        raise _invalid("the host is no valid name and no address in the usual notation") from None
    if not _HOST.fullmatch(host):
        raise _invalid("the host is no valid name")
    return host


def _to_ascii(host: str) -> str:
    labels = idna.uts46_remap(host, std3_rules=False).split(".")
    return ".".join(label if label.isascii() else idna.alabel(label).decode() for label in labels)


def _resolve_dots(path: str) -> str:
    """Resolve ``.`` and ``..`` between slashes, escaped ones too, as the URL standard does (its "path state")."""
    if not _DOT.search(path):
        return path
    kept: list[str] = []
    is_dots = False
    for segment in path[1:].split("/"):
        goes_up = _TWO_DOTS.fullmatch(segment) is not None
        is_dots = goes_up or _DOT.fullmatch(segment) is not None
        if goes_up:
            del kept[-1:]
        elif not is_dots:
            kept.append(segment)
    return "/".join(["", *kept, *([""] if is_dots else [])])


def _escape(target: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", target), safe=_LEGAL)
