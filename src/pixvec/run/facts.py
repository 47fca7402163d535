"""What decides the rows of a table, as facts in JSON's types, and how two runs differ in them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

from pixvec.pipeline.reach import is_widened

_WORDS: Final = {
    "embedded": "what is embedded",
    "weights_sha256": "the model's weights",
    "files_folder": "files_under",
    "input_sha256": "the input",
    "table_sha256": "the table",
}
_SHOWN_CHARS: Final = 60
_SHOWN_HASH_CHARS: Final = 12


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name what differs, as a person would; empty where nothing does. Only what `now` asks for is compared.

    An option that lets more rows in than it did does not differ. Between images and texts nothing else is compared,
    since most of it says nothing of texts.
    """
    if then.get("embedded") != now.get("embedded"):
        now = {"embedded": now.get("embedded")}
    pairs = ((name, then.get(name), value) for name, value in now.items())
    return ", ".join(
        _difference(name, old, new) for name, old, new in pairs if old != new and not is_widened(name, then, now)
    )


def file_sha256(path: Path) -> str:
    """Hash the bytes of a file that the user named."""
    with path.open("rb") as file:
        return sha256_of(file)


def sha256_of(file: BinaryIO) -> str:
    """Hash the bytes of an open file."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def _difference(name: str, then: object, now: object) -> str:
    """Name a fact that differs; of one that is made of others, those that do."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        inner = {f"{name}.{key}": value for key, value in then.items()}
        return differences(inner, {f"{name}.{key}": value for key, value in now.items()})
    return f"{_WORDS.get(name, name)} ({_shown(name, then)} then, {_shown(name, now)} now)"


def _shown(name: str, value: object) -> str:
    return str(value)[: _SHOWN_HASH_CHARS if name.endswith("sha256") else _SHOWN_CHARS]
