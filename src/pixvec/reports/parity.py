"""A model here beside the same model in transformers: how far apart their vectors are.

In: a model's name. Out: the largest difference and the smallest cosine, over images drawn for the purpose. torch and
transformers are imported when it is called, and by nothing else in pixvec.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from pixvec.embedder import Embedder
from pixvec.errors import MissingExtraError
from pixvec.model import l2_normalize
from pixvec.model.checkpoint import load
from pixvec.testing.images import image_bytes
from pixvec.values import Vectors

MAX_DIFFERENCE: Final = 1e-4
MIN_COSINE: Final = 0.99999
"""What is promised of vectors of length 1, in fp32 with every pixel decoded."""

_SIZES: Final = ((640, 480), (427, 640), (224, 224), (1001, 333), (97, 64))


@dataclass(frozen=True, slots=True)
class Parity:
    """How near two sets of unit vectors are, row by row.

    Parameters
    ----------
    n_images
        How many images were compared.
    difference
        The largest difference of two numbers at the same place.
    cosine
        The smallest cosine of two vectors of the same image.
    """

    n_images: int
    difference: float
    cosine: float

    @property
    def holds(self) -> bool:
        """Whether it is what is promised."""
        return self.difference <= MAX_DIFFERENCE and self.cosine >= MIN_COSINE


def compare_with_transformers(model: str) -> Parity:
    """Embed the same images with pixvec and with transformers, both in fp32.

    Raises
    ------
    MissingExtraError
        When torch or transformers is not installed.
    ModelError
        When the model cannot be found or read.
    """
    bodies = [
        image_bytes(kind, size=size, seed=seed) for seed, size in enumerate(_SIZES) for kind in ("JPEG", "PNG", "WEBP")
    ]
    theirs = _transformers_vectors(load(model).folder, bodies)
    with Embedder(model=model, precision="fp32") as embedder:
        ours = embedder.embed(bodies, progress=False).vectors
    cosines = np.einsum("nd,nd->n", theirs, ours, dtype=np.float64)
    return Parity(len(bodies), float(np.abs(theirs - ours).max()), float(cosines.min()))


def _transformers_vectors(folder: Path, bodies: list[bytes]) -> Vectors:
    torch, transformers = _import_oracle()
    with _quiet(transformers.logging):
        config = transformers.AutoConfig.from_pretrained(folder)
        # The config of the whole: that of a tower alone is read without the ``vision_config_dict`` of OpenAI's files.
        vision = getattr(config, "vision_config", config)
        tower = transformers.CLIPVisionModelWithProjection
        model = tower.from_pretrained(folder, config=vision, dtype=torch.float32).eval()
        processor = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    images = [Image.open(io.BytesIO(body)) for body in bodies]
    with torch.inference_mode():
        pixel_values = processor(images, return_tensors="pt")["pixel_values"]
        return l2_normalize(model(pixel_values=pixel_values).image_embeds.numpy())


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Keep transformers from telling that the text tower's weights were left out, and from drawing bars."""
    verbosity, draws = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if draws:
            logging.enable_progress_bar()


def _import_oracle() -> tuple[Any, Any]:
    try:
        return import_module("torch"), import_module("transformers")
    except ImportError as error:
        raise MissingExtraError("comparing with transformers, which itself needs torch,", "oracle") from error
