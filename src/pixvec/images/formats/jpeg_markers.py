"""The bytes of a JPEG -> its outline: what its header says, and which scans follow.

In: the bytes of a file. Out: facts or an error. It must not decode a pixel. It goes from marker to marker as libjpeg
does (``jdmarker.c`` of libjpeg-turbo 3.1: ``next_marker``, ``read_markers``), so that both are at the same place for as
long as libjpeg has nothing to report.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from pixvec.errors import ImageError

_MARKER: Final = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # no byte 255 among pixels, no restart, nothing without use
_MAX_SEGMENTS: Final = 1 << 16
_MAX_SCANS: Final = 500  # as libjpeg-turbo's own fuzzers have it; the progressive files of its encoder have ten
_MAX_EXIF_SEGMENTS: Final = 16  # 1 MiB; what a camera writes fits into one
_N_COEFFICIENTS: Final = 64

_START: Final = b"\xff\xd8"
_END: Final = 0xD9
_START_OF_SCAN: Final = 0xDA
_COMMENTS: Final = frozenset({0xDC, 0xFE})  # and a number of lines, which no decoder heeds
_APPLICATIONS: Final = range(0xE0, 0xF0)
_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE: Final = 0xC2
_LOSSLESS: Final = 0xC3
_DECODED_FRAMES: Final = frozenset({0xC0, 0xC1, _PROGRESSIVE, _LOSSLESS})
_JFIF: Final = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
_ADOBE: Final = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
_ADOBE_TRANSFORMS: Final = {3: (0, 1), 4: (0, 2)}
"""By the number of components, what Adobe's segment may say of colours: as they are, or as luma and chroma."""


class Segment(NamedTuple):
    """A marker and what belongs to it: its kind, where it begins and where it ends."""

    kind: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Scan:
    """What one scan brings: of which components which coefficients, less so many of their lowest bits."""

    components: bytes
    coefficients: slice
    n_bits_missing: int
    data_at: int


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """What stands before the data of a JPEG's first scan.

    Parameters
    ----------
    width, height
        Of the whole image.
    components
        The number of each component: there are 1, 3 or 4.
    is_progressive, is_lossless
        How they are coded.
    exif, icc_profile
        None where there is none.
    first_scan
        The scan that begins.
    for_decoder
        All that decides pixels, as a decoder reads it without a complaint.
    """

    width: int
    height: int
    components: bytes
    is_progressive: bool
    is_lossless: bool
    exif: bytes | None
    icc_profile: bytes | None
    first_scan: Scan
    for_decoder: bytes

    @property
    def has_many_scans(self) -> bool:
        """Whether libjpeg must keep all of the image, at whatever scale, because it comes in layers."""
        return self.is_progressive or len(self.first_scan.components) < len(self.components)


def read_header(body: bytes) -> JpegHeader:
    """Read what stands before the pixels.

    What decides none of them, or is broken there, such as a comment that is too short, is left out of `for_decoder`.

    Raises
    ------
    ImageError
        There is no whole header, or one of a kind that is not decoded.
    """
    parts = _HeaderParts()
    for segment in islice(segments(body, len(_START)), _MAX_SEGMENTS):
        if segment.kind == _END or segment.end > len(body):
            break
        if segment.kind == _START_OF_SCAN:
            return parts.header(body, segment)
        parts.add(segment.kind, body[segment.start : segment.end])
    raise ImageError("corrupt_image", "a JPEG in which no image begins")


def check_scans(body: bytes, header: JpegHeader) -> None:
    """Refuse a JPEG in many scans that do not bring all of its image, or are meant to keep a decoder busy.

    A decoder is silent about what no scan brings: the format allows for images that become finer for ever.

    Raises
    ------
    ImageError
        There are more than `_MAX_SCANS`, or too few.
    """
    if body.count(b"\xff\xda") > _MAX_SCANS and len(list(islice(_scans(body, header), _MAX_SCANS + 1))) > _MAX_SCANS:
        raise ImageError("corrupt_image", f"a JPEG in more than {_MAX_SCANS} scans")
    missing = {component: [-1] * _N_COEFFICIENTS for component in header.components}
    for scan in _scans(body, header):
        for component in scan.components:
            numbers = missing.setdefault(component, [-1] * _N_COEFFICIENTS)
            numbers[scan.coefficients] = [scan.n_bits_missing] * len(numbers[scan.coefficients])
    if any(map(any, missing.values())):
        raise ImageError("corrupt_image", "a JPEG that ends before its last scan")


def segments(body: bytes, at: int) -> Iterator[Segment]:
    """Walk to the end marker, which is the last that comes; the end of a segment may lie past that of the file."""
    while marker := _MARKER.search(body, at):
        kind, start, at = body[marker.start() + 1], marker.start(), marker.end()
        if kind not in {_START[1], _END}:
            at += max(2, int.from_bytes(body[at : at + 2]))
        yield Segment(kind, start, at)
        if kind == _END:
            return


def _scans(body: bytes, header: JpegHeader) -> Iterator[Scan]:
    yield header.first_scan
    for segment in islice(segments(body, header.first_scan.data_at), _MAX_SEGMENTS):
        if segment.kind == _START_OF_SCAN:
            yield _read_scan(body, segment, is_progressive=header.is_progressive)


def _read_scan(body: bytes, segment: Segment, *, is_progressive: bool) -> Scan:
    payload = body[segment.start + 4 : segment.end]
    n_components = payload[0] if payload else 0
    if len(payload) < 4 + 2 * n_components:
        raise ImageError("corrupt_image", "a JPEG with a broken header of a scan")
    components, (first, last, bits) = payload[1 : 1 + 2 * n_components : 2], payload[1 + 2 * n_components :][:3]
    if not is_progressive:
        first, last, bits = 0, _N_COEFFICIENTS - 1, 0
    return Scan(components, slice(first, last + 1), bits & 15, segment.end)


@dataclass(slots=True)
class _HeaderParts:
    """The segments of a header, sorted by what they are for."""

    frame: bytes = b""
    tables: list[bytes] = field(default_factory=list)
    exif: list[bytes] = field(default_factory=list)
    icc: list[bytes] = field(default_factory=list)
    has_jfif: bool = False
    adobe_transform: int | None = None

    def add(self, kind: int, segment: bytes) -> None:
        if kind in _APPLICATIONS:
            self._add_application(kind, segment[4:])
        elif kind not in _COMMENTS:
            self.tables.append(segment)
        if kind in _FRAMES:
            self.frame = segment

    def _add_application(self, kind: int, payload: bytes) -> None:
        match kind & 15:
            case 0 if payload.startswith(b"JFIF\0") and len(payload) >= 14:
                self.has_jfif = True
            case 1 if payload.startswith(b"Exif\0\0") and len(self.exif) < _MAX_EXIF_SEGMENTS:
                self.exif.append(payload[6:])
            case 2 if payload.startswith(b"ICC_PROFILE\0") and len(payload) > 13:
                self.icc.append(payload[12:])
            case 14 if payload.startswith(b"Adobe") and len(payload) >= 12:
                self.adobe_transform = payload[11]

    def header(self, body: bytes, start_of_scan: Segment) -> JpegHeader:
        kind, (width, height), components = self._read_frame()
        is_progressive = kind == _PROGRESSIVE
        return JpegHeader(
            width,
            height,
            components,
            is_progressive,
            kind == _LOSSLESS,
            b"Exif\0\0" + b"".join(self.exif) if self.exif else None,
            self._icc_profile(),
            _read_scan(body, start_of_scan, is_progressive=is_progressive),
            self._for_decoder(body[start_of_scan.start : start_of_scan.end], kind, len(components)),
        )

    def _read_frame(self) -> tuple[int, tuple[int, int], bytes]:
        if len(self.frame) < 10:
            raise ImageError("corrupt_image", "a JPEG that does not say how large its image is")
        kind, n_bits, n_components = self.frame[1], self.frame[4], self.frame[9]
        if n_bits != 8:
            raise ImageError("unsupported_format", f"a JPEG of {n_bits} bits a sample; decoded are those of 8")
        if n_components not in {1, 3, 4}:
            raise ImageError(
                "unsupported_format", f"a JPEG of {n_components} components; decoded are those of 1, 3 and 4"
            )
        if kind not in _DECODED_FRAMES:
            # Nor do browsers decode them; of arithmetic coding, a decoder cannot tell that its end was cut off.
            raise ImageError("unsupported_format", f"a JPEG of the kind SOF{kind & 15}; decoded are SOF0 to SOF3")
        size = int.from_bytes(self.frame[7:9]), int.from_bytes(self.frame[5:7])
        return kind, size, self.frame[10 : 10 + 3 * n_components : 3]

    def _icc_profile(self) -> bytes | None:
        """Join the profile's parts: each begins with its number and how many there are."""
        parts = sorted(self.icc)
        return b"".join(part[2:] for part in parts) if parts and parts[0][1] == len(parts) else None

    def _for_decoder(self, start_of_scan: bytes, kind: int, n_components: int) -> bytes:
        jfif = _JFIF if self.has_jfif else b""
        adobe = b""
        if self.adobe_transform is not None and n_components in _ADOBE_TRANSFORMS:
            known = _ADOBE_TRANSFORMS[n_components]
            adobe = _ADOBE + bytes([self.adobe_transform if self.adobe_transform in known else known[1]])
        if kind not in {_PROGRESSIVE, _LOSSLESS}:
            start_of_scan = start_of_scan[:-3] + bytes((0, _N_COEFFICIENTS - 1, 0))  # the only ones there are
        return b"".join((_START, jfif, adobe, *self.tables, start_of_scan))
