"""A Content-Encoding header -> what unpacks the body, a piece at a time.

Nothing is asked for but plain bytes, and some servers pack them all the same: gzip and deflate are unpacked, as every
client can. brotli and zstd take libraries of their own, and no server may send them unasked; an image packed twice is
no mistake but a bomb.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from pixvec.errors import FetchError

_PIECE_BYTES: Final = 1 << 18
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15
"""zlib's window sizes, with what stands around the data."""

_PLAIN: Final = frozenset(["", "identity", "none", "binary", "utf-8"])
"""The word for plain bytes, and those that servers write by mistake."""
_NAMED: Final = frozenset(["br", "zstd", "compress", "x-compress", "dcb", "dcz"])


class Unpacker(Protocol):
    """Takes a body as it comes over the wire, and gives it as it was meant."""

    def feed(self, packed: bytes) -> Iterator[bytes]:
        """Unpack the next bytes, in pieces of 256 KiB at most where they are packed."""

    def end(self) -> None:
        """Refuse a body that ends too early."""


def unpacker(encodings: Iterable[str]) -> Unpacker:
    """Choose by the values of all Content-Encoding headers.

    Raises
    ------
    FetchError
        ``bad_encoding`` for a packing that is not undone here.
    """
    names = [name.strip().lower() for value in encodings for name in value.split(",")]
    match [name for name in names if name not in _PLAIN]:
        case []:
            return _Plain()
        case ["gzip" | "x-gzip" | "deflate" as name]:
            return _Inflater(None if name == "deflate" else _GZIP)
        case [name]:
            raise FetchError("bad_encoding", f"the body is packed as {name if name in _NAMED else 'something unknown'}")
        case _:
            raise FetchError("bad_encoding", "the body is packed more than once")


class _Plain:
    def feed(self, packed: bytes) -> Iterator[bytes]:
        yield packed

    def end(self) -> None:
        pass


class _Inflater:
    """Undoes gzip and deflate; whatever follows the end of the packed data is left aside, as browsers do."""

    def __init__(self, window: int | None) -> None:
        self._window = window
        self._stream: zlib._Decompress | None = None

    def feed(self, packed: bytes) -> Iterator[bytes]:
        if self._stream is None:
            self._stream = zlib.decompressobj(self._window or _deflate_window(packed))
        try:
            while not self._stream.eof:
                piece = self._stream.decompress(packed, _PIECE_BYTES)
                yield piece
                packed = self._stream.unconsumed_tail
                if not packed and len(piece) < _PIECE_BYTES:
                    return
        except zlib.error:
            raise FetchError("bad_encoding", "the body is not packed as its header says, or it is damaged") from None

    def end(self) -> None:
        if self._stream is None or not self._stream.eof:
            raise FetchError("bad_encoding", "the packed body ends before it is complete")


def _deflate_window(packed: bytes) -> int:
    """Tell zlib's format, which the name stands for, from the bare one that some servers send; by the first byte."""
    return _ZLIB if packed[0] & 0x0F == zlib.DEFLATED else _RAW_DEFLATE
