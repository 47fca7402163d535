"""What a column of vectors was made with, as facts that travel beside it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from pixvec.model import ClipModel
from pixvec.settings import Settings, resolve_decode

EMBEDDING_VERSION: Final = 1
"""Raised only when the same bytes, weights and settings come to other vectors."""


def provenance(model: ClipModel, settings: Settings) -> dict[str, Any]:
    """State model and settings, as they came to be, in JSON's types.

    Vectors with one ``weights_sha256`` lie in one space; those that also agree in precision, decode, normalize and
    ``embedding_version`` are the same bits for the same bytes.
    """
    return {
        "model": model.checkpoint.name,
        "revision": model.checkpoint.revision,
        "weights_sha256": model.checkpoint.weights_hash,
        "dim": model.dim,
        "normalize": settings.normalize,
        "precision": model.precision,
        "decode": resolve_decode(settings, model.precision),
        "max_pixels": settings.max_pixels,
        "max_bytes": settings.max_bytes,
        "embedding_version": EMBEDDING_VERSION,
        "pixvec_version": version("pixvec"),
    }
