"""What decides the rows of a table, as facts in JSON's types, and how two runs differ in them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

_WORDS: Final = {
    "embedded": "what is embedded",
    "weights_sha256": "the model's weights",
    "input_sha256": "the input",
    "table_sha256": "the table",
}
_SHOWN_CHARS: Final = 60
_SHOWN_HASH_CHARS: Final = 12


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Name what differs, as a person would; empty where nothing does. Only what `now` asks for is compared.

    Between images and texts nothing else is, since most of it says nothing of texts.
    """
    if then.get("embedded") != now.get("embedded"):
        now = {"embedded": now.get("embedded")}
    return ", ".join(
        f"{_WORDS.get(name, name)} ({_shown(name, then.get(name))} then, {_shown(name, value)} now)"
        for name, value in now.items()
        if then.get(name) != value
    )


def file_sha256(path: Path) -> str:
    """Hash a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _shown(name: str, value: object) -> str:
    return str(value)[: _SHOWN_HASH_CHARS if name.endswith("sha256") else _SHOWN_CHARS]
