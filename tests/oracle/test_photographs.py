"""Photographs, in ViT-B/32's full depth: equal to transformers in fp32, near it with the defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from pixvec import Embedder
from pixvec.model import l2_normalize
from pixvec.model.engine import resolve_precision
from pixvec.testing.images import encode
from pixvec.values import Vectors
from tests.oracle.conftest import PHOTOGRAPHS, Oracle, assert_parity, cosines, photograph

pytestmark = pytest.mark.oracle
pytest.importorskip("torch")
pytest.importorskip("transformers")

SHORT_SIDES = (None, 500, 1000, 1800)
"""None leaves a photograph as it is; from 448 on, a JPEG is decoded at a smaller scale."""


class Photographs(NamedTuple):
    bodies: list[bytes]
    expected: Vectors


@pytest.fixture(scope="module")
def photographs(base_patch32_oracle: Oracle) -> Photographs:
    """Photographs as JPEG files, at several sizes, with the vectors that transformers gives them."""
    bodies = [as_jpeg(name, short_side) for short_side in SHORT_SIDES for name in PHOTOGRAPHS]
    return Photographs(bodies, base_patch32_oracle.embed(bodies))


@pytest.fixture(scope="module")
def default_embedder(base_patch32: Path) -> Iterator[Embedder]:
    with Embedder(model=str(base_patch32)) as embedder:
        yield embedder


def as_jpeg(name: str, short_side: int | None) -> bytes:
    with Image.open(photograph(name)) as image:
        scale = short_side / min(image.size) if short_side else 1
        size = round(image.width * scale), round(image.height * scale)
        return encode(image.resize(size, Image.Resampling.LANCZOS), "JPEG", quality=85)


def stripes(width: int) -> bytes:
    column = np.where(np.arange(1000) // width % 2, 255, 0).astype(np.uint8)
    return encode(Image.fromarray(np.repeat(column[:, np.newaxis], 1000, axis=1)), "JPEG", quality=95)


@pytest.mark.parametrize("decode", ["auto", "full", "reference"])
def test_fp32_gives_the_vectors_of_transformers(decode: Any, base_patch32: Path, photographs: Photographs) -> None:
    n = len(PHOTOGRAPHS)
    with Embedder(model=str(base_patch32), precision="fp32", decode=decode) as embedder:
        assert_parity(photographs.expected[:n], embedder.embed(photographs.bodies[:n]).vectors)


def test_the_defaults_stay_near_transformers(
    default_embedder: Embedder, photographs: Photographs, record_property: Callable[[str, object], None]
) -> None:
    vectors = default_embedder.embed(photographs.bodies).vectors
    near = cosines(photographs.expected, vectors)
    # Random weights give any two images a cosine near 0.85: what tells them apart is what is left without the mean.
    mean = photographs.expected.mean(axis=0)  # (D,)
    centred = cosines(l2_normalize(photographs.expected - mean), l2_normalize(vectors - mean))
    for name, values in (("cosine", near), ("centred cosine", centred)):
        record_property(name, f"{len(values)} images: least {values.min():.5f}, mean {values.mean():.5f}")
    assert near.min() >= 0.999
    assert near.mean() >= 0.9995
    assert centred.min() >= 0.99


@pytest.mark.skipif(resolve_precision("auto") == "fp32", reason="without bf16, the default decodes every pixel")
def test_stripes_of_three_pixels_need_full_decoding(
    default_embedder: Embedder, base_patch32: Path, base_patch32_oracle: Oracle
) -> None:
    bodies = [stripes(width=3)]
    expected = base_patch32_oracle.embed(bodies)
    assert 0.90 < cosines(expected, default_embedder.embed(bodies).vectors).item() < 0.96
    with Embedder(model=str(base_patch32), decode="full") as embedder:
        assert cosines(expected, embedder.embed(bodies).vectors).item() > 0.9995
