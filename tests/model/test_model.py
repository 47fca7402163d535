"""The towers against golden vectors, and what does not change a vector's bits."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixvec.concurrency.stop import StoppedError
from pixvec.errors import ModelError, UsageError
from pixvec.model import ClipModel, ModelOptions, l2_normalize
from pixvec.model.checkpoint import load
from pixvec.model.engine import resolve_precision
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.values import Crops, Vectors

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "vectors.json").read_text())
PRECISIONS = [
    "fp32",
    pytest.param("bf16", marks=pytest.mark.skipif(resolve_precision("auto") == "fp32", reason="no bf16")),
]


def make_model(folder: Path, made_of: dict[str, Any] | None = None, **options: Any) -> ClipModel:
    return ClipModel(load(str(make_checkpoint(folder, **(made_of or {})))), ModelOptions(**options))


def draw_crops(n: int, size: int) -> Crops:
    return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def unit(vectors: Any) -> Vectors:
    return l2_normalize(np.array(vectors, dtype=np.float32))


@pytest.fixture(scope="module", params=PRECISIONS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ClipModel:
    return make_model(tmp_path_factory.mktemp("tiny"), precision=request.param)


@pytest.mark.parametrize("name", GOLDEN["cases"])
def test_vectors_equal_those_of_transformers(name: str, tmp_path: Path) -> None:
    case = GOLDEN["cases"][name]
    model = make_model(tmp_path, case["made_of"], precision="fp32")
    images = model.embed_crops(draw_crops(len(case["images"]), model.image_size))
    texts = model.embed_texts(GOLDEN["texts"])
    assert np.abs(images - unit(case["images"])).max() < 1e-5
    assert np.abs(texts - unit(case["texts"])).max() < 1e-5


def test_bits_do_not_depend_on_the_batch(model: ClipModel) -> None:
    crops = draw_crops(45, model.image_size)
    alone = np.concatenate([model.embed_crops(crops[index : index + 1]) for index in range(45)])
    together, backwards = model.embed_crops(crops), model.embed_crops(crops[::-1])
    assert alone.tobytes() == together.tobytes() == backwards[::-1].tobytes()


@pytest.mark.parametrize("batch_size", [1, 3, 8, 20])
def test_bits_do_not_depend_on_the_batch_size(model: ClipModel, batch_size: int) -> None:
    crops = draw_crops(21, model.image_size)
    other = ClipModel(model.checkpoint, ModelOptions(precision=model.precision, batch_size=batch_size))
    assert other.embed_crops(crops).tobytes() == model.embed_crops(crops).tobytes()


def test_threads_share_a_model(model: ClipModel) -> None:
    crops = draw_crops(40, model.image_size)
    with ThreadPoolExecutor(4) as threads:
        results = list(threads.map(lambda _: model.embed_crops(crops).tobytes(), range(8)))
    assert set(results) == {model.embed_crops(crops).tobytes()}


def test_a_stop_ends_the_work_before_it_begins(model: ClipModel) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(StoppedError):
        model.embed_crops(draw_crops(2, model.image_size), stop=stop)


def test_bf16_is_near_fp32(tmp_path: Path) -> None:
    near = make_model(tmp_path, precision="auto").embed_crops(draw_crops(8, 32))
    exact = make_model(tmp_path, precision="fp32").embed_crops(draw_crops(8, 32))
    assert (near * exact).sum(axis=1).min() > 0.999


def test_normalizing_changes_length_only(tmp_path: Path) -> None:
    crops = draw_crops(3, 32)
    raw = make_model(tmp_path, precision="fp32", normalize=False).embed_crops(crops)
    normalized = make_model(tmp_path, precision="fp32").embed_crops(crops)
    assert np.allclose(np.linalg.norm(normalized, axis=1), 1, atol=1e-6)
    assert np.array_equal(l2_normalize(raw), normalized)


def test_a_zero_vector_stays_zero() -> None:
    assert l2_normalize(np.zeros((1, 4), dtype=np.float32)).tolist() == [[0, 0, 0, 0]]


def test_no_crops_are_no_vectors(model: ClipModel) -> None:
    assert model.embed_crops(draw_crops(0, model.image_size)).shape == (0, model.dim)


def test_half_a_character_is_a_question_mark(model: ClipModel) -> None:
    """Python has a command's words that are not in UTF-8 so."""
    one, other = model.embed_texts(["a \udcff cat", "a ? cat"])
    assert np.array_equal(one, other)


def test_vocabulary_files_tokenize_as_tokenizer_json_does(tmp_path: Path) -> None:
    one = make_model(tmp_path / "one", precision="fp32")
    two = make_model(tmp_path / "two", {"tokenizer": "vocab.json"}, precision="fp32")
    assert np.array_equal(one.embed_texts(GOLDEN["texts"]), two.embed_texts(GOLDEN["texts"]))


@pytest.mark.parametrize(
    ("made_of", "message"),
    [({"vision_only": True}, "no text tower"), ({"tokenizer": None}, "no tokenizer")],
    ids=["no text tower", "no tokenizer"],
)
def test_texts_need_a_text_tower_and_a_tokenizer(made_of: dict[str, Any], message: str, tmp_path: Path) -> None:
    model = make_model(tmp_path, made_of)
    assert model.embed_crops(draw_crops(1, 32)).shape == (1, 32)
    with pytest.raises(ModelError, match=message):
        model.embed_texts(["a cat"])


def test_a_broken_tokenizer_is_named(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path)
    (folder / "tokenizer.json").write_text("{}")
    model = ClipModel(load(str(folder)), ModelOptions())
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        model.embed_texts(["a cat"])


@pytest.mark.skipif(resolve_precision("auto") == "bf16", reason="this processor computes in bf16")
def test_bf16_is_refused_where_the_processor_lacks_it() -> None:
    with pytest.raises(UsageError, match="does not compute"):
        resolve_precision("bf16")
