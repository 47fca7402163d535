from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.errors import FetchError
from pixvec.fetch.http.encoding import unpacker


def bare(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(body) + packer.flush()


def unpack(encoding: str, packed: bytes, n_bytes_at_once: int) -> bytes:
    unpacked = unpacker([encoding])
    cuts = range(0, len(packed), n_bytes_at_once)
    body = b"".join(piece for cut in cuts for piece in unpacked.feed(packed[cut : cut + n_bytes_at_once]))
    unpacked.end()
    return body


PACKERS = pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", bare), ("identity", bytes)],
    ids=["gzip", "zlib", "bare deflate", "plain"],
)


@PACKERS
@given(body=st.binary(max_size=5000), n_bytes_at_once=st.integers(1, 6000))
def test_unpacks_what_was_packed_however_it_is_cut(
    encoding: str, pack: Callable[[bytes], bytes], body: bytes, n_bytes_at_once: int
) -> None:
    assert unpack(encoding, pack(body), n_bytes_at_once) == body


@PACKERS
@pytest.mark.parametrize("n_bytes", [(1 << 18) - 1, 1 << 18, (1 << 18) + 1, 3 << 18])
def test_unpacks_to_the_last_byte_where_pieces_end(encoding: str, pack: Callable[[bytes], bytes], n_bytes: int) -> None:
    assert unpack(encoding, pack(bytes(n_bytes)), 1 << 16) == bytes(n_bytes)


@pytest.mark.parametrize(
    ("encoding", "packed"),
    [("gzip", gzip.compress(b"a" * 99)), ("deflate", zlib.compress(b"a" * 99))],
    ids=["gzip", "deflate"],
)
def test_every_cut_is_found(encoding: str, packed: bytes) -> None:
    for n_bytes in range(len(packed)):
        with pytest.raises(FetchError, match=r"^bad_encoding"):
            unpack(encoding, packed[:n_bytes], 10)
