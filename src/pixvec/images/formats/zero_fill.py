"""Compressed pixels that end in zeros -> whether an image needs them, or lost its end and was filled up with them.

In: the bytes of a file whose format has no checksums. Out: a fact.

A download into a file of full length leaves such a file when it stops. Zeros alone prove nothing: the end of a flat
image can be compressed to 50,000 of them. But one that has all its pixels needs each, while from filled zeros a decoder
takes what little it needs to make up the missing ones. So other bytes are put in place of the last: where the image
stays the same, nobody needed them.
"""

from __future__ import annotations

import hashlib
import io
from typing import Final

from PIL.ImageFile import ImageFile

_MIN_ZEROS: Final = 32  # encoders end in a few, of which not all are needed
_OTHER_BYTES: Final = bytes(range(0x5B, 0x6B))


def is_filled(body: bytes, opened_as: type[ImageFile], *, pixels_end: int | None) -> bool:
    """Tell whether the compressed pixels, which end there, end in zeros that no pixel needs."""
    if pixels_end is None or pixels_end < _MIN_ZEROS or any(body[pixels_end - _MIN_ZEROS : pixels_end]):
        return False
    other = body[: pixels_end - len(_OTHER_BYTES)] + _OTHER_BYTES + body[pixels_end:]
    digest = _digest(body, opened_as)
    return digest is not None and digest == _digest(other, opened_as)


def _digest(body: bytes, opened_as: type[ImageFile]) -> bytes | None:
    """Hash the pixels of a file; None where they cannot be decoded."""
    try:
        return hashlib.sha256(opened_as(io.BytesIO(body)).tobytes()).digest()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (decoders raise anything)
        return None
