"""The scans of a JPEG: how many there are, and whether the last one was cut short and given an end marker.

In: the bytes of a file. Out: a fact or an error. It must not know why anybody wants to know.

libjpeg fills what a file lacks with grey, and counts a warning that Pillow does not pass on. That a picture ends in
grey proves nothing. But a decoder that lacks pixels takes more bytes for them where it finds some before the end
marker, and one that has all its pixels takes no notice of them: that tells the two apart without doubt.
"""

from __future__ import annotations

import hashlib
import io
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pixvec.errors import ImageError

_MARKER: Final = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")  # neither a byte 255 among pixels nor a restart
_WITHOUT_LENGTH: Final = frozenset(b"\x01\xd8")
_START_OF_SCAN: Final = 0xDA
_END: Final = 0xD9
_MAX_SEGMENTS: Final = 1 << 16
_MAX_SCANS: Final = 500  # as libjpeg-turbo's own fuzzers have it; the progressive files of its encoder have ten
_N_COEFFICIENTS: Final = 64
_GREYS: Final = {127, 128}  # of libjpeg's filling, and of its complement in CMYK
_NOISE: Final = bytes(167 * number % 255 for number in range(512))
_EIGHTH: Final = (1, 1)  # the smallest scale that libjpeg decodes to
_MORE_PIXELS: Final = _NOISE + b"".join(bytes((0xFF, 0xD0 + number)) + _NOISE for number in range(8))
"""Bytes that a decoder takes for pixels, behind each of the restart markers that it may be waiting for."""


@dataclass(frozen=True, slots=True)
class _Scan:
    """What one scan brings: of which components which coefficients, less so many of their lowest bits."""

    components: tuple[int, ...]
    coefficients: slice
    n_bits_missing: int


def check_scans(body: bytes) -> None:
    """Refuse a JPEG in so many scans that it must be meant to keep a decoder busy.

    Raises
    ------
    ImageError
        There are more than `_MAX_SCANS`.
    """
    if body.count(b"\xff\xda") > _MAX_SCANS and len(list(islice(_scans(body), _MAX_SCANS + 1))) > _MAX_SCANS:
        raise ImageError("corrupt_image", f"a JPEG in more than {_MAX_SCANS} scans")


def is_cut_short(body: bytes, image: JpegImageFile, *, has_many_scans: bool) -> bool:
    """Tell whether the decoder ran out of bytes before it had all pixels of `image`, which it has decoded."""
    if not has_many_scans:
        return _ends_grey(image) and _takes_more(body, _EIGHTH)
    bits_missing = _bits_missing(body)
    if len(bits_missing) < image.layers:
        return True
    if any(map(any, bits_missing.values())):
        return _takes_more(body, None)  # where fine detail is missing, an eighth shows no difference
    return _ends_grey(image) and _takes_more(body, _EIGHTH)


def _ends_grey(image: Image.Image) -> bool:
    last = image.getpixel((image.width - 1, image.height - 1))
    return set(last if isinstance(last, tuple) else (last,)) <= _GREYS


def _bits_missing(body: bytes) -> dict[int, list[int]]:
    """Count, for each component that came, the bits that its coefficients still lack; -1 is all of them."""
    missing: dict[int, list[int]] = {}
    for scan in _scans(body):
        for component in scan.components:
            numbers = missing.setdefault(component, [-1] * _N_COEFFICIENTS)
            numbers[scan.coefficients] = [scan.n_bits_missing] * len(numbers[scan.coefficients])
    return missing


def _takes_more(body: bytes, size: tuple[int, int] | None) -> bool:
    """Tell whether the picture, decoded at a size, changes when more bytes stand before its end marker."""
    end = next((at for kind, at in _segments(body) if kind == _END), None)
    return end is not None and _pixels_hash(body, size) != _pixels_hash(body[:end] + _MORE_PIXELS + body[end:], size)


def _pixels_hash(body: bytes, size: tuple[int, int] | None) -> bytes:
    image = JpegImageFile(io.BytesIO(body))
    image.draft(None, size)
    return hashlib.sha256(image.tobytes()).digest()


def _scans(body: bytes) -> Iterator[_Scan]:
    for kind, at in _segments(body):
        if kind == _START_OF_SCAN:
            n_components = body[at + 4]
            rest = body[at + 5 : at + 8 + 2 * n_components]
            start, end, bits = struct.unpack_from("3B", rest, 2 * n_components)
            yield _Scan(tuple(rest[: 2 * n_components : 2]), slice(start, end + 1), bits & 15)


def _segments(body: bytes) -> Iterator[tuple[int, int]]:
    """Walk to the end marker: the kind of each marker, and where it stands."""
    at = 0
    for _ in range(_MAX_SEGMENTS):
        if (marker := _MARKER.search(body, at)) is None:
            return
        kind, at = body[marker.start() + 1], marker.end()
        yield kind, marker.start()
        if kind == _END:
            return
        if kind not in _WITHOUT_LENGTH:
            at += int.from_bytes(body[at : at + 2])
