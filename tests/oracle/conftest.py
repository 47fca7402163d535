"""transformers beside pixvec, and photographs for both."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

from pixvec.model import l2_normalize
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.values import Vectors

PHOTOGRAPHS: Final = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "clock_motion.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "microaneurysms.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
"""The photographs that scikit-image's wheel brings, in colour and in grey, from 102 x 102 to 1411 x 1411 pixels."""


class Oracle:
    """transformers' model in fp32, with the processor and the tokenizer of its checkpoint.

    Its slow processor is the one that resizes with Pillow, as OpenAI's code does.
    """

    def __init__(self, checkpoint: Path) -> None:
        torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
        self._inference_mode = torch.inference_mode
        self._model = transformers.CLIPModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
        self._processor = transformers.CLIPImageProcessorPil.from_pretrained(checkpoint)
        self._tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)

    def embed(self, bodies: Sequence[bytes]) -> Vectors:
        """Embed files, converted by the processor itself: (N, D), of unit length."""
        images = [Image.open(io.BytesIO(body)) for body in bodies]
        pixel_values = self._processor(images, return_tensors="pt")["pixel_values"]
        with self._inference_mode():
            return unit(self._model.get_image_features(pixel_values=pixel_values).pooler_output)

    def embed_query(self, texts: list[str]) -> Vectors:
        """Embed texts, cut at the model's length: (N, D), of unit length."""
        length = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
        with self._inference_mode():
            return unit(self._model.get_text_features(**tokens).pooler_output)


def unit(vectors: Any) -> Vectors:
    return l2_normalize(vectors.numpy())


def assert_parity(theirs: Vectors, ours: Vectors) -> None:
    """Hold unit vectors within 1e-5 in every number and 0.99999 in cosine of each other.

    Promised is 1e-4. Random weights react less to an image than trained ones, hence the tenth of it.
    """
    assert theirs.shape == ours.shape
    assert difference(theirs, ours) <= 1e-5
    assert cosines(theirs, ours).min() >= 0.99999


def difference(one: Vectors, other: Vectors) -> float:
    """Return the largest difference of two numbers at the same place."""
    return float(np.abs(one - other).max())


def cosines(one: Vectors, other: Vectors) -> Vectors:
    """Return the cosine of each pair of rows, (N,), of unit vectors (N, D)."""
    products: Vectors = np.einsum("nd,nd->n", one, other, dtype=np.float64)
    return products


def photograph(name: str) -> Path:
    """Find one of scikit-image's photographs."""
    return Path(pytest.importorskip("skimage.data").__file__).parent / name


def photograph_of_size(size: tuple[int, int], name: str = "coffee.png") -> Image.Image:
    """Stretch a photograph to a width and height."""
    with Image.open(photograph(name)) as image:
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


@pytest.fixture(scope="session")
def base_patch32() -> Iterator[Path]:
    """The folder of a checkpoint in ViT-B/32's full size: 600 MB, gone when the tests end."""
    with tempfile.TemporaryDirectory() as folder:
        yield make_checkpoint(Path(folder), "vit-base-patch32")


@pytest.fixture(scope="session")
def base_patch32_oracle(base_patch32: Path) -> Oracle:
    return Oracle(base_patch32)


@pytest.fixture(scope="session")
def two_layers() -> Iterator[Path]:
    """The folder of a checkpoint in ViT-B/32's width and resolution, quick to run."""
    with tempfile.TemporaryDirectory() as folder:
        yield make_checkpoint(
            Path(folder), "vit-base-patch32", vision={"num_hidden_layers": 2}, text={"num_hidden_layers": 1}
        )


@pytest.fixture(scope="session")
def two_layers_oracle(two_layers: Path) -> Oracle:
    return Oracle(two_layers)
