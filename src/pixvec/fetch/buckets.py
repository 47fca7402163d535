"""Buckets, where they were asked for: the text of a cell or of an option -> which bucket, which key in it.

A key is the rest of its cell, as it stands there: percent signs, spaces, ``?`` and ``#`` are part of it. It must not
know how objects are read.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final
from urllib.parse import unquote

from pixvec.errors import FetchError, MissingExtraError, UsageError

CLIENTS: Final = {"s3": "s3fs", "gs": "gcsfs", "az": "adlfs"}
"""The package that reads the buckets of a scheme; files of the hub are read without one."""

TRIMMED: Final = " \t\r\n\u00a0\ufeff"
_SCHEME: Final = re.compile(r"(s3|gs|az|hf)://", re.IGNORECASE)
_BUCKET: Final = re.compile(r"(?P<name>[$A-Za-z0-9][A-Za-z0-9._-]{0,254})")
_REPOSITORY: Final = re.compile(
    r"(?P<name>((datasets|spaces)/|(?!(datasets|spaces|models|buckets)/))[\w.-]{1,100}/[\w.-]{1,100})", re.ASCII
)
_REVISION: Final = re.compile(r"@(refs/(convert|pr)/[^/]+|[^/@]+)")
_MAX_KEY_CHARS: Final = 4096
_REFUSED: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DOTS: Final = frozenset([".", ".."])


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one ``allow_bucket`` lets in.

    Parameters
    ----------
    scheme
        ``"s3"``, ``"gs"``, ``"az"`` or ``"hf"``.
    name
        A bucket's, a container's, or that of a repository of the hub with its kind: ``"datasets/owner/name"``.
    """

    scheme: str
    name: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.name}"


@dataclass(frozen=True, slots=True)
class BucketObject:
    """An object in a bucket.

    Parameters
    ----------
    key
        Its name there, as it was written.
    revision
        Of a repository; empty where the cell names none.
    """

    bucket: Bucket
    key: str
    revision: str = ""

    def __str__(self) -> str:
        return f"{self.bucket}{self.revision and f'@{self.revision}'}/{self.key}"

    @property
    def host(self) -> str:
        """What takes the place of a host: the bucket."""
        return str(self.bucket)


def parse_bucket(text: str) -> Bucket:
    """Read ``SCHEME://NAME``; a slash at its end is no harm.

    Raises
    ------
    UsageError
        For anything else: what is allowed is a whole bucket.
    MissingExtraError
        Where the package that reads it is not installed.
    """
    found = _read(text.strip(TRIMMED).rstrip("/"))
    if found is None or found[1]:
        raise UsageError(
            f"`allow_bucket=[{text!r}]`: expected s3://NAME, gs://NAME, az://CONTAINER, hf://OWNER/NAME or "
            "hf://datasets/OWNER/NAME, without a key"
        )
    bucket = found[0]
    client = CLIENTS.get(bucket.scheme)
    if client and find_spec(client) is None:
        raise MissingExtraError(f"Reading {bucket.scheme}:// buckets", "cloud")
    return bucket


def names_object(cell: str) -> bool:
    """Tell whether a cell names an object in a bucket, one that is allowed or not."""
    found = _read(_text(cell))
    return found is not None and len(found[1]) > 1


def parse_object(cell: str, *, allowed: Collection[Bucket]) -> BucketObject | None:
    """Read one cell; None where it has none of the schemes.

    Raises
    ------
    FetchError
        ``scheme_blocked`` for a bucket that is not allowed, ``invalid_url`` or ``path_blocked`` for a key that cannot
        be asked for.
    """
    text = _text(cell)
    if not (scheme := _SCHEME.match(text)):
        return None
    found = _read(text)
    if found is None or found[0] not in allowed:
        name = str(found[0]) if found else f"{scheme[1].lower()}://NAME"
        raise FetchError("scheme_blocked", f"a bucket is read only where it is allowed: `allow_bucket=[{name!r}]`")
    bucket, rest = found
    revision = _REVISION.match(rest)
    key = rest[revision.end() :] if revision else rest
    _refuse_key(key)
    if revision and not _DOTS.isdisjoint(unquote(revision[1]).split("/")):
        raise FetchError("path_blocked", "a revision with . or .. between slashes might lead out of its repository")
    return BucketObject(bucket, key[1:], revision[1] if revision else "")


def _text(cell: str) -> str:
    return cell.lstrip(TRIMMED).rstrip("\t\r\n")  # a key may end in a space


def _read(text: str) -> tuple[Bucket, str] | None:
    """Split a text into its bucket and what follows: nothing, a slash and a key, or a revision before these."""
    if not (scheme := _SCHEME.match(text)):
        return None
    is_repository = scheme[1].lower() == "hf"
    found = (_REPOSITORY if is_repository else _BUCKET).match(text, scheme.end())
    rest = text[found.end() :] if found else ""
    if found is None or not _DOTS.isdisjoint(found["name"].split("/")):
        return None
    if not (rest == "" or rest[0] == "/" or (is_repository and rest[0] == "@")):
        return None
    return Bucket(scheme[1].lower(), found["name"]), rest


def _refuse_key(key: str) -> None:
    if not key.removeprefix("/") or key.endswith("/"):
        raise FetchError("file_not_found", "no key is named, or that of a folder: an image's ends without a slash")
    if len(key) > _MAX_KEY_CHARS or _REFUSED.search(key):
        raise FetchError("invalid_url", f"a key has up to {_MAX_KEY_CHARS:,} characters, none of them for control")
    if not _DOTS.isdisjoint(key.split("/")):
        raise FetchError("path_blocked", "a key with . or .. between slashes might lead out of its bucket")
