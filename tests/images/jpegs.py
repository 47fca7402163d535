"""JPEGs that Pillow does not write."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from PIL import Image

from pixvec.testing.images import encode


def segment(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, kind, 2 + len(payload)) + payload


def segments_of(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the segments up to the first scan, whose second part is all that follows."""
    at = 2
    while body[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(body[at + 2 : at + 4])
        yield body[at + 1], body[at:end]
        at = end
    yield 0xDA, body[at + 2 + int.from_bytes(body[at + 2 : at + 4]) :]


def one_component_a_scan(planes: Sequence[Image.Image], *, factors: Sequence[int], repeats: int = 1) -> bytes:
    """Write planes as the components of one baseline JPEG, each in a scan of its own.

    Parameters
    ----------
    planes
        In mode L; the first has the size of the image.
    factors
        How each is sampled: horizontally in the upper half of the byte, vertically in the lower.
    repeats
        How often the scans are there.
    """
    parts = [list(segments_of(encode(plane, quality=90))) for plane in planes]
    tables = b"".join(part for kind, part in parts[0] if kind in {0xDB, 0xC4})
    frame = struct.pack(">BHHB", 8, planes[0].height, planes[0].width, len(planes))
    frame += b"".join(bytes((number, factor, 0)) for number, factor in enumerate(factors, start=1))
    scans = b"".join(
        segment(0xDA, bytes((1, number, 0, 0, 63, 0))) + part[-1][1][:-2] for number, part in enumerate(parts, start=1)
    )
    return b"\xff\xd8" + tables + segment(0xC0, frame) + scans * repeats + b"\xff\xd9"


def lossless(image: Image.Image) -> bytes:
    """Write a grey image as a lossless JPEG: each sample as its difference from the left one, or the upper one."""
    width, height = image.size
    samples = image.tobytes()
    bits = ""
    for at, sample in enumerate(samples):
        before = 128 if at == 0 else samples[at - width] if at % width == 0 else samples[at - 1]
        difference = (sample - before + 128) % 256 - 128
        n_bits = abs(difference).bit_length()
        value = difference if difference > 0 else difference + (1 << n_bits) - 1
        bits += f"{n_bits:04b}" + (f"{value:0{n_bits}b}" if n_bits else "")
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(b"\xff", b"\xff\0")
    table = bytes((0, 0, 0, 0, 9, *[0] * 12)) + bytes(range(9))  # nine numbers of bits, each in a code of four
    frame = struct.pack(">BHHB", 8, height, width, 1) + bytes((1, 0x11, 0))
    scan = bytes((1, 1, 0, 1, 0, 0))
    return b"\xff\xd8" + segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, scan) + data + b"\xff\xd9"
