"""Anything that is a slip away from good input breaks no promise; and every mutation of an image is survived."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import IMAGES, SEEDS
from tests.fuzz.targets import TARGETS, crop

STRETCHES = (
    b"\0",
    b"\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"[",
    b"]",
    b"//",
    b"%",
    b"\r\n",
    b":",
)


@st.composite
def mutants(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> bytes:
    """A seed of which a few stretches are overwritten, left out, doubled or taken from another."""
    body = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.integers(0, 40)))
        other = draw(st.sampled_from(seeds))
        stretches = st.sampled_from([b"", body[start:end] * 2, other[start:end], *STRETCHES]) | st.binary(max_size=8)
        body = body[:start] + draw(stretches) + body[end:]
    return body


@pytest.mark.parametrize(("name", "n_examples"), [("url", 400), ("response", 200), ("image", 200), ("recipe", 200)])
def test_what_is_almost_good_breaks_no_promise(name: str, n_examples: int) -> None:
    @settings(max_examples=n_examples)
    @given(data=mutants(SEEDS[name]) | st.binary(max_size=100))
    def run(data: bytes) -> None:
        TARGETS[name](data)

    run()


def changed(body: bytes) -> Iterator[bytes]:
    """Cut a file off at, and change, every place; of a long one, at some."""
    places = range(len(body)) if len(body) < 500 else random.Random(0).sample(range(len(body)), 200)
    for at in places:
        yield body[:at]
        yield body[:at] + bytes([body[at] ^ 0xFF]) + body[at + 1 :]


@pytest.mark.filterwarnings("ignore")  # of Pillow, which decode workers do not hear
@pytest.mark.parametrize("body", IMAGES.values(), ids=IMAGES)
def test_every_mutation_of_an_image_is_survived(body: bytes) -> None:
    outcomes = {crop(mutant, policy="auto") for mutant in changed(body)}
    assert "corrupt_image" in outcomes
