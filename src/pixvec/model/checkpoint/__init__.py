"""A model's name -> its files -> its config and weights.

In: a Hugging Face repository id with optional ``@revision``, a folder in the same format, or ``demo``. Out: a
`Checkpoint`, its weights mapped from the files.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from pixvec.errors import ModelError
from pixvec.formatting.names import shown
from pixvec.model.checkpoint import folder as folders
from pixvec.model.checkpoint.config import TextConfig, VisionConfig, read_towers
from pixvec.model.checkpoint.known import meant_model
from pixvec.model.checkpoint.processor import ProcessorConfig, read_processor
from pixvec.model.checkpoint.tensors import text_tensors, vision_tensors
from pixvec.model.checkpoint.weights import Weights
from pixvec.model.demo import FOLDER as DEMO_FOLDER

__all__ = [
    "Checkpoint",
    "ProcessorConfig",
    "StatedModel",
    "StatedModelError",
    "TextConfig",
    "VisionConfig",
    "Weights",
    "load",
]

_SUCH_AS: Final = " such as openai/clip-vit-base-patch32"
_REPOSITORY: Final = re.compile(r"(?P<id>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>(?!/|.*\.\.)[\w./-]+))?", re.ASCII)
"""As in git, no revision holds two dots: the cache has a file of each revision's name."""


@dataclass(frozen=True)  # without slots: the hash of the weights is computed on first use and kept
class Checkpoint:
    """A CLIP model as its files hold it.

    Parameters
    ----------
    name
        What the caller asked for.
    revision
        The commit in the model's repository; None for a folder.
    folder
        Where the files lie.
    vision, text
        The two towers; `text` is None where the checkpoint embeds images only.
    processor
        How an image becomes what the model takes.
    tokenizer_files
        ``tokenizer.json``, or ``vocab.json`` and ``merges.txt``, or nothing.
    weights
        The tensors, mapped from the files.
    blobs
        Where the hub's cache holds the files under the names of their hashes, if it is the hub's cache.
    """

    name: str
    revision: str | None
    folder: Path
    vision: VisionConfig
    text: TextConfig | None
    processor: ProcessorConfig
    tokenizer_files: tuple[Path, ...]
    weights: Weights = field(repr=False, compare=False)
    blobs: Path | None = field(default=None, repr=False, compare=False)

    def text_tower(self) -> TextConfig:
        """Return the text tower's config, its weights checked.

        Raises
        ------
        ModelError
            When there is no text tower, or a part of it is missing.
        """
        if self.text is None:
            raise ModelError(f"{self.name} has no text tower: it embeds images only")
        self.weights.check(text_tensors(self.text))
        return self.text

    @cached_property
    def weights_hash(self) -> str:
        """The SHA-256 of the weights in hex, which names the space that vectors lie in."""
        return self.weights.hash(blobs=self.blobs)


@dataclass(frozen=True, slots=True)
class StatedModel(os.PathLike[str]):
    """A model's name as a table states it, and not the user; taken where the name of a model is.

    A table may be a stranger's. So it opens no folder, and nothing is fetched: the model is ``demo``, or a repository
    that the hub's cache holds already.
    """

    name: str

    def __fspath__(self) -> str:
        return self.name


class StatedModelError(ModelError):
    """A table names a model that is loaded only if the user names it."""

    def __init__(self, model: str) -> None:
        named = f"`model={model!r}`" if "`" not in model else "`model`"
        super().__init__(
            f"the table says that its vectors are of the model {shown(model)}, which is neither demo nor in the hub's "
            f"cache, and nothing else that a table names is opened or fetched: if you trust it, name it with {named}"
        )
        self.model = model


def load(name: str | os.PathLike[str]) -> Checkpoint:
    """Find a model by its name and open it.

    Parameters
    ----------
    name
        ``demo``, the small model that comes with pixvec; or a folder (any that exists, or whatever starts with ``.``,
        ``~`` or ``/``); or a Hugging Face repository id with optional ``@revision``. A `StatedModel` is no folder.

    Raises
    ------
    ModelError
        The model cannot be found or reached, or its files are not a CLIP checkpoint with a projection.
    """
    if isinstance(name, StatedModel):
        return _load_stated(name.name)
    name = os.fspath(name)
    if name == "demo":
        return _open(name, DEMO_FOLDER, revision=None)
    path = Path(name).expanduser() if name.startswith("~/") else Path(name)
    if name and _is_folder(path):
        return _open(name, path, revision=None)
    if not name or name[0] in ".~/" or path.is_file():
        raise ModelError(f"there is no folder {name!r}" + ("; it is a file" if path.is_file() else ""))
    if (repository := _REPOSITORY.fullmatch(name)) is None:
        raise ModelError(f"{name!r} is neither a folder nor a repository id{meant_model(name) or _SUCH_AS}")

    from pixvec.model.checkpoint import hub  # noqa: PLC0415 (the hub's client is heavy, and a folder does without it)

    return _open_cached(name, hub.locate(repository["id"], revision=repository["revision"] or "main"))


def _load_stated(name: str) -> Checkpoint:
    if name == "demo":
        return _open(name, DEMO_FOLDER, revision=None)
    if (repository := _REPOSITORY.fullmatch(name)) is None or name.startswith("."):
        raise StatedModelError(name)

    from pixvec.model.checkpoint import hub  # noqa: PLC0415 (as above)

    snapshot = hub.find_cached(repository["id"], revision=repository["revision"] or "main")
    if snapshot is None:
        raise StatedModelError(name)
    return _open_cached(name, snapshot)


def _open_cached(name: str, snapshot: Path) -> Checkpoint:
    from pixvec.model.checkpoint import hub  # noqa: PLC0415 (as above)

    return _open(name, snapshot, revision=snapshot.name, blobs=hub.blobs_of(snapshot))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise ModelError(f"{str(path)[:80]!r} cannot be a model: {error.strerror}") from None


def _open(name: str, folder: Path, *, revision: str | None, blobs: Path | None = None) -> Checkpoint:
    vision, text = read_towers(folder)
    processor = read_processor(folder, image_size=vision.image_size)
    weights = Weights.open(folders.weight_files(folder))
    if "visual_projection.weight" not in weights:
        raise ModelError(f"{folder}: not a CLIP checkpoint with a projection: no tensor visual_projection.weight")
    weights.check(vision_tensors(vision))
    return Checkpoint(
        name=name,
        revision=revision,
        folder=folder,
        vision=vision,
        text=text if "text_projection.weight" in weights else None,
        processor=processor,
        tokenizer_files=tuple(folder / file for file in folders.choose_tokenizer(folders.file_names(folder))),
        weights=weights,
        blobs=blobs,
    )
