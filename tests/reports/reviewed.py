"""Tables as `pixvec embed` writes them, made of rows that a test decides."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pixvec.run.output_file import write_with_columns
from pixvec.tables import open_frame
from pixvec.tables.result_columns import ResultOptions, result_schema, result_table
from pixvec.values import ImageFacts, Row

FACTS = {"model": "demo", "column": "image_url", "precision": "fp32", "dim": 4}


def embedded(image: str = "a", **facts: Any) -> Row:
    """A row with a vector; `picture` stands for the bytes of the file."""
    known = {"format": "JPEG", "width": 640, "height": 480, "frames": 1, "n_bytes": 1_000, **facts}
    return Row(vector=np.ones(4, np.float32), image=ImageFacts(hashlib.sha256(image.encode()).digest(), **known))


def failed(code: str, detail: str = "it failed") -> Row:
    """A row without one."""
    return Row(error=code, detail=detail)


def write_reviewed(
    path: Path,
    cells: Sequence[str | None],
    rows: Sequence[Row],
    *,
    column: str = "image_url",
    image_info: bool = True,
    facts: dict[str, Any] | None = None,
) -> Path:
    """Write cells and what they came to as a table."""
    facts = {**FACTS, "column": column, **(facts or {})}
    schema = result_schema(4, ResultOptions(image_info=image_info), provenance=facts)
    source = open_frame(pa.table({column: pa.array(cells, pa.string())}))
    write_with_columns(source, result_table(rows, schema), path, restart=True)
    return path
