"""The files of weights -> the hash that names the space their vectors lie in.

In: paths. Out: a SHA-256 in hex. It must not know what the files hold.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MAX_REMEMBERED: Final = 64


def hash_files(paths: Sequence[Path]) -> str:
    """Return the hash of one file, or of the hashes of several in the order given."""
    hashes = [_hash_file(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def _hash_file(path: Path) -> str:
    """Return a file's hash: by the name the hub's cache gave it, from memory, or from its bytes."""
    if path.is_symlink() and (blob := path.readlink()).parent.name == "blobs" and _SHA256_HEX.fullmatch(blob.name):
        return blob.name
    facts = path.stat()
    key = [facts.st_size, facts.st_mtime_ns, facts.st_ino]
    known = _recall()
    match known.pop(str(path.resolve()), None):
        case {"key": remembered, "sha256": str() as digest} if remembered == key:
            return digest
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _remember(known | {str(path.resolve()): {"key": key, "sha256": digest}})
    return digest


def _memory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixvec" / "weights_hashes.json"


def _recall() -> dict[str, Any]:
    try:
        known = json.loads(_memory().read_bytes())
    except (OSError, RuntimeError, ValueError):  # RuntimeError: there is no home folder
        return {}
    return known if isinstance(known, dict) else {}


def _remember(known: dict[str, Any]) -> None:
    """Write the newest entries whole or not at all: a cache that cannot be written costs time only."""
    newest = dict(list(known.items())[-_MAX_REMEMBERED:])
    try:
        _memory().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=_memory().parent, suffix=".tmp", delete=False) as file:
            json.dump(newest, file)
        Path(file.name).replace(_memory())
    except (OSError, RuntimeError):
        return
