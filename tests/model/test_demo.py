"""The packaged demo model: its vectors mean what its images show, for pairs of kind and colour it never saw."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tools.world import KINDS, Scene, attributes, describe, distinct_scenes, draw_scene, phrase

from pixvec import Embedder
from pixvec.model.checkpoint import load
from pixvec.model.demo import FOLDER
from pixvec.testing.images import encode
from pixvec.values import Vectors

N_SCENES = 400
FIRST_SEED = 30_000_000
SIZE = 160


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder(model=str(FOLDER))


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return distinct_scenes(N_SCENES, first_seed=FIRST_SEED, held_out=True)


@pytest.fixture(scope="module")
def vectors(embedder: Embedder, scenes: list[Scene]) -> Vectors:
    return embedder.embed([encode(draw_scene(scene, SIZE), quality=90) for scene in scenes]).vectors


def test_a_description_finds_its_image(embedder: Embedder, scenes: list[Scene], vectors: Vectors) -> None:
    scores = embedder.embed_query([describe(scene) for scene in scenes]) @ vectors.T
    rank = (scores > scores.diagonal()[:, None]).sum(axis=1)
    assert rank.max() < 10
    assert (rank == 0).mean() > 0.95


def test_images_are_named_rightly(embedder: Embedder, scenes: list[Scene], vectors: Vectors) -> None:
    kinds = list(KINDS)
    named = (vectors @ embedder.embed_query([phrase("kind", kind) for kind in kinds]).T).argmax(axis=1)
    known = [(row, known["kind"]) for row, scene in enumerate(scenes) if "kind" in (known := attributes(scene))]
    assert np.mean([kinds[named[row]] == kind for row, kind in known]) > 0.85


SEARCHES: dict[str, Callable[[Scene], bool]] = {
    "something red": lambda scene: "red" in [thing.color for thing in scene.things],
    "two things": lambda scene: scene.count == 2,
    "on the left": lambda scene: scene.position == "left",
    "on the beach": lambda scene: scene.backdrop == "beach",
    "at night": lambda scene: scene.night,
    "in the snow": lambda scene: scene.weather == "snow",
}


@pytest.mark.parametrize("words", SEARCHES)
def test_few_words_find_what_they_say(words: str, embedder: Embedder, scenes: list[Scene], vectors: Vectors) -> None:
    nearest = (vectors @ embedder.embed_query(words)[0]).argsort()[::-1][:5]
    found = [scenes[row] for row in nearest]
    assert sum(map(SEARCHES[words], found)) >= 4, [describe(scene) for scene in found]


def shrunk(image: Image.Image) -> bytes:
    return encode(image.resize((SIZE * 3 // 5, SIZE * 3 // 5), Image.Resampling.BICUBIC))


def cropped(image: Image.Image) -> bytes:
    return encode(image.crop((SIZE // 25, SIZE // 25, SIZE - SIZE // 25, SIZE - SIZE // 25)))


@pytest.mark.parametrize(
    "alter",
    [partial(encode, quality=40), partial(encode, format="WEBP", quality=60), shrunk, cropped],
    ids=["re-encoded", "in another format", "resized", "cropped"],
)
def test_nothing_is_nearer_than_a_copy(
    alter: Callable[[Image.Image], bytes], embedder: Embedder, scenes: list[Scene], vectors: Vectors
) -> None:
    copies = embedder.embed([alter(draw_scene(scene, SIZE)) for scene in scenes[:60]]).vectors
    similarities = copies @ vectors.T
    own = similarities.diagonal().copy()  # (60,)
    np.fill_diagonal(similarities, -1)
    assert (own - similarities.max(axis=1)).min() > 0.05


def test_normalizing_keeps_the_direction(scenes: list[Scene], vectors: Vectors) -> None:
    files = [encode(draw_scene(scene, SIZE), quality=90) for scene in scenes[:20]]
    raw = Embedder(model=str(FOLDER), normalize=False).embed(files).vectors
    lengths = np.linalg.norm(raw, axis=1)
    assert not np.allclose(lengths, 1, atol=0.1)
    assert np.allclose(raw / lengths[:, None], vectors[:20], atol=1e-6)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_it_is_small_enough_for_a_wheel() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 8 * 2**20


def test_its_card_comes_with_it() -> None:
    assert "not for photographs" in (FOLDER / "README.md").read_text()
    assert json.loads((FOLDER / "config.json").read_text())["model_type"] == "clip"


@pytest.mark.oracle
def test_transformers_reads_it_alike(scenes: list[Scene]) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    files = [encode(draw_scene(scene, SIZE), "PNG") for scene in scenes[:8]]
    texts = ["a cat", "three red umbrellas on the beach", "Naïve elephants!"]
    model = transformers.CLIPModel.from_pretrained(FOLDER, dtype=torch.float32).eval()
    processor = transformers.CLIPImageProcessorPil.from_pretrained(FOLDER)
    tokens = transformers.AutoTokenizer.from_pretrained(FOLDER)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        pixel_values = processor([Image.open(io.BytesIO(file)) for file in files], return_tensors="pt")["pixel_values"]
        theirs = (
            model.get_image_features(pixel_values=pixel_values).pooler_output,
            model.get_text_features(**tokens).pooler_output,
        )
    embedder = Embedder(model=str(FOLDER), precision="fp32")
    for expected, actual in zip(theirs, (embedder.embed(files).vectors, embedder.embed_query(texts)), strict=True):
        assert np.abs(torch.nn.functional.normalize(expected, dim=1).numpy() - actual).max() < 1e-4


def test_demo_is_its_name_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load("demo").folder == FOLDER
    assert Embedder(model="demo").dim == 128
