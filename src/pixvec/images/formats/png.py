"""A PNG -> one frame of it in a PNG that holds nothing else, and whether the pixels of that are all there.

In: the bytes of a PNG. Out: bytes for Pillow, or an error.

The standard has a decoder leave out an ancillary chunk that is broken, and give up on a critical one. Pillow does the
opposite: a wrong checksum of a text costs the image, and one of the pixels is not noticed. So chunks are read here, and
Pillow sees those alone that decide a pixel.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import Final, NamedTuple

from PIL import Image

from pixvec.errors import ImageError

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_NAME: Final = re.compile(rb"[A-Za-z0-9_]{4}")
_MAX_CHUNKS: Final = 1 << 16
"""libpng writes pixels in chunks of 8 KiB; the largest body would hold 4,096 of them."""
_MAX_FRAMES: Final = 2**31 - 2  # the standard's largest number, less one for the image that only other programs show
_CONTROL: Final = struct.Struct(">5I6x")
_N_SEQUENCE_BYTES: Final = 4

_HEADER: Final = struct.Struct(">IIBBBBB")
_INDEXED: Final = 3
_N_SAMPLES: Final = {0: 1, 2: 3, _INDEXED: 1, 4: 2, 6: 4}
"""How many samples a pixel has, by colour type."""
_MIN_TRANSPARENCY: Final = {0: 2, 2: 6, _INDEXED: 1}
"""How many bytes a tRNS chunk has at least, by colour type; the other types have an alpha channel."""
_ADAM7: Final = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""The passes of an interlaced image: first column and row, and the steps between columns and between rows."""
_ONE_PASS: Final = ((0, 0, 1, 1),)
_INFLATED_AT_ONCE: Final = 1 << 18


class _Chunk(NamedTuple):
    """A chunk that is there from its length to its checksum."""

    name: bytes
    raw: memoryview

    @property
    def data(self) -> memoryview:
        return self.raw[8:-4]

    @property
    def is_sound(self) -> bool:
        return zlib.crc32(self.raw[4:-4]) == int.from_bytes(self.raw[-4:])


class _Frame(NamedTuple):
    """Where the pixels of a frame lie on the canvas, in the order of an fcTL chunk."""

    width: int
    height: int
    left: int = 0
    top: int = 0


@dataclass(frozen=True, slots=True)
class PlainPng:
    """One frame in a PNG of its own.

    Parameters
    ----------
    body
        The PNG.
    frame
        Where its pixels lie on the canvas.
    n_bits
        Of one pixel.
    is_interlaced
        Whether the pixels come in seven passes.
    pixels
        What they are compressed to, in parts.
    """

    body: bytes
    frame: _Frame
    n_bits: int
    is_interlaced: bool
    pixels: Sequence[memoryview]

    def lacks_pixels(self, image: Image.Image) -> bool:
        """Tell whether the compressed pixels end too early: Pillow leaves those black that do not come.

        Parameters
        ----------
        image
            What Pillow decoded. Rows come in order, so all came if the last one is not black; else they are counted.
        """
        width, height, left, top = self.frame
        last_row = (left, top + height - 1, left + width, top + height)
        # Not by `crop`, which asks a limit that belongs to the host program.
        colors = image.resize((width, 1), Image.Resampling.NEAREST, last_row).tobytes()
        return (self.is_interlaced or not colors.strip(b"\0")) and not self._inflates_to(self._n_raw_bytes())

    def _n_raw_bytes(self) -> int:
        """Count the bytes of all rows, each behind the number of its filter."""
        n_bytes = 0
        for left, top, step_x, step_y in _ADAM7 if self.is_interlaced else _ONE_PASS:
            n_columns, n_rows = -(-(self.frame.width - left) // step_x), -(-(self.frame.height - top) // step_y)
            if n_columns > 0 and n_rows > 0:
                n_bytes += n_rows * (1 + -(-n_columns * self.n_bits // 8))
        return n_bytes

    def _inflates_to(self, n_bytes: int) -> bool:
        inflate = zlib.decompressobj()
        for part in self.pixels:
            rest: bytes | memoryview = part
            n_new = _INFLATED_AT_ONCE
            while n_bytes > 0 and (rest or n_new == _INFLATED_AT_ONCE):  # what it holds back may be all that is left
                n_new = len(inflate.decompress(rest, _INFLATED_AT_ONCE))
                n_bytes -= n_new
                rest = inflate.unconsumed_tail
        return n_bytes <= 0


def plain_png(body: bytes, *, first_frame: bool) -> PlainPng:
    """Write a PNG anew with what decides the pixels of one frame, and with its Exif data.

    Parameters
    ----------
    body
        A PNG; its end chunk may be missing.
    first_frame
        Take the first frame of an animation; else the image that programs show which know no animations.

    Raises
    ------
    ImageError
        A chunk that pixels need is missing, broken or behind too many others, or the file is in Apple's own variant.
    """
    chunks = _read_chunks(body)
    before = list(takewhile(lambda chunk: chunk.name != b"IDAT", chunks))
    image = list(takewhile(lambda chunk: chunk.name == b"IDAT", chunks[len(before) :]))
    behind = chunks[len(before) + len(image) :]
    header = _header(before)
    width, height, depth, color_type, *_, interlace = _HEADER.unpack(header.data)
    frame, animation, parts = _pick_frame(_Frame(width, height), before, image, behind, first_frame=first_frame)
    if not parts or not all(part.is_sound for part in parts):
        fault = "with a wrong checksum over its pixels" if parts else "that ends before its pixels do"
        raise ImageError("corrupt_image", f"a PNG {fault}")
    pixels = [part if part.name == b"IDAT" else _written(b"IDAT", part.data[_N_SEQUENCE_BYTES:]) for part in parts]
    exif = _sound(b"eXIf", (*before, *behind))[:1]
    needed = (header, *_colors(before, color_type), *animation, *exif, *pixels, _written(b"IEND"))
    return PlainPng(
        body=b"".join((_SIGNATURE, *(chunk.raw for chunk in needed))),
        frame=frame,
        n_bits=depth * _N_SAMPLES.get(color_type, 0),
        is_interlaced=interlace > 0,
        pixels=[chunk.data for chunk in pixels],
    )


def _read_chunks(body: bytes) -> list[_Chunk]:
    """Read all chunks up to the end, or to what is no chunk."""
    view, chunks, at = memoryview(body), list[_Chunk](), len(_SIGNATURE)
    while _NAME.match(name := body[at + 4 : at + 8]):
        end = at + 12 + int.from_bytes(body[at : at + 4])
        if end > len(body):
            break
        if len(chunks) == _MAX_CHUNKS:
            raise ImageError("corrupt_image", f"a PNG in more than {_MAX_CHUNKS:,} chunks")
        chunks.append(_Chunk(name, view[at:end]))
        at = end
    return chunks


def _sound(name: bytes, chunks: Iterable[_Chunk], *, n_bytes: int = 0) -> list[_Chunk]:
    """Find the chunks of a name that have the right checksum and at least so many bytes."""
    return [chunk for chunk in chunks if chunk.name == name and len(chunk.data) >= n_bytes and chunk.is_sound]


def _written(name: bytes, data: bytes | memoryview = b"") -> _Chunk:
    named = name + data
    return _Chunk(name, memoryview(struct.pack(">I", len(data)) + named + struct.pack(">I", zlib.crc32(named))))


def _header(before: Sequence[_Chunk]) -> _Chunk:
    if before and before[0].name == b"CgBI":
        raise ImageError("unsupported_format", "a PNG in the variant CgBI, which Apple's tools make for its devices")
    headers = [chunk for chunk in before if chunk.name == b"IHDR"]
    if len(headers) != 1 or len(headers[0].data) != _HEADER.size or not headers[0].is_sound:
        raise ImageError("corrupt_image", "a PNG without one whole header")
    return headers[0]


def _colors(before: Sequence[_Chunk], color_type: int) -> list[_Chunk]:
    """Find the palette, where pixels are numbers in it, and what is transparent."""
    palette = _sound(b"PLTE", before)[:1] if color_type == _INDEXED else []
    if color_type == _INDEXED and not palette:
        raise ImageError("corrupt_image", "a PNG whose palette is missing or has a wrong checksum")
    if color_type not in _MIN_TRANSPARENCY:
        return palette
    return palette + _sound(b"tRNS", before, n_bytes=_MIN_TRANSPARENCY[color_type])[:1]


# Animations -----------------------------------------------------------------------------------------------------------


def _pick_frame(
    canvas: _Frame, before: list[_Chunk], image: list[_Chunk], behind: list[_Chunk], *, first_frame: bool
) -> tuple[_Frame, list[_Chunk], list[_Chunk]]:
    """Find where a frame lies, the chunks that tell Pillow so, and its pixels.

    With an fcTL chunk before it, the image is the first frame. Else it is shown by other programs alone, and the first
    frame comes behind it; where none comes, there is no animation.
    """
    if not (n_frames := _n_frames(before)):
        return canvas, [], image
    if controls := [chunk for chunk in before if chunk.name == b"fcTL"]:
        frame = _frame(controls[0], canvas)
        return frame, _animation(n_frames, frame), image
    frames = list(dropwhile(lambda chunk: chunk.name != b"fcTL", behind))
    parts = [chunk for chunk in takewhile(lambda chunk: chunk.name != b"fcTL", frames[1:]) if chunk.name == b"fdAT"]
    if not parts:
        return canvas, [], image
    if not first_frame:
        return canvas, _animation(n_frames), image
    frame = _frame(frames[0], canvas)
    return frame, _animation(n_frames + 1, frame), parts


def _n_frames(before: list[_Chunk]) -> int:
    """Read how many frames are claimed; 0 where no animation is, or one that makes no sense."""
    claims = [int.from_bytes(chunk.data[:4]) for chunk in _sound(b"acTL", before, n_bytes=8)]
    return claims[0] if len(claims) == 1 and claims[0] <= _MAX_FRAMES else 0


def _frame(control: _Chunk, canvas: _Frame) -> _Frame:
    """Read where a frame lies."""
    if len(control.data) == _CONTROL.size and control.is_sound:
        _, *numbers = _CONTROL.unpack(control.data)
        frame = _Frame(*numbers)
        fits = frame.left + frame.width <= canvas.width and frame.top + frame.height <= canvas.height
        if fits and frame.width and frame.height:
            return frame
    raise ImageError("corrupt_image", "a PNG whose first frame lies outside of its canvas, or nowhere")


def _animation(n_frames: int, frame: _Frame | None = None) -> list[_Chunk]:
    """Write how many frames there are and where the first one lies: no frame for an image in front of the frames."""
    counted = [_written(b"acTL", struct.pack(">II", n_frames, 0))]
    return counted if frame is None else [*counted, _written(b"fcTL", _CONTROL.pack(0, *frame))]
