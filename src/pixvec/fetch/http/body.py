"""An answer -> its body, or why it is not taken: status, opt-out, packing, size."""

from __future__ import annotations

import http
import re
from typing import Final, Protocol

import aiohttp

from pixvec.errors import FetchError
from pixvec.fetch.http.encoding import unpacker
from pixvec.fetch.http.opt_out import OptOut

_STATUSES: Final = frozenset(http.HTTPStatus)
_WITH_IMAGE: Final = frozenset(
    [http.HTTPStatus.OK, http.HTTPStatus.CREATED, http.HTTPStatus.NON_AUTHORITATIVE_INFORMATION]
)
"""201 comes from services that make an image when it is first asked for, 203 from proxies that changed it."""
_CONTENT_RANGE: Final = re.compile(r"bytes 0-(?P<last>[0-9]{1,18})/(?P<size>[0-9]{1,18})")


class Room(Protocol):
    """The room for a body in memory."""

    async def reserve(self, n_bytes: int) -> None:
        """Wait until there is room for so many bytes in all."""

    async def take(self, n_bytes: int) -> None:
        """Wait until so many more bytes may be held."""


class BodyReader:
    """Reads bodies.

    Parameters
    ----------
    max_bytes
        Of one body, as it comes and as it is when it is unpacked.
    opt_out
        Says which answers ask that they not be used.
    """

    def __init__(self, max_bytes: int, opt_out: OptOut) -> None:
        self._max_bytes = max_bytes
        self._opt_out = opt_out

    async def read(self, response: aiohttp.ClientResponse, room: Room) -> bytes:
        """Read a body to its end.

        What it says to be long has room before it is read, or many that are half read might wait for one another.

        Raises
        ------
        FetchError
            As soon as it is clear that the body will not do.
        """
        _refuse_status(response)
        self.heed_opt_out(response)
        unpacked = unpacker(response.headers.getall("Content-Encoding", ()))
        self._refuse_size(response.content_length or 0)
        await room.reserve(response.content_length or 0)
        pieces: list[bytes] = []
        n_packed = n_bytes = 0
        try:
            async for packed in response.content.iter_any():
                n_packed += len(packed)
                self._refuse_size(n_packed)  # packed bytes without end may hold nothing at all
                for piece in unpacked.feed(packed):
                    n_bytes += len(piece)
                    self._refuse_size(n_bytes)
                    await room.take(len(piece))
                    pieces.append(piece)
            unpacked.end()
            return b"".join(pieces)
        finally:
            pieces.clear()  # an error keeps this frame, in a ring with aiohttp's objects, until they are collected

    def heed_opt_out(self, response: aiohttp.ClientResponse) -> None:
        """Refuse an answer that asks that its image not be used."""
        self._opt_out.check(response.headers.getall("X-Robots-Tag", ()))

    def _refuse_size(self, n_bytes: int) -> None:
        if n_bytes > self._max_bytes:
            raise FetchError("too_many_bytes", f"the body is larger than {self._max_bytes:,} bytes")


def _refuse_status(response: aiohttp.ClientResponse) -> None:
    if response.status in _WITH_IMAGE or _is_whole(response):
        return
    phrase = http.HTTPStatus(response.status).phrase if response.status in _STATUSES else "a status without a name"
    raise FetchError(f"http_{response.status:03d}", f"the server answered {response.status} ({phrase})")


def _is_whole(response: aiohttp.ClientResponse) -> bool:
    parts = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return (
        response.status == http.HTTPStatus.PARTIAL_CONTENT
        and parts is not None
        and (int(parts["last"]) + 1 == int(parts["size"]))
    )
