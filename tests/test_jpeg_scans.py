"""A JPEG that was cut short is told from one that only looks so, by what its decoder does with more bytes."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from pixvec.errors import ImageError
from pixvec.jpeg_scans import check_scans, is_cut_short
from pixvec.testing.images import draw, encode, image_bytes

GREY = Image.new("RGB", (160, 120), (128, 128, 128))
WHOLE: dict[str, bytes] = {
    "drawn": image_bytes(size=(160, 120)),
    "grey": encode(GREY),
    "grey-progressive": encode(GREY, progressive=True),
    "grey-restarts": encode(GREY, restart_marker_blocks=1),
    "ink": encode(GREY.convert("CMYK")),
    "progressive": image_bytes(size=(160, 120), progressive=True),
    "two-pictures": encode(draw((160, 120)), "MPO", save_all=True, append_images=[GREY]),
    "bytes-behind": image_bytes(size=(160, 120)) + b"\xff\xd9\xff\xd9" * 9,
}


def is_cut(body: bytes, size: tuple[int, int] | None = None) -> bool:
    image = JpegImageFile(io.BytesIO(body))
    image.draft(None, size)
    image.load()
    return is_cut_short(body, image, has_many_scans="progressive" in image.info)


@pytest.mark.parametrize("size", [None, (20, 15)], ids=["full", "scaled"])
@pytest.mark.parametrize("body", WHOLE.values(), ids=WHOLE)
def test_a_whole_picture_is_not_cut_short(body: bytes, size: tuple[int, int] | None) -> None:
    assert not is_cut(body, size)


@pytest.mark.parametrize("size", [None, (20, 15)], ids=["full", "scaled"])
@pytest.mark.parametrize("save", [{}, {"restart_marker_rows": 1}, {"subsampling": 0}], ids=["plain", "restarts", "444"])
def test_wherever_a_picture_is_cut_it_shows(save: dict[str, Any], size: tuple[int, int] | None) -> None:
    body = image_bytes(size=(160, 120), **save)
    start = body.index(b"\xff\xda") + 14
    ends = range(start + (len(body) - start) // 10, len(body) * 9 // 10, 97)
    assert [end for end in ends if not is_cut(body[:end] + b"\xff\xd9", size)] == []


def test_a_picture_that_lacks_a_component_is_cut_short() -> None:
    body = image_bytes(size=(160, 120), progressive=True)
    scan, next_segment = body.index(b"\xff\xda"), body.index(b"\xff\xc4", body.index(b"\xff\xda"))
    scan_of_one = b"\xff\xda\0\x08\1" + body[scan + 5 : scan + 7] + body[scan + 11 : next_segment]
    assert is_cut(body[:scan] + scan_of_one + b"\xff\xd9")


@pytest.mark.parametrize(("n_scans", "is_refused"), [(400, False), (501, True)])
def test_a_picture_of_very_many_scans_is_refused(n_scans: int, is_refused: bool) -> None:
    body = image_bytes(size=(16, 16))
    at = body.index(b"\xff\xda")
    many = body[:at] + body[at:-2] * n_scans + b"\xff\xd9"
    if is_refused:
        with pytest.raises(ImageError, match=r"^corrupt_image: a JPEG in more than 500 scans$"):
            check_scans(many)
    else:
        check_scans(many)


def test_what_looks_like_scans_behind_the_picture_is_not_counted() -> None:
    check_scans(image_bytes() + b"\xff\xda" * 1000)
