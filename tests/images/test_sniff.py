"""What the first bytes of a file say it is."""

from __future__ import annotations

import pytest

from pixvec.images.sniff import drop_stray_bytes, name_no_image, sniff
from pixvec.testing.images import image_bytes

REST = bytes(range(1, 65))


@pytest.mark.parametrize("name", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "AVIF"])
def test_names_what_is_decoded(name: str) -> None:
    assert sniff(image_bytes(name, size=(16, 16))) == name


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomavc1", "MP4"),
        (b"\xff\x0a", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"\0\0\1\0", "ICO"),
        (b"8BPS", "PSD"),
        (b"%PDF-1.7", "PDF"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "PostScript"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by hand -->\n<svg>", "SVG"),
        (b"<?xml version='1.0'?><!DOCTYPE lolz [<!ENTITY lol 'lol'><!ENTITY lol2 '&lol;'>]>\n<svg>", "SVG"),
    ],
)
def test_names_what_is_recognised_only(head: bytes, name: str) -> None:
    assert sniff(head + REST) == name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"<!doctype html><html><body><svg></svg></body></html>",
        b'{"error": "not found"}',
        b"BMW cars, second hand, and what they cost in 1998",
        bytes(100),
    ],
)
def test_what_is_no_image_has_no_name(body: bytes) -> None:
    assert sniff(body) is None


@pytest.mark.parametrize("stray", [b"", b"\r\n\r\n", b"\xef\xbb\xbf", b"garbage"])
def test_stray_bytes_before_a_jpeg_are_dropped(stray: bytes) -> None:
    body = image_bytes(size=(16, 16))
    assert drop_stray_bytes(stray + body) == body


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"<!doctype html><title>secret</title>", "an HTML page"),
        (b"\xef\xbb\xbf\r\n<!-- secret -->\n<!-- x -->\n<HTML lang=en>", "an HTML page"),
        (b"<html></html>", "an HTML page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "XML"),
        (b'{"error": 1}', "JSON"),
        (b'[{"error": 1}]', "JSON"),
        (b"secret", "no image"),
        (b"", "no image"),
        (b"<!---->" * 600, "no image"),
        (b"{}" + bytes(range(256)), "JSON"),
        (b"<b>secret", "no image"),
    ],
)
def test_names_what_is_served_in_place_of_an_image(body: bytes, name: str) -> None:
    assert sniff(body) is None
    assert name_no_image(body) == name
