"""A small web with every kind of fault, for columns of URLs: what goes wrong, and what a row of it must come to.

In: how many rows. Out: cells, with the answers behind them put up.
"""

from __future__ import annotations

import gzip
import random
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from itertools import chain, cycle, islice, repeat
from typing import Final, Self, TypeAlias

from PIL import Image

from pixvec.testing.bad_manners import BlackHole, InTurn
from pixvec.testing.images import encode, gif_claiming, image_bytes, png_claiming
from pixvec.testing.server import End, ImageServer

N_HOSTS: Final = 8
_SIZE: Final = (64, 48)


class Web:
    """Hosts on this machine, good and bad, from ``with`` to the end of its block.

    Parameters
    ----------
    tls
        The server's side of TLS, with a certificate that nobody trusts.

    Attributes
    ----------
    hosts
        Those that answer well, or badly, each request for itself.
    silent, busy, untrusted, dead, refusing
        Those with one fault for all requests: no answer, a request to wait, no good certificate, no connection in
        time, none at all.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        self.hosts = [ImageServer() for _ in range(N_HOSTS)]
        self.silent, self.busy, self.untrusted = ImageServer(), ImageServer(), ImageServer(tls=tls)
        self.dead = BlackHole()
        self.refusing = socket.socket()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for server in (*self.hosts, self.silent, self.busy, self.untrusted):
            self._open.enter_context(server)
        self._open.enter_context(self.dead)
        self._open.enter_context(self.refusing).bind(("127.0.0.1", 0))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def host(self, row: int) -> ImageServer:
        """Return the host of a row, where the fault is not the host's."""
        return self.hosts[row % N_HOSTS]

    @property
    def addresses(self) -> tuple[str, ...]:
        """What ``allow_address`` must let through."""
        servers = (*self.hosts, self.silent, self.busy, self.untrusted)
        return (*(server.address for server in servers), self.dead.address, self.refusing_address)

    @property
    def refusing_address(self) -> str:
        """The address of `refusing`, as the others have theirs."""
        return "{}:{}".format(*self.refusing.getsockname())


PutUp: TypeAlias = Callable[[Web, int], str]
"""Puts up the answer for a row, and returns its cell."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What happens to a row.

    Parameters
    ----------
    name
        For people.
    codes
        What the row may come to; ``"ok"`` is a vector.
    put_up
        Makes one.
    is_rare
        Whether each takes seconds or many bytes, so that a column has few of them.
    """

    name: str
    codes: frozenset[str]
    put_up: PutUp
    is_rare: bool = False


def put_up_column(web: Web, n_rows: int, *, fault_share: float, n_rare: int, seed: int = 0) -> list[tuple[Kind, str]]:
    """Put up good rows and faults of every kind, in an order of chance.

    Parameters
    ----------
    web
        Where.
    n_rows
        How many rows.
    fault_share
        What part of them are faults.
    n_rare
        How many rows each rare kind has; the others have the rest, alike.

    Returns
    -------
    list
        Of each row what happens to it, and its cell.
    """
    rare = [kind for kind in FAULTS if kind.is_rare] * n_rare
    common = cycle(kind for kind in FAULTS if not kind.is_rare)
    faults = [*islice(chain(rare, common), round(n_rows * fault_share))]
    kinds = [*faults, *islice(cycle(GOOD), n_rows - len(faults))]
    random.Random(seed).shuffle(kinds)  # noqa: S311 (the same column for the same seed)
    return [(kind, kind.put_up(web, row)) for row, kind in enumerate(kinds)]


# Ways to put an answer up ---------------------------------------------------------------------------------------------


def _at(name: str, codes: str, put_up: PutUp, *, is_rare: bool = False) -> Kind:
    return Kind(name, frozenset(codes.split()), put_up, is_rare)


def _cell(name: str, codes: str, template: str) -> Kind:
    """Need no server."""
    return _at(name, codes, lambda _, row: template.format(row=row))


def _served(
    name: str,
    codes: str,
    body: Callable[[], bytes] | bytes = b"",
    *fields: str,
    status: int = 200,
    delay_s: float = 0.0,
    is_rare: bool = False,
) -> Kind:
    """Answer in due form; in fields, ``{row}`` is the row's number."""

    def put_up(web: Web, row: int) -> str:
        headers = dict(one.format(row=row).split(": ", 1) for one in fields)
        own = _own(body if isinstance(body, bytes) else body(), row)
        return web.host(row).add(f"/{row}", body=own, status=status, headers=headers, delay_s=delay_s)

    return _at(name, codes, put_up, is_rare=is_rare)


def _raw(name: str, codes: str, *pieces: bytes, end: End = "close", is_rare: bool = False) -> Kind:
    """Answer with just these bytes."""
    return _at(name, codes, lambda web, row: web.host(row).add_raw(f"/{row}", pieces, end=end), is_rare=is_rare)


def _endless(name: str, codes: str, *pieces: bytes, pause_s: float = 0.0) -> Kind:
    """Answer with the last piece for ever."""
    answer = _Endless(pieces)
    return _at(name, codes, lambda web, row: web.host(row).add_raw(f"/{row}", answer, pause_s=pause_s), is_rare=True)


@dataclass(frozen=True, slots=True)
class _Endless:
    pieces: tuple[bytes, ...]

    def __iter__(self) -> Iterator[bytes]:
        return chain(self.pieces, repeat(self.pieces[-1]))


def _own(body: bytes, row: int) -> bytes:
    """Make a body the row's own, since the same bytes are embedded once: what is behind an image is not looked at."""
    return body + row.to_bytes(8) if body else body


def _head(*fields: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


def _flaky(web: Web, row: int) -> str:
    busy = [_head("Content-Length: 0", status="503 Service Unavailable")]
    return web.host(row).add_raw(f"/{row}", InTurn(busy, [_head(_length(_JPEG)), _JPEG]))


def _length(body: bytes) -> str:
    return f"Content-Length: {len(body)}"


# Bodies ---------------------------------------------------------------------------------------------------------------

_JPEG: Final = image_bytes(size=_SIZE)
_PNG: Final = image_bytes("PNG", size=_SIZE)
_WEBP: Final = image_bytes("WEBP", size=_SIZE)
_HALF: Final = len(_JPEG) // 2


@cache
def _bomb() -> bytes:
    return gzip.compress(bytes(100_000_000), mtime=0)


@cache
def _large() -> bytes:
    return encode(Image.new("RGB", (10_000, 9_900)), "PNG", compress_level=1)


@cache
def _of_many_scans() -> bytes:
    body = image_bytes(size=_SIZE, progressive=True)
    last = body.rindex(b"\xff\xda")
    return body[:last] + body[last:-2] * 600 + b"\xff\xd9"


# Kinds ----------------------------------------------------------------------------------------------------------------

GOOD: Final = (
    _served("a JPEG", "ok", _JPEG),
    _served("a PNG", "ok", _PNG, "Content-Type: text/html"),
    _served("a WebP that takes its time", "ok", _WEBP, delay_s=0.2),
)
"""What happens to most rows."""

FAULTS: Final = (
    # Cells
    _cell("an empty cell", "null_input", ""),
    _cell("no URL", "invalid_url", "image {row}"),
    _cell("another scheme", "scheme_blocked", "ftp://127.0.0.1/{row}"),
    _cell("a broken image in the cell", "scheme_blocked not_an_image", "data:image/png;base64,{row}"),
    _cell("a private address", "address_blocked", "http://10.0.0.1/{row}.jpg"),
    _cell("a number for an address", "invalid_url", "http://2130706433/{row}.jpg"),
    # Hosts
    _at("a host that says nothing", "timeout", lambda web, row: web.silent.add_raw(f"/{row}", [], end="silence")),
    _at("a host that drops connections", "timeout", lambda web, row: web.dead.url(f"/{row}")),
    _at("a port that refuses", "connect_error", lambda web, row: f"http://{web.refusing_address}/{row}"),
    _at("a certificate of its own", "tls_error", lambda web, row: web.untrusted.add(f"/{row}", body=_JPEG)),
    _at(
        "a host that is busy",
        "http_429",
        lambda web, row: web.busy.add(f"/{row}", status=429, headers={"Retry-After": "1"}),
    ),
    # Answers
    _served("not found", "http_404", status=404),
    _served("broken for ever", "http_500", status=500),
    _served("part of an image", "http_206", _JPEG, "Content-Range: bytes 0-9/99", status=206),
    _served("an opt-out", "opt_out", _JPEG, "X-Robots-Tag: noai"),
    _served("a redirect to itself", "too_many_redirects", b"", "Location: /{row}", status=302),
    _served("a redirect to a private address", "address_blocked", b"", "Location: http://10.0.0.1/", status=302),
    _served("a redirect to a file", "scheme_blocked", b"", "Location: file:///etc/hosts", status=307),
    _served("packed in an unknown way", "bad_encoding", _JPEG, "Content-Encoding: br"),
    _served("not packed as it says", "bad_encoding", _JPEG, "Content-Encoding: gzip"),
    _at("busy once", "ok", _flaky),
    _raw("an end before the head", "connect_error"),
    _raw("a reset before the head", "connect_error", end="reset"),
    _raw("an end in the body", "truncated_body", _head(_length(_JPEG)), _JPEG[:_HALF]),
    _raw("a reset in the body", "truncated_body", _head(_length(_JPEG)), _JPEG[:_HALF], end="reset"),
    _raw("half an image of no length", "corrupt_image", _head(), _JPEG[:_HALF]),
    _raw("a negative length", "bad_response", _head("Content-Length: -1")),
    _raw("two lengths", "bad_response", _head("Content-Length: 1", "Content-Length: 2"), b"ab"),
    _raw("a broken chunk", "bad_response", _head("Transfer-Encoding: chunked") + b"xyz\r\n"),
    _raw("no HTTP", "bad_response", b"\0garbage\r\n\r\n"),
    _raw("a head without end", "bad_response", b"HTTP/1.1 200 OK\r\nX: ", b"y" * 100_000),
    _raw("ten gigabytes announced", "too_many_bytes", _head("Content-Length: 10000000000"), end="silence"),
    _served("a bomb of gzip", "too_many_bytes", _bomb, "Content-Encoding: gzip", is_rare=True),
    _endless(
        "a body without end", "too_many_bytes", _head("Transfer-Encoding: chunked"), b"4000\r\n%b\r\n" % bytes(0x4000)
    ),
    _endless("a body in drips", "timeout", _head(), b"x", pause_s=0.5),
    _endless("a head in drips", "timeout", b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", pause_s=0.5),
    _raw("silence", "timeout", end="silence", is_rare=True),
    # Bytes
    _served("nothing", "not_an_image"),
    _served("a page", "not_an_image", b"<!doctype html><title>Log in</title>", "Content-Type: image/jpeg"),
    _served("an SVG", "unsupported_format", b'<svg xmlns="http://www.w3.org/2000/svg"><rect/></svg>'),
    _served("half a JPEG", "corrupt_image", _JPEG[:_HALF]),
    _served("half a JPEG with an end", "corrupt_image", _JPEG[:_HALF] + b"\xff\xd9"),
    _served("half a PNG", "corrupt_image", _PNG[: len(_PNG) // 2]),
    _served("half a WebP", "corrupt_image", _WEBP[: len(_WEBP) // 2]),
    _served("a bomb of PNG", "too_many_pixels", png_claiming((50_000, 50_000))),
    _served("a bomb of GIF", "too_many_pixels", gif_claiming((1, 1), frame=(65_535, 65_535))),
    _served("600 scans", "corrupt_image", _of_many_scans, is_rare=True),
    _served("99 megapixels", "ok", _large, is_rare=True),
)
"""Everything else."""
