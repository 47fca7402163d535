"""The files of weights -> the hash that names the space their vectors lie in.

In: paths. Out: a SHA-256 in hex.
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

from pixvec.errors import ModelError
from pixvec.files.untrusted import MAX_JSON_BYTES, open_regular, parse_json, read_regular

_SHA256_HEX: Final = re.compile(r"[0-9a-f]{64}")
_MAX_REMEMBERED: Final = 64


def hash_files(paths: Sequence[Path], *, blobs: Path | None = None) -> str:
    """Return the hash of one file, or of the hashes of several in the order given.

    Parameters
    ----------
    paths
        The files.
    blobs
        The folder in the hub's cache where files lie under the names of their hashes, if the cache said that these are
        there. Any other folder may hold a link to a name that is not its hash.

    Raises
    ------
    ModelError
        When a file cannot be read, or changes meanwhile.
    """
    hashes = [_blob_name(path, blobs) or _hash_file(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()


def stamp(facts: os.stat_result) -> list[int]:
    """Return what changes when a file does; the last number can't be set back."""
    return [facts.st_size, facts.st_mtime_ns, facts.st_ino, facts.st_ctime_ns]


def _blob_name(path: Path, blobs: Path | None) -> str | None:
    """Return the name that the hub's cache gave a file, where that is its hash."""
    if blobs is None or not path.is_symlink():
        return None
    blob = Path(os.path.normpath(path.parent / path.readlink()))
    return blob.name if blob.parent == blobs and _SHA256_HEX.fullmatch(blob.name) else None


def _hash_file(path: Path) -> str:
    """Return a file's hash, from memory or from its bytes."""
    known = _recall()
    try:
        with open_regular(path) as file:
            key = stamp(os.fstat(file.fileno()))
            match known.pop(str(path.resolve()), None):
                case {"key": remembered, "sha256": str() as digest} if remembered == key:
                    return digest
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if stamp(os.fstat(file.fileno())) != key:
                raise ModelError(f"{path}: it changed while it was read")
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from error
    _remember(known | {str(path.resolve()): {"key": key, "sha256": digest}})
    return digest


def _memory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixvec" / "weights_hashes.json"


def _recall() -> dict[str, Any]:
    try:
        known = parse_json(read_regular(_memory(), max_bytes=MAX_JSON_BYTES))
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
