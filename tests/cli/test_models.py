"""`pixvec models`: what is known, and what a model turns out to be."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from pixvec.cli.models import models
from pixvec.errors import ModelError
from pixvec.model.checkpoint import load
from pixvec.model.checkpoint.known import KNOWN_MODELS, KnownModel
from pixvec.model.checkpoint.tensors import text_tensors, vision_tensors
from pixvec.testing.checkpoints import PRESETS, make_checkpoint

SHAPES = {
    "openai/clip-vit-base-patch32": "vit-base-patch32",
    "openai/clip-vit-base-patch16": "vit-base-patch16",
    "openai/clip-vit-large-patch14": "vit-large-patch14",
    "openai/clip-vit-large-patch14-336": "vit-large-patch14-336",
    "laion/CLIP-ViT-B-32": "vit-base-patch32",
    "laion/CLIP-ViT-B-16": "vit-base-patch16",
    "laion/CLIP-ViT-L-14": "vit-large-patch14",
    "laion/CLIP-ViT-H-14": "vit-huge-patch14",
    "laion/CLIP-ViT-g-14": "vit-giant-patch14",
    "laion/CLIP-ViT-bigG-14": "vit-bigg-patch14",
}
FROM_THE_HUB = [known for known in KNOWN_MODELS if known.name != "demo"]


@pytest.mark.parametrize("known", FROM_THE_HUB, ids=lambda known: known.name)
def test_what_is_known_of_a_model_follows_from_its_shape(known: KnownModel) -> None:
    shape = PRESETS[SHAPES[max((name for name in SHAPES if known.name.startswith(name)), key=len)]]
    tensors = [*vision_tensors(shape.vision), *text_tensors(shape.text)]
    n_bytes = sum(4 * math.prod(dims) for _, dims in tensors)
    assert (known.dim, known.image_size) == (shape.vision.projection_dim, shape.vision.image_size)
    assert known.megabytes == round(n_bytes / 1e6)


def test_the_demo_model_is_what_is_said_of_it() -> None:
    known, checkpoint = KNOWN_MODELS[-1], load("demo")
    assert (known.dim, known.image_size) == (checkpoint.vision.projection_dim, checkpoint.vision.image_size)
    assert known.megabytes == sum(path.stat().st_size for path in checkpoint.weights.paths) // 1_000_000


def test_the_list_names_every_model_and_says_which_are_here() -> None:
    listed = CliRunner().invoke(models, []).output.splitlines()
    assert [line.split()[0] for line in listed[1:]] == [known.name for known in KNOWN_MODELS]
    assert [line.split()[4] for line in listed if line.startswith("demo")] == ["yes"]


def test_a_model_is_loaded_and_told_of(checkpoint: str) -> None:
    told = CliRunner().invoke(models, ["check", checkpoint]).output
    assert "vectors    32 numbers" in told
    assert "images   32 pixels in patches of 8, 2 layers of 64" in told
    assert "texts      24 tokens, 2 layers of 48" in told
    assert load(checkpoint).weights_hash in told


@pytest.mark.parametrize(
    ("made_of", "expected"),
    [({"vision_only": True}, "it has no text tower"), ({"tokenizer": None}, "it has no tokenizer")],
    ids=["vision-only", "no tokenizer"],
)
def test_a_model_of_images_only_says_so(made_of: dict[str, object], expected: str, tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path, **made_of)  # type: ignore[arg-type]
    assert f"texts      none: {expected}" in CliRunner().invoke(models, ["check", str(folder)]).output


def test_a_model_that_is_none_is_an_error(tmp_path: Path) -> None:
    assert isinstance(CliRunner().invoke(models, ["check", str(tmp_path)]).exception, ModelError)


@pytest.mark.oracle
@pytest.mark.parametrize(
    "made_of",
    [{}, {"vision_only": True}, {"dialect": "openai-2021", "weights_format": "bin"}],
    ids=["whole", "vision-only", "OpenAI's"],
)
def test_parity_is_told_where_torch_is_installed(
    made_of: dict[str, object], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    folder = make_checkpoint(tmp_path, **made_of)  # type: ignore[arg-type]
    checked = CliRunner().invoke(models, ["check", "--parity", str(folder)])
    assert checked.exit_code == 0
    assert "parity     15 images in fp32" in checked.output
    assert capfd.readouterr() == ("", "")
