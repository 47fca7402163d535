"""Which files a table is read from: one, those that a pattern matches, or those in a folder; in the order of paths."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from pixvec.errors import UsageError

IMAGE_ENDINGS: Final = frozenset(
    {".avif", ".bmp", ".gif", ".heic", ".heif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
)
THUMBNAILS_ENDING: Final = ".thumbnails.parquet"
"""How the name of a file ends that goes with a table and is no part of it."""

_ASIDE: Final = (".", "_")
_NULL_VALUE: Final = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class Listing:
    """Files that are one table together.

    Parameters
    ----------
    place
        The folder, or the pattern, as the user named it.
    root
        The folder that all of them are in.
    paths
        In the order of their bytes.
    """

    place: Path
    root: Path
    paths: tuple[Path, ...]

    def keys(self, path: Path) -> dict[str, str | None]:
        """Read what the folders between the root and a file say about its rows: ``key=value``."""
        folders = path.relative_to(self.root).parent.parts
        pairs = [folder.partition("=") for folder in folders if "=" in folder]
        return {_unescaped(key): None if value == _NULL_VALUE else _unescaped(value) for key, _, value in pairs}


def _unescaped(name: str) -> str:
    """Read a part of a folder's name, whose bytes may be escaped; where they are no text they stay so."""
    raw = unquote_to_bytes(os.fsencode(name))
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return quote(raw)


def list_files(place: Path) -> Listing | None:
    """List the files of a folder, or those that a pattern matches; None for one file, whether it is there or not.

    Names that begin with a dot or an underscore are left aside, and files of thumbnails.
    """
    if place.is_dir():
        return _listing(place, place, _walk(place))
    root, pattern = split_pattern(place)
    if not pattern:
        return None
    found = [root / name for name in glob.iglob(pattern, root_dir=root, recursive=True)]  # noqa: PTH207 (Path's lists hidden names too)
    return _listing(place, root, (path for path in found if path.is_file()))


def split_pattern(place: Path) -> tuple[Path, str]:
    """Split a path into the folder that a pattern is looked for in, and the pattern; empty where there is none.

    A name that is there is that name, whatever characters it has: only what follows may be a pattern.
    """
    root = Path(place.anchor)
    names = place.relative_to(root).parts
    for index, name in enumerate(names):
        if glob.has_magic(name) and not os.path.lexists(root / name):
            return root, os.path.join(*names[index:])  # noqa: PTH118 (a pattern is no path)
        root /= name
    return root, ""


def is_image(path: Path) -> bool:
    """Tell an image by its name."""
    return path.suffix.lower() in IMAGE_ENDINGS


def content_sha256(place: Path) -> str:
    """Hash what a table is read from: the bytes of its file, or names and bytes of its files; of images, names."""
    listing = list_files(place)
    if listing is None:
        return _file_digest(place).hexdigest()
    whole = hashlib.sha256()
    for path in listing.paths:
        whole.update(os.fsencode(path.relative_to(listing.root)) + b"\0")
        whole.update(b"" if is_image(path) else _file_digest(path).digest())
    return whole.hexdigest()


def _listing(place: Path, root: Path, paths: Iterator[Path]) -> Listing:
    shown = [path for path in paths if not _is_aside(path.relative_to(root))]
    if not shown:
        raise UsageError(f"there are no files in {place}" if place == root else f"no file matches {place}")
    return Listing(place, root, tuple(sorted(shown, key=os.fsencode)))


def _is_aside(path: Path) -> bool:
    return path.name.endswith(THUMBNAILS_ENDING) or any(part.startswith(_ASIDE) for part in path.parts)


def _walk(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(_ASIDE)]
        yield from (path for name in names if (path := Path(parent, name)).is_file())


def _file_digest(path: Path) -> hashlib._Hash:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256")
