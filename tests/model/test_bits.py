"""The same bytes give the same vector, bit for bit, in layers of ViT-B/32's size, whatever is embedded beside them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pixvec import Embedder
from pixvec.model.engine import resolve_precision
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.images import image_bytes

pytestmark = pytest.mark.timeout(400)  # a full-size model, beside other load

NEEDS_BF16 = pytest.mark.skipif(resolve_precision("auto") == "fp32", reason="no bf16")
MODELS = [
    pytest.param(("fp32", 2), id="fp32"),
    pytest.param(("bf16", 2), id="bf16", marks=NEEDS_BF16),
    pytest.param(("fp32", 12), id="fp32, all layers", marks=pytest.mark.long),
    pytest.param(("bf16", 12), id="bf16, all layers", marks=[pytest.mark.long, NEEDS_BF16]),
]
BODIES = [image_bytes(size=(300 + seed, 480), seed=seed) for seed in range(41)]
"""More than a batch."""


@pytest.fixture(scope="module", params=MODELS)
def embedder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedder]:
    precision, n_layers = request.param
    layers = {"num_hidden_layers": n_layers}
    model = make_checkpoint(tmp_path_factory.mktemp("model"), "vit-base-patch32", vision=layers, vision_only=True)
    with Embedder(model=model, precision=precision) as embedder:
        yield embedder


@pytest.fixture(scope="module")
def expected(embedder: Embedder) -> list[bytes]:
    """Each image's vector from a call of its own."""
    return [vector for body in BODIES for vector in embed(embedder, [body])]


def embed(embedder: Embedder, bodies: list[bytes]) -> list[bytes]:
    return [vector.tobytes() for vector in embedder.embed(bodies).vectors]


def test_bits_do_not_depend_on_the_company(embedder: Embedder, expected: list[bytes]) -> None:
    assert expected == embed(embedder, BODIES)
    assert expected[::-1] == embed(embedder, BODIES[::-1])
    assert expected[5:13] == embed(embedder, BODIES[5:13])


def test_bits_do_not_depend_on_rows_that_fail_or_repeat(embedder: Embedder, expected: list[bytes]) -> None:
    cells = [cell for body in BODIES[:9] for cell in (b"no image", body, body)]
    vectors = embed(embedder, cells)
    assert expected[:9] == vectors[1::3] == vectors[2::3]


@pytest.mark.parametrize("batch_size", [1, 8, 20])
def test_bits_do_not_depend_on_the_batch_size(embedder: Embedder, expected: list[bytes], batch_size: int) -> None:
    with Embedder(model=embedder.settings.model, precision=embedder.settings.precision, batch_size=batch_size) as other:
        assert expected[:21] == embed(other, BODIES[:21])
