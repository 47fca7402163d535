"""The first bytes of a file -> the format it has.

In: a file's bytes. Out: the format's name, in Pillow's words where Pillow decodes it.

A table of our own, because what it leaves out matters as much as what it names: a page of HTML, a text that begins with
"BM" or the bare magic of a format must not pass for an image.
"""

from __future__ import annotations

import re
from typing import Final

_MAGIC: Final = tuple(
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        ("JPEG", rb"\xff\xd8\xff"),
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("GIF", rb"GIF8[79]a"),
        ("WEBP", rb"RIFF....WEBP"),
        ("BMP", rb"BM.{12}[\x0c\x10-\x40\x6c\x7c]\0\0\0"),  # the second header's length follows the first
        ("AVIF", rb"....ftyp(?:....){0,16}?avi[fs]"),
        ("HEIC", rb"....ftyp(?:....){0,16}?(?:hei[cmsx]|hev[cmsx]|mi[af]1|msf1)"),
        ("MP4", rb"....ftyp"),
        ("JPEG XL", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n"),
        ("JPEG 2000", rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n"),
        ("TIFF", rb"II[*+]\0|MM\0[*+]"),
        ("ICO", rb"\0\0[\1\2]\0(?!\0\0)"),  # as many images as follow; a TGA may have a zero there
        ("PSD", rb"8BPS"),
        ("PDF", rb"%PDF-"),
        ("PostScript", rb"%!PS|\xc5\xd0\xd3\xc6"),
        ("WebM", rb"\x1a\x45\xdf\xa3"),
        ("QOI", rb"qoif.{8}[\3\4][\0\1]"),  # width and height, then channels and colour space
        ("PNM", rb"P[1-6]\s(?:\s|#[^\n]*\n)*\d+\s(?:\s|#[^\n]*\n)*\d+\s|P7\n(?:#[^\n]*\n)*[A-Z]+ \w"),
        ("PFM", rb"P[Ff]\s+\d+\s+\d+\s+[-+.\d]"),
        ("DDS", rb"DDS \x7c\0\0\0"),
        ("ICNS", rb"icns\0"),  # fewer than 16 MiB
        ("OpenEXR", rb"v/1\x01[\1\2]"),
        ("Radiance HDR", rb"#\?(?:RADIANCE|RGBE)\n"),
        ("JPEG XR", rb"II\xbc[\0\1]"),
        ("MNG", rb"(?:\x8aMNG|\x8bJNG)\r\n\x1a\n"),
        ("XCF", rb"gimp xcf (?:file|v\d)"),
        ("OS/2 bitmap array", rb"BA.{12}(?:BM|CI|CP|IC|PT)"),
        ("SVG", rb"(?:\xef\xbb\xbf)?(?:\s|<[?!][^>]*>|\]>)*<svg\b"),  # behind declarations, comments and entities
    )
)
_TGA_MAGIC: Final = b"TRUEVISION-XFILE.\0"
"""The end of a TGA; its first version has no magic."""
_NO_IMAGE: Final = (
    (
        "an HTML page",
        re.compile(
            rb"\s*+(?:(?><!--.*?-->)\s*+)*+<(?:!doctype html|html|head|body|title|meta|script)\b",
            re.IGNORECASE | re.DOTALL,
        ),
    ),
    ("XML", re.compile(rb"\s*<\?xml\b")),
    ("JSON", re.compile(rb"\s*(?:\{\s*[\"}]|\[\s*[\"{\[\]])")),
)
"""What servers send in place of an image."""
_UTF8_MARK: Final = b"\xef\xbb\xbf"
_JPEG_MAGIC: Final = b"\xff\xd8\xff"
_LONGEST_MAGIC: Final = 16
_HEAD: Final = 4096
_MAX_STRAY: Final = 64


def sniff(body: bytes) -> str | None:
    """Name the format that the bytes begin like; None where they are no image, and no video or document either."""
    if len(body) <= _LONGEST_MAGIC:
        return None
    head = body[:_HEAD]
    last = "TGA" if body.endswith(_TGA_MAGIC) else None
    return next((name for name, magic in _MAGIC if magic.match(head)), last)


def name_no_image(body: bytes) -> str:
    """Name what bytes are that have no format: by their kind, and never in their own words."""
    head = body[:_HEAD].removeprefix(_UTF8_MARK)
    return next((name for name, start in _NO_IMAGE if start.match(head)), "no image")


def drop_stray_bytes(body: bytes) -> bytes:
    """Drop what some servers put before a JPEG, such as blank lines; other bytes are returned as they are."""
    start = body.find(_JPEG_MAGIC, 0, _MAX_STRAY)
    return body[start:] if start > 0 and sniff(body) is None else body
