"""What a column of vectors was made with, as facts that travel beside it."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from pixvec.model import ClipModel
from pixvec.settings import Settings, resolve_decode
from pixvec.table import reporting_write_errors

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


def write_provenance(table: Path, facts: dict[str, Any]) -> None:
    """Write what a table's vectors were made with to a file beside it, for formats that hold no metadata."""
    beside = table.with_name(f"{table.name}.provenance.json")
    with reporting_write_errors(beside):
        beside.write_text(json.dumps(facts, indent=2, sort_keys=True) + "\n", encoding="utf-8")
