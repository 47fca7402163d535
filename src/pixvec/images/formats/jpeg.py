"""The bytes of a JPEG -> its pixels, if they are all there.

In: a file. Out: what Pillow's own class would give, bit for bit, or an error.

libjpeg fills what a file lacks with grey, counts a warning and goes on. Pillow does not pass that on; simplejpeg,
which brings the same library, does. But it names the first one only, and some are harmless. So the decoder gets nothing
that decides no pixel (`jpeg_markers.read_header`). One harmless warning is left: of stray bytes before a marker. They
are taken out, and the image is decoded again, until the decoder is silent or names a loss.
"""

from __future__ import annotations

import re
import zlib
from bisect import bisect_left
from typing import Any, Final

from PIL import Image
from PIL.ImageFile import ImageFile
from simplejpeg import decode_jpeg

from pixvec.errors import ImageError
from pixvec.images.formats.jpeg_markers import check_scans, read_header, segments

_MODES: Final = {1: "L", 3: "RGB", 4: "CMYK"}
_RAW: Final = {"L": ("Gray", "L", 1), "RGB": ("RGB", "RGB", 3), "CMYK": ("CMYK", "CMYK;I", 4)}
"""By mode: what simplejpeg and Pillow call the pixels of a decoder, and the bytes of one; inks come inverted."""
_SCALES: Final = (8, 4, 2)
_SMALLEST_SCALED: Final = 8  # a smaller image may be as large at two of simplejpeg's scales, which takes the lesser
_END: Final = b"\xff\xd9"
_STRAY_BYTES: Final = re.compile(r"(\d+) extraneous bytes before marker 0x([0-9a-f]{2})")
_MAX_STRAY: Final = 16  # each costs a dozen decodings; in the wild, what has more of them is broken
_N_ALIKE: Final = 4  # of the bytes before stray ones: where all are alike, pixels were made of a filling
_RESTART: Final = re.compile(rb"\xff[\xd0-\xd7]")
_NOISE: Final = bytes(167 * number % 255 for number in range(512))
_MORE_PIXELS: Final = _NOISE + b"".join(bytes((0xFF, 0xD0 + number)) + _NOISE for number in range(8))
"""Bytes that a decoder takes for pixels, behind each of the restart markers that it may be waiting for."""


class JpegFile(ImageFile):
    """A JPEG, used as Pillow's class for it is.

    Raises
    ------
    ImageError
        The file is not whole, or of a kind that is not decoded.
    """

    format = "JPEG"
    format_description = "JPEG (ISO 10918)"

    def _open(self) -> None:
        body = self.fp.read() if self.fp else b""
        header = read_header(body)
        self.has_many_scans = header.has_many_scans
        if self.has_many_scans:
            check_scans(body, header)
        self._data_at = len(header.for_decoder)
        self._body = b"".join((header.for_decoder, memoryview(body)[header.first_scan.data_at :]))
        self._can_be_scaled = not header.is_lossless and max(header.width, header.height) >= _SMALLEST_SCALED
        self._scale = 1
        self._whole_size = self._size = header.width, header.height
        self._mode = _MODES[len(header.components)]
        self.info = {"exif": header.exif, "icc_profile": header.icc_profile}

    def draft(
        self,
        mode: str | None,  # noqa: ARG002 (as Pillow has it)
        size: tuple[int, int] | None,
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Choose the smallest scale at which both sides are as long as `size` asks; tell where the image ends."""
        if size is None or not self._can_be_scaled:
            return None
        (width, height), most = self.size, min(self.width // size[0], self.height // size[1])
        self._scale = scale = next((scale for scale in _SCALES if scale <= most), 1)
        self._size = -(-width // scale), -(-height // scale)
        return self.mode, (0, 0, width / scale, height / scale)

    def load(self) -> Any:
        """Decode the image."""
        if self._im is None:
            self.im = self._decoded().im
        return super().load()

    def _decoded(self) -> Image.Image:
        body, complaint = self._body, ""
        _, rawmode, n_bytes = _RAW[self.mode]
        pixels = bytearray(self.width * self.height * n_bytes)
        for _ in range(_MAX_STRAY):
            complaint = self._decode_into(pixels, body)
            if not complaint:
                return Image.frombytes(self.mode, self.size, pixels, "raw", rawmode)
            if "subsampling" in complaint:
                return self._decoded_by_pillow()
            if not (stray := _STRAY_BYTES.search(complaint)):
                break
            body = self._without_stray(body, int(stray[1]), bytes((0xFF, int(stray[2], 16))))
        if "Insufficient memory" in complaint:
            raise MemoryError
        raise ImageError("corrupt_image", f"the JPEG decoder reports: {complaint}")

    def _decode_into(self, pixels: bytearray, body: bytes) -> str:
        """Decode `body`, which has the same header; return the decoder's first complaint, if it has one."""
        width, height = self.size if self._scale > 1 else (0, 0)
        try:
            decode_jpeg(body, _RAW[self.mode][0], min_width=width, min_height=height, buffer=pixels)
        except ValueError as error:
            return str(error)
        return ""

    def _without_stray(self, body: bytes, n_stray: int, marker: bytes) -> bytes:
        """Take out the first stray bytes; they are before the first such marker that, as an end, leaves them stray."""
        scratch = bytearray(self.width * self.height * _RAW[self.mode][2])
        markers = [match.start() for match in re.finditer(re.escape(marker), body) if match.start() > self._data_at]

        def leaves_them_stray(at: int) -> bool:
            return _STRAY_BYTES.search(self._decode_into(scratch, body[:at] + _END)) is not None

        end = next(iter(markers[bisect_left(markers, x=True, key=leaves_them_stray) :]), 0)
        start = end - n_stray
        if start - _N_ALIKE < self._data_at or len(set(body[start - _N_ALIKE : end])) == 1:
            raise ImageError("corrupt_image", "a JPEG that was filled up where its image ended too soon")
        return body[:start] + body[end:]

    # What simplejpeg does not decode ----------------------------------------------------------------------------------

    def _decoded_by_pillow(self) -> Image.Image:
        """Decode an image whose components have unusual sizes, which simplejpeg refuses.

        A decoder that lacks pixels takes more bytes for them where it finds some at the end of a scan; one that has all
        its pixels takes no notice of them.
        """
        if self._checksum(self._with_more()) != self._checksum(self._body):
            raise ImageError("corrupt_image", "a JPEG that ends before its image does")
        return self._by_pillow(self._body, self.size, self._scale)

    def _with_more(self) -> bytes:
        parts, at = [self._body[: self._data_at]], self._data_at
        for segment in segments(self._body, at):
            if data := self._body[at : segment.start]:
                parts += (_RESTART.sub(lambda restart: _NOISE + restart[0], data), _MORE_PIXELS)
            parts.append(self._body[segment.start : segment.end])
            at = segment.end
        return b"".join(parts)

    def _checksum(self, body: bytes) -> int:
        # A scale may hide that the finest detail is missing, which only a scan of its own brings.
        size, scale = (self._whole_size, 1) if self.has_many_scans else (self.size, self._scale)
        return zlib.crc32(self._by_pillow(body, size, scale).tobytes())

    def _by_pillow(self, body: bytes, size: tuple[int, int], scale: int) -> Image.Image:
        return Image.frombytes(self.mode, size, body, "jpeg", _RAW[self.mode][1], "", scale, 0)
