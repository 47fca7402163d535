"""What fuzzing found stays fixed, and what it began with stays good."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.seeds import IMAGES, SEEDS
from tests.fuzz.targets import POLICIES, TARGETS, crop

CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(path for path in CORPUS.glob("*/*") if path.is_file())


@pytest.mark.parametrize("path", FOUND, ids=[f"{path.parent.name}-{path.name}" for path in FOUND])
def test_what_was_found_is_found_no_more(path: Path) -> None:
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", SEEDS)
def test_seeds_break_no_promise(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.parametrize("body", IMAGES.values(), ids=IMAGES)
def test_seeds_are_images(body: bytes) -> None:
    assert {type(crop(body, policy=policy)) for policy in POLICIES} == {bytes}
