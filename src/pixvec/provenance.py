"""What a column of vectors was made with, as facts that travel beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pixvec.model import ClipModel
from pixvec.settings import Settings, resolve_decode

EMBEDDING_VERSION: Final = 1
"""Raised only when the same bytes, weights and settings come to other vectors."""


_SAME_BITS: Final = (
    *("weights_sha256", "normalize", "precision", "decode", "max_pixels", "max_bytes"),
    "embedding_version",
)


def provenance(model: ClipModel, settings: Settings) -> dict[str, Any]:
    """State model and settings, as they came to be, in JSON's types.

    Vectors with one ``weights_sha256`` lie in one space; those that agree in `same_bits` are the same bits for the
    same bytes.
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


def same_bits(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the facts that vectors must agree in to be the same bits for the same bytes."""
    return {name: facts[name] for name in _SAME_BITS}


def provenance_path(table: Path) -> Path:
    """Name the file beside a table that says what its vectors were made with, for formats that hold no metadata."""
    return table.with_name(f"{table.name}.provenance.json")


def provenance_text(facts: Mapping[str, Any]) -> str:
    """Write facts as the text of such a file."""
    return json.dumps(facts, indent=2, sort_keys=True) + "\n"
