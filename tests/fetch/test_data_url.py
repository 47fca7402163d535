from __future__ import annotations

import base64
from urllib.parse import quote, quote_from_bytes, unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.fetch import is_data_url, read_data_url


@given(body=st.binary(max_size=3000), type_=st.text("a/;=", max_size=9))
def test_brings_the_bytes_of_every_form(body: bytes, type_: str) -> None:
    digits = base64.b64encode(body).decode()
    for form in (f";base64,{digits}", f";base64,{quote(digits, safe='')}", f",{quote_from_bytes(body)}"):
        assert read_data_url(f"data:{type_}{form}", max_bytes=10_000) == body


@pytest.mark.parametrize("start", ["", "a", "ab", "%41a"])
def test_escapes_are_whole_wherever_the_text_is_cut(start: str) -> None:
    body = bytes(range(256)) * 600
    text = start + "".join(f"%{byte:02x}" for byte in body)
    assert read_data_url(f"data:,{text}", max_bytes=len(text)) == unquote_to_bytes(start) + body


@pytest.mark.parametrize(
    ("cell", "expected"), [("data:", True), (" \tDATA:x", True), ("data", False), ("xdata:", False)]
)
def test_knows_a_data_url(cell: str, *, expected: bool) -> None:
    assert is_data_url(cell) == expected
