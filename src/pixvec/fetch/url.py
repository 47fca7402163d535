"""The text of a cell -> a `URL`: the only place that reads URL text. It must not know what a name resolves to.

A URL goes on the wire as its cell has it. Only what is illegal in a URL is escaped, because a URL that was signed and
then tidied up is refused by its server.
"""

from __future__ import annotations

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote_to_bytes, urljoin

import idna

from pixvec.errors import FetchError
from pixvec.fetch.buckets import TRIMMED, names_object

MAX_URL_LENGTH: Final = 8192
_PORTS: Final = {"http": 80, "https": 443}

# A scheme with a dot would be a host name, one of a single letter a drive.
_SCHEME: Final = re.compile(r"([a-z][a-z0-9+-]+):", re.IGNORECASE)
_SCHEMELESS: Final = re.compile(r"[^\s/?#@:]+\.(?P<last>[^\W\d_]+)/")
_IMAGE_ENDINGS: Final = frozenset(
    ["avif", "bmp", "gif", "heic", "heif", "ico", "jpe", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp"]
)
_PARTS: Final = re.compile(r"//(?P<authority>[^/?#]*)(?P<target>[^#]*)")
_AUTHORITY: Final = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\[\]:]+)(:(?P<port>[0-9]{0,5}))?", re.IGNORECASE)
_HOST: Final = re.compile(r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?")
_NUMERIC_HOST: Final = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?")

_FILE: Final = re.compile(r"(//(localhost)?(?=/))?(?P<path>(?!//)[^?#]*)([?#].*)?", re.IGNORECASE | re.DOTALL)
_MAX_NAME_CHARS: Final = 200

_REFUSED: Final = (
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
        if _SCHEME.match(text):
            return parse(text)
        if text.startswith("//"):
            return parse(f"{self.scheme}:{text}")
        reference = text.partition("#")[0]
        path, mark, query = reference.partition("?")
        if not reference:
            return self
        base = self.target.partition("?")[0]
        try:
            joined = urljoin(f"{self.origin}{base}", path)
        except ValueError:
            raise _invalid("brackets that hold no address") from None
        # The query stays out of urljoin, which drops an empty one.
        return parse(f"{joined}{mark}{query}")


def parse(cell: str) -> URL:
    """Read one cell.

    Raises
    ------
    FetchError
        ``scheme_blocked`` or ``invalid_url``, with what to do where there is something.
    """
    text = cell.strip(TRIMMED)
    scheme, rest = _split_scheme(text)
    _refuse_illegal(text)
    parts = _PARTS.match(rest)
    if parts is None:
        raise _invalid(f"two slashes must follow {scheme}:")
    host, port = _split_authority(parts["authority"])
    target = parts["target"] if parts["target"].startswith("/") else f"/{parts['target']}"
    return URL(scheme, host, _PORTS[scheme] if port is None else port, _escape(target))


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
    """Name a cell without what may be secret in it: the query, a user name, a picture's bytes."""
    try:
        url = parse(cell)
    except FetchError:
        return f"a text of {len(cell):,} characters"
    return f"{url.origin}{url.target.partition('?')[0]}"[:_MAX_NAME_CHARS]


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
    if (found := _SCHEMELESS.match(text)) and found["last"].lower() not in _IMAGE_ENDINGS:
        return "https", f"//{text}"
    raise _invalid("no URL: a host name must stand before the first slash; for files of this machine see `files_under`")


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


def _escape(target: str) -> str:
    return quote(_STRAY_PERCENT.sub("%25", target), safe=_LEGAL)
