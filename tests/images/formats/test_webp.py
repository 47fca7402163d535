"""What a WebP claims is read as Pillow reads it."""

from __future__ import annotations

import pytest
from PIL import WebPImagePlugin

from pixvec.images.formats.webp import webp_size
from pixvec.testing.images import animation_bytes, image_bytes

WEBPS = {
    "lossy": image_bytes("WEBP", size=(301, 203)),
    "lossless": image_bytes("WEBP", size=(301, 203), lossless=True),
    "clear": image_bytes("WEBP", size=(301, 203), mode="RGBA"),
    "animation": animation_bytes("WEBP", size=(301, 203)),
}


@pytest.mark.parametrize("body", WEBPS.values(), ids=WEBPS)
def test_the_size_of_a_webp_is_read_as_by_pillow(body: bytes) -> None:
    assert webp_size(body) == WebPImagePlugin._get_size(body[:30]) == (301, 203)


@pytest.mark.parametrize(
    "body", [b"RIFF....WEBPVP8 ", b"RIFF....WEBPVP8L" + bytes(30), b"RIFF....WEBPjunk" + bytes(30)]
)
def test_a_webp_of_no_sense_has_no_size(body: bytes) -> None:
    assert webp_size(body) == (0, 0)
