"""Vectors of images and texts equal transformers' for models of every shape, in every dialect and file format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pixvec import Embedder
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.images import encode
from tests.oracle.conftest import Oracle, assert_parity, photograph_of_size

pytestmark = pytest.mark.oracle
pytest.importorskip("torch")
pytest.importorskip("transformers")

TWO_LAYERS: dict[str, Any] = {"num_hidden_layers": 2}
FEW_WORDS: dict[str, Any] = {"vocab_size": 600, "eos_token_id": 599}
GELU = {"hidden_act": "gelu", "layer_norm_eps": 1e-6}
HUGE = {"hidden_size": 1280, "intermediate_size": 5120, "num_attention_heads": 16, "projection_dim": 1024}
MODELS: dict[str, dict[str, Any]] = {
    "B/16": {"preset": "vit-base-patch16"},
    "L/14": {"preset": "vit-large-patch14"},
    "L/14 at 336 pixels": {"preset": "vit-large-patch14-336"},
    "H/14": {"preset": "vit-huge-patch14"},
    "g/14": {"preset": "vit-giant-patch14"},
    "bigG/14": {"preset": "vit-bigg-patch14"},
    "LAION's B/32": {"vision": {"hidden_act": "gelu"}, "text": {"hidden_act": "gelu"}},
    "gelu and another eps": {"vision": GELU, "text": GELU},
    "projection unlike both widths, heads of 80": {"vision": HUGE},
    "patches that leave pixels over": {"vision": {"image_size": 230}},
    "few text positions": {"text": {"max_position_embeddings": 20}},
    "of 2021, torch's zip in fp16": {"dialect": "openai-2021", "weights_format": "bin", "dtype": "float16"},
    "of 2021, vocab.json": {"dialect": "openai-2021", "weights_format": "safetensors", "tokenizer": "vocab.json"},
    "transformers 4's, shards in bf16": {
        "dialect": "transformers-4",
        "weights_format": "sharded",
        "dtype": "bfloat16",
    },
    "transformers 5's, safetensors": {"dialect": "transformers-5", "weights_format": "safetensors"},
    "transformers 5's, torch's zip": {"dialect": "transformers-5", "weights_format": "bin"},
}
TEXTS = [
    "a red bicycle",
    "",
    " two CATS,\n on\ta sofa!!  ",
    "naïve café, it's 2026: they'll've re-opened № 5",
    "東京の猫 🐈‍⬛ e\u0301",
    "a photograph of a cat, " * 40,
    "supercalifragilistic" * 12,
    "before <|endoftext|> after <|startoftext|>",
]


def draw_files() -> list[bytes]:
    """Write photographs of each orientation, one smaller than any model's input, and one of a single shade."""
    small, portrait = photograph_of_size((101, 64)), photograph_of_size((301, 452), "astronaut.png")
    return [
        encode(photograph_of_size((640, 427), "rocket.jpg"), "JPEG", quality=90),
        encode(portrait, "WEBP"),
        encode(small, "PNG"),
        encode(small.resize((1, 1)), "BMP"),
    ]


def make_model(folder: Path, *, preset: str = "vit-base-patch32", **made_of: Any) -> Path:
    vision, text = TWO_LAYERS | made_of.pop("vision", {}), TWO_LAYERS | FEW_WORDS | made_of.pop("text", {})
    return make_checkpoint(folder, preset, vision=vision, text=text, **made_of)


@pytest.mark.parametrize("made_of", MODELS.values(), ids=MODELS)
def test_images_and_texts_give_the_vectors_of_transformers(made_of: dict[str, Any], tmp_path: Path) -> None:
    folder = make_model(tmp_path, **made_of)
    oracle, bodies = Oracle(folder), draw_files()
    with Embedder(model=str(folder), precision="fp32") as embedder:
        assert_parity(oracle.embed(bodies), embedder.embed(bodies).vectors)
        assert_parity(oracle.embed_query(TEXTS), embedder.embed_query(TEXTS))


def test_a_model_without_text_tower_gives_the_same_vectors(two_layers: Path, tmp_path: Path) -> None:
    bodies = draw_files()
    models = two_layers, make_model(tmp_path, vision_only=True)
    both, alone = (Embedder(model=str(model), precision="fp32").embed(bodies).vectors for model in models)
    assert both.tobytes() == alone.tobytes()


def test_texts_give_the_vectors_of_transformers_in_full_depth(base_patch32: Path, base_patch32_oracle: Oracle) -> None:
    with Embedder(model=str(base_patch32), precision="fp32") as embedder:
        assert_parity(base_patch32_oracle.embed_query(TEXTS), embedder.embed_query(TEXTS))
