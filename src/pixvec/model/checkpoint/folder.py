"""What lies in a checkpoint's folder, by name.

In: a folder's path, or the names of the files in it. Out: which of the files make the checkpoint, and their JSON.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pixvec.errors import ModelError
from pixvec.files.untrusted import parse_json, read_regular

CONFIG: Final = "config.json"
# In transformers' order: the newer file wins where it holds the image processor's settings.
PROCESSORS: Final = ("processor_config.json", "preprocessor_config.json")
WEIGHTS: Final = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_MAX_INDEX_BYTES: Final = 4 << 20
"""The largest CLIP's index of shards, like its config, is below 200 KB."""
TOKENIZERS: Final = (("tokenizer.json",), ("vocab.json", "merges.txt"))


@contextmanager
def blaming(place: object) -> Iterator[None]:
    """Put the place at fault in front of what a ModelError says."""
    try:
        yield
    except ModelError as error:
        raise ModelError(f"{place}: {error}") from error


def choose_weights(names: Container[str]) -> str | None:
    """Return the best of the weight files among `names`: the file itself, or the index of its shards."""
    return next((name for name in WEIGHTS if name in names), None)


def choose_tokenizer(names: Container[str]) -> tuple[str, ...]:
    """Return the files of a tokenizer among `names`, none where there is no whole one."""
    return next((files for files in TOKENIZERS if all(name in names for name in files)), ())


def file_names(folder: Path) -> frozenset[str]:
    """Return the names of the files in `folder`; a link whose target is gone is none."""
    try:
        return frozenset(path.name for path in folder.iterdir() if path.is_file())
    except OSError as error:
        raise ModelError(f"{folder}: cannot be read: {error.strerror}") from error


def weight_files(folder: Path) -> list[Path]:
    """Return the files that hold the weights, in name order; they need not all exist when they are shards."""
    name = choose_weights(file_names(folder))
    if name is None:
        raise ModelError(f"{folder}: not a CLIP checkpoint: it holds none of {', '.join(WEIGHTS)}")
    path = folder / name
    return shard_files(path) if name.endswith(".index.json") else [path]


_SHARD: Final = re.compile(r"[^/\\\x00]+\.(safetensors|bin)")


def shard_files(index: Path) -> list[Path]:
    """Return the files that an index of shards names, in name order."""
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise ModelError(f"{index}: has no weight_map that names the shards")
    names = set(weight_map.values()) if all(isinstance(name, str) for name in weight_map.values()) else {""}
    if strays := [name for name in names if not _SHARD.fullmatch(name)]:
        raise ModelError(f"{index}: {strays[0]!r} cannot be the name of a shard beside it")
    return [index.with_name(name) for name in sorted(names)]


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object that a file holds.

    Raises
    ------
    ModelError
        When it is no regular file of a few megabytes, or holds anything else.
    """
    try:
        content = read_regular(path, max_bytes=_MAX_INDEX_BYTES)
        value = parse_json(content, max_bytes=_MAX_INDEX_BYTES, any_number=True)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON that pixvec reads: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: is not a JSON object")
    return value
