"""Rows and what is known of URLs <-> the bytes that stand for them. It must not know where these are kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from pixvec.fetch import Validators
from pixvec.values import ImageFacts, Row

_FLOATS: Final = np.dtype("<f4")


@dataclass(frozen=True, slots=True)
class Source:
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
    facts: dict[str, Any] = json.loads(head)
    image = facts["image"]
    return Row(
        vector=np.frombuffer(vector, _FLOATS).astype(np.float32) if vector else None,
        error=facts["error"],
        detail=facts["detail"],
        image=ImageFacts(**{**image, "sha256": bytes.fromhex(image["sha256"])}) if image else None,
    )


def pack_source(source: Source) -> bytes:
    """Write what is known of a URL; no URL stands in it."""
    return json.dumps({"sha256": source.sha256.hex(), **asdict(source.validators)}).encode()


def unpack_source(entry: bytes) -> Source:
    """Read what `pack_source` wrote."""
    facts: dict[str, Any] = json.loads(entry)
    return Source(bytes.fromhex(facts.pop("sha256")), Validators(**facts))
