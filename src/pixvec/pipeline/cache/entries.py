"""Rows and what is known of URLs <-> the bytes that stand for them.

The bytes may be a stranger's, as a table's are: `checked_row` and `checked_source` take nothing else than what pixvec
may have written. Whether a vector is the one that its image has, nobody can tell without the image.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from pixvec.fetch import Validators
from pixvec.files.untrusted import parse_json
from pixvec.values import ImageFacts, Row, Vector

FINAL_CODES: Final = frozenset(["not_an_image", "unsupported_format", "corrupt_image"])
"""What bytes come to wherever they are read; a decoder's crash may be another program's fault."""

_FLOATS: Final = np.dtype("<f4")
_MAX_COUNT: Final = (1 << 31) - 1
"""Of pixels of a side, frames and bytes: what the columns of a table hold."""
_DETAIL: Final = re.compile(r".{1,1000}", re.DOTALL)
_FORMAT: Final = re.compile(r"[\w +-]{1,40}")
_PLACE: Final = re.compile(r"[0-9a-f]{1,128}")
_HEADER: Final = re.compile(r"[^\x00-\x1f\x7f]{1,8190}")
_MALFORMED: Final = (AttributeError, LookupError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class StoredSource:
    """What a URL was when it was last fetched: the hash of its bytes, and what to ask its server with."""

    sha256: bytes
    validators: Validators


def pack_row(row: Row) -> bytes:
    """Write a row, its thumbnail aside: a line of JSON, and behind it the vector as it is."""
    facts = {**asdict(row.image), "sha256": row.image.sha256.hex()} if row.image else {}
    facts.pop("thumbnail", None)
    head = json.dumps({"error": row.error, "detail": row.detail, "image": facts or None})
    return head.encode() + b"\n" + (b"" if row.vector is None else row.vector.astype(_FLOATS).tobytes())


def unpack_row(entry: bytes) -> Row:
    """Read what `pack_row` wrote."""
    head, _, vector = entry.partition(b"\n")
    facts: dict[str, Any] = parse_json(head, any_number=True)
    image = facts["image"]
    return Row(
        vector=np.frombuffer(vector, _FLOATS).astype(np.float32) if vector else None,
        error=facts["error"],
        detail=facts["detail"],
        image=ImageFacts(**{**image, "sha256": bytes.fromhex(image["sha256"])}) if image else None,
    )


def pack_source(source: StoredSource) -> bytes:
    """Write what is known of a URL; no URL stands in it."""
    return json.dumps({"sha256": source.sha256.hex(), **asdict(source.validators)}).encode()


def unpack_source(entry: bytes) -> StoredSource:
    """Read what `pack_source` wrote."""
    facts: dict[str, Any] = parse_json(entry)
    return StoredSource(bytes.fromhex(facts.pop("sha256")), Validators(**facts))


def checked_row(entry: bytes, *, sha256: bytes, dim: int) -> Row | None:
    """Read a row, which bytes of that hash came to with a model of `dim` numbers; None where none was written."""
    try:
        row = unpack_row(entry)
    except _MALFORMED:
        return None
    if row.error is not None:
        is_sound = _is_final(row.error) and _matches(_DETAIL, row.detail) and row.vector is None and row.image is None
    else:
        is_sound = row.detail is None and _is_vector(row.vector, dim) and _is_of(row.image, sha256)
    return row if is_sound else None


def checked_source(entry: bytes) -> StoredSource | None:
    """Read what is known of a URL; None where no such thing was written."""
    try:
        source = unpack_source(entry)
    except _MALFORMED:
        return None
    known = source.validators
    headers = [header for header in (known.etag, known.last_modified) if header is not None]
    is_sound = len(source.sha256) == _SHA256_BYTES and _matches(_PLACE, known.place)
    return source if is_sound and headers and all(_matches(_HEADER, header) for header in headers) else None


_SHA256_BYTES: Final = 32


def _is_final(code: object) -> bool:
    return isinstance(code, str) and code in FINAL_CODES


def _is_vector(vector: Vector | None, dim: int) -> bool:
    return vector is not None and vector.shape == (dim,) and bool(np.isfinite(vector).all())


def _is_of(image: ImageFacts | None, sha256: bytes) -> bool:
    if image is None or image.sha256 != sha256 or image.final_url is not None or image.thumbnail is not None:
        return False
    counts = (image.width, image.height, image.frames, image.n_bytes)
    return _matches(_FORMAT, image.format) and all(type(n) is int and 0 < n <= _MAX_COUNT for n in counts)


def _matches(pattern: re.Pattern[str], text: object) -> bool:
    return isinstance(text, str) and pattern.fullmatch(text) is not None
