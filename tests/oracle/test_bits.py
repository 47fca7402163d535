"""The same bytes give the same vector, bit for bit, in ViT-B/32's full size: no batch, neighbour or order counts.

Needs no transformers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pixvec import Embedder
from pixvec.model.engine import resolve_precision
from pixvec.testing.images import image_bytes

pytestmark = pytest.mark.timeout(400)  # a full-size model, beside other load

PRECISIONS = [
    "fp32",
    pytest.param("bf16", marks=pytest.mark.skipif(resolve_precision("auto") == "fp32", reason="no bf16")),
]
BODIES = [image_bytes(size=(300 + seed, 480), seed=seed) for seed in range(41)]
"""More than a batch."""


@pytest.fixture(scope="module", params=PRECISIONS)
def embedder(request: pytest.FixtureRequest, base_patch32: Path) -> Iterator[Embedder]:
    with Embedder(model=str(base_patch32), precision=request.param) as embedder:
        yield embedder


@pytest.fixture(scope="module")
def expected(embedder: Embedder) -> list[bytes]:
    """Each picture's vector from a call of its own."""
    return [vector for body in BODIES for vector in embed(embedder, [body])]


def embed(embedder: Embedder, bodies: list[bytes]) -> list[bytes]:
    return [vector.tobytes() for vector in embedder.embed(bodies).vectors]


def test_bits_do_not_depend_on_the_company(embedder: Embedder, expected: list[bytes]) -> None:
    assert expected == embed(embedder, BODIES)
    assert expected[::-1] == embed(embedder, BODIES[::-1])
    assert expected[5:13] == embed(embedder, BODIES[5:13])


def test_bits_do_not_depend_on_rows_that_fail_or_repeat(embedder: Embedder, expected: list[bytes]) -> None:
    cells = [cell for body in BODIES[:9] for cell in (b"no picture", body, body)]
    vectors = embed(embedder, cells)
    assert expected[:9] == vectors[1::3] == vectors[2::3]


@pytest.mark.parametrize("batch_size", [1, 8, 20])
def test_bits_do_not_depend_on_the_batch_size(embedder: Embedder, expected: list[bytes], batch_size: int) -> None:
    with Embedder(model=embedder.settings.model, precision=embedder.settings.precision, batch_size=batch_size) as other:
        assert expected[:21] == embed(other, BODIES[:21])
