"""What a column of vectors was made with, as facts that travel beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import PIL
import simplejpeg

from pixvec.model import ClipModel, ModelOptions
from pixvec.model.checkpoint import ProcessorConfig, StatedModel, TextConfig, VisionConfig
from pixvec.model.engine import computed_by
from pixvec.pipeline.reach import reach
from pixvec.pipeline.settings import Settings, resolve_decode

EMBEDDING_VERSION: Final = 2
"""Raised only when the same bytes, weights and settings come to other vectors."""

_FOLDER: Final = "files_under"
_SAME_BITS: Final = (
    *("embedded", "weights_sha256", "normalize", "precision", "embedding_version"),
    *("vision", "processor", "text", "decode"),
)
_DECIDING_BYTES: Final = ("formats", "max_pixels", "max_bytes", "opt_out")
"""Options of reach that decide what is made of bytes that are there."""


def provenance(model: ClipModel, settings: Settings) -> dict[str, Any]:
    """State model and settings, as they came to be, in JSON's types.

    Vectors with one ``weights_sha256`` lie in one space; those that agree in `same_bits` are the same bits for the
    same bytes, since one file of weights is read as the settings beside it say. What only lets more rows in, or fewer,
    is no part of that: it is stated as `reach` does.
    """
    return {
        **_of_model("images", model, settings),
        "vision": _as_json(model.checkpoint.vision),
        "processor": _as_json(model.checkpoint.processor),
        "decode": resolve_decode(settings, model.precision),
        **reach(settings),
    }


def text_provenance(model: ClipModel, options: ModelOptions) -> dict[str, Any]:
    """State the same of vectors of texts, which no option of fetching or decoding decides."""
    tower = model.checkpoint.text
    return {**_of_model("texts", model, options), "text": tower and _as_json(tower)}


def _of_model(embedded: str, model: ClipModel, options: ModelOptions) -> dict[str, Any]:
    return {
        "embedded": embedded,
        "model": model.checkpoint.name,
        "revision": model.checkpoint.revision,
        "weights_sha256": model.checkpoint.weights_hash,
        "dim": model.dim,
        "normalize": options.normalize,
        "precision": model.precision,
        "embedding_version": EMBEDDING_VERSION,
        "pixvec_version": version("pixvec"),
    }


def same_bits(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the facts that vectors must agree in to be the same bits for the same bytes."""
    return {name: facts[name] for name in _SAME_BITS if name in facts}


def model_stated(facts: Mapping[str, Any]) -> StatedModel | None:
    """Give the model that a table says its vectors were made with, as the option `model` takes it; None if none."""
    name, revision = facts.get("model"), facts.get("revision")
    if not name:
        return None
    return StatedModel(f"{name.partition('@')[0]}@{revision}" if revision else name)


def made_with(model: ClipModel, settings: Settings) -> str:
    """State all that decides, on this machine, what bytes come to.

    That is more than `same_bits`: what is remembered for longer than a run meets other versions of its libraries and
    other processors.
    """
    libraries = [computed_by(), f"Pillow {PIL.__version__}", f"simplejpeg {simplejpeg.__version__}"]
    stated = provenance(model, settings)
    facts = {**same_bits(stated), **{name: stated[name] for name in _DECIDING_BYTES}, "libraries": libraries}
    return json.dumps(facts, sort_keys=True)


def _as_json(config: VisionConfig | TextConfig | ProcessorConfig) -> dict[str, Any]:
    """Give a config as it is after it was written and read."""
    values: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return values


def provenance_path(table: Path) -> Path:
    """Name the file beside a table that says what its vectors were made with, for formats that hold no metadata."""
    return table.with_name(f"{table.name}.provenance.json")


def folder_facts(folder: str | Path | None, table: Path) -> dict[str, Any]:
    """State where the files are that a table's cells name: only a folder beside the table, by its path from there.

    Any other path would tell strangers how this machine's folders are called, and nothing to another machine.
    """
    if folder is None or not (real := Path(folder).resolve()).is_relative_to(beside := table.resolve().parent):
        return {}
    return {_FOLDER: real.relative_to(beside).as_posix()}


def folder_of_files(facts: Mapping[str, Any], table: Path) -> Path | None:
    """Find the folder that a table says its files are in; None where it does not say, or says another than one beside.

    A table may be a stranger's: a path that leads elsewhere, by itself or through a link, is not looked at.
    """
    said, beside = facts.get(_FOLDER), table.resolve().parent
    if not isinstance(said, str) or ".." in Path(said).parts:
        return None
    try:
        real = Path(os.path.realpath(beside / said))
    except ValueError:  # no path can hold a NUL, or half of a surrogate pair
        return None
    is_there = os.path.isdir(real)  # noqa: PTH112 (a Path's own raises for long names)
    return real if is_there and real.is_relative_to(beside) else None


def provenance_text(facts: Mapping[str, Any]) -> str:
    """Write facts as the text of such a file."""
    return json.dumps(facts, indent=2, sort_keys=True) + "\n"
