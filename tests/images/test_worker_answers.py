"""What a decode worker answers is not trusted: a worker may have been taken over by an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixvec.errors import ImageError
from pixvec.images.decode import DecodeOptions, Header
from pixvec.images.decode_worker import pack_header
from pixvec.images.workers import CropMaker
from pixvec.model.checkpoint import ProcessorConfig
from tests.images.lying_worker import LIE

LIAR = (str(Path(__file__).parent / "lying_worker.py"),)
HEADER = Header("PNG", 64, 48, 1, 64 * 48)
NONSENSE = "decoder_crash: the decoder's answer makes no sense"


def frame(kind: str, payload: bytes | str, *, nonce: str = "=") -> bytes:
    held = payload.encode() if isinstance(payload, str) else payload
    return LIE.pack(kind.encode(), nonce.encode(), len(held)) + held


def body(first: bytes, second: bytes = b"") -> bytes:
    return first + b"\0then\0" + second


def crop(shade: int, n_bytes: int = 16 * 16 * 3) -> bytes:
    return frame("C", bytes([shade]) * n_bytes)


TRUE_HEADER = frame("H", pack_header(HEADER))


@pytest.fixture
def crops() -> Iterator[CropMaker]:
    options, processor = DecodeOptions(isolate="always"), ProcessorConfig(resize=16, center_crop=(16, 16))
    with closing(CropMaker(options, processor, program=LIAR)) as made:
        yield made


def outcome(crops: CropMaker, body: bytes) -> str:
    try:
        pixels, _ = crops.crop(body, sha256=bytes(32))
    except ImageError as error:
        return str(error)
    return f"all {pixels[0, 0, 0]}" if np.unique(pixels).size == 1 else "pixels"


def test_what_was_asked_for_is_taken(crops: CropMaker) -> None:
    assert outcome(crops, body(TRUE_HEADER, crop(7))) == "all 7"
    assert outcome(crops, body(frame("E", '["corrupt_image", "cut off"]'))) == "corrupt_image: cut off"
    assert outcome(crops, body(TRUE_HEADER, frame("E", '["decoder_crash", "x"]'))) == "decoder_crash: x"


@pytest.mark.parametrize(
    "claim",
    [
        {"format": "\x1b[2J"},
        {"format": "TIFF"},
        {"width": 0},
        {"width": 100_000, "height": 100_000},
        {"frames": 2**32 - 1},
        {"n_pixels": 0},
        {"n_pixels": 2**63},
    ],
    ids=str,
)
def test_a_header_that_no_image_asked_for_can_have_is_a_crash(claim: dict[str, Any], crops: CropMaker) -> None:
    header = frame("H", pack_header(replace(HEADER, **claim)))
    assert outcome(crops, body(header, crop(7))) == NONSENSE


@pytest.mark.parametrize(
    "reason",
    [
        '["http_503", "a code of another stage"]',
        '["no_such_code", "x"]',
        '["corrupt_image", "half a character \\ud800"]',
        '["corrupt_image", "an escape \\u001b[2J"]',
        '["corrupt_image", "a turn \\u202egnp"]',
        '["corrupt_image", 7]',
        '[["corrupt_image"], "x"]',
        '["corrupt_image"]',
        "null",
        "[" * 30_000,
        json.dumps(["corrupt_image", "x" * 2_000]),
        b"\xff\xfe",
    ],
    ids=lambda reason: ascii(reason)[:30],
)
def test_a_reason_that_no_decoder_gives_is_a_crash(reason: str | bytes, crops: CropMaker) -> None:
    assert outcome(crops, body(frame("E", reason))) == NONSENSE


@pytest.mark.parametrize(
    "answers",
    [
        body(frame("H", pack_header(HEADER), nonce="?"), crop(7)),
        body(TRUE_HEADER, frame("C", bytes(16 * 16 * 3), nonce="?")),
        body(frame("E", '["corrupt_image", "x"]', nonce="?")),
        body(crop(7)),
        body(frame("R", "[]")),
        body(TRUE_HEADER, TRUE_HEADER),
        body(frame("H", b"short")),
        body(TRUE_HEADER, crop(7, 5)),
        body(TRUE_HEADER, crop(7, 16 * 16 * 3 + 1)),
        body(LIE.pack(b"H", b"=", 0)),
    ],
    ids=["nonce", "crop's nonce", "reason's nonce", "crop", "ready", "header", "cut", "few", "many", "empty"],
)
def test_an_answer_to_another_question_is_a_crash(answers: bytes, crops: CropMaker) -> None:
    assert outcome(crops, answers) == NONSENSE
    assert outcome(crops, body(TRUE_HEADER, crop(3))) == "all 3"


@pytest.mark.parametrize("more", [crop(9), TRUE_HEADER, frame("H", pack_header(HEADER), nonce="?"), b""])
def test_what_a_worker_says_unasked_costs_the_next_image_nothing(more: bytes, crops: CropMaker) -> None:
    assert outcome(crops, body(TRUE_HEADER, crop(1) + more)) == "all 1"
    assert outcome(crops, body(TRUE_HEADER, crop(2))) == "all 2"


def test_the_words_of_a_bug_do_nothing_to_a_terminal(crops: CropMaker) -> None:
    with pytest.raises(RuntimeError, match="a bug, met in a decode worker") as caught:
        outcome(crops, body(frame("X", "\x1b]0;owned\x07 \u202e")))
    assert str(caught.value).replace("\n", "").isprintable()
