"""The header of a BMP -> what is wrong with it, or which variant it is that Pillow does not decode.

In: the bytes of a BMP. Out: bytes for Pillow, the name of a variant, or an error. It must not decode a pixel.
"""

from __future__ import annotations

import struct
from typing import Final

from pixvec.errors import ImageError

_HEADER_AT: Final = 14  # behind the file's own
_OS2_SIZE: Final = 12  # of OS/2's first header, whose fields are shorter
_OS2_2_SIZE: Final = 64
_SIZES: Final = frozenset({_OS2_SIZE, 40, 52, 56, _OS2_2_SIZE, 108, 124})
_WINDOWS_SIZE: Final = 40
_FIELDS: Final = struct.Struct("<iiHHI")  # width, height, planes, bits of a pixel, compression
_N_COLORS_AT: Final = _HEADER_AT + 32
_MAX_INDEXED_BITS: Final = 8
_MASKS: Final = 3
_UNUSUAL_DEPTHS: Final = frozenset({2, 64})
_COMPRESSIONS: Final = {4: "a JPEG inside", 5: "a PNG inside", 6: "masks for its colours and alpha", 11: "CMYK"}
_OS2_COMPRESSIONS: Final = {_MASKS: "Huffman coding", 4: "24-bit run lengths (RLE24)"}


def plain_bmp(body: bytes) -> bytes:
    """Correct a palette that claims more colours than its pixels can name: Pillow refuses that, and all come behind it.

    Raises
    ------
    ImageError
        The width is negative: Pillow would take that for billions of pixels.
    """
    size = int.from_bytes(body[_HEADER_AT : _HEADER_AT + 4], "little")
    if size < _WINDOWS_SIZE or len(body) < _HEADER_AT + size:
        return body
    width, _, _, n_bits, _ = _FIELDS.unpack_from(body, _HEADER_AT + 4)
    if width < 0:
        raise ImageError("corrupt_image", f"a BMP that claims to be {width:,} pixels wide")
    n_colors = int.from_bytes(body[_N_COLORS_AT : _N_COLORS_AT + 4], "little")
    if n_bits > _MAX_INDEXED_BITS or n_colors <= 1 << n_bits:
        return body
    return body[:_N_COLORS_AT] + bytes(4) + body[_N_COLORS_AT + 4 :]  # as many as its pixels can name


def unusual_variant(body: bytes) -> str | None:
    """Name what is unusual about a BMP that Pillow did not open; None where it is rather broken."""
    size = int.from_bytes(body[_HEADER_AT : _HEADER_AT + 4], "little")
    if size not in _SIZES:
        return f"an OS/2 header of {size} bytes"
    if size < _WINDOWS_SIZE or len(body) < _HEADER_AT + size:
        return None
    *_, n_bits, compression = _FIELDS.unpack_from(body, _HEADER_AT + 4)
    compressions = _OS2_COMPRESSIONS if size == _OS2_2_SIZE else _COMPRESSIONS
    if compression in compressions:
        return compressions[compression]
    if n_bits in _UNUSUAL_DEPTHS:
        return f"{n_bits} bits a pixel"
    return "unusual masks for its colours" if compression == _MASKS and n_bits in {16, 24, 32} else None
