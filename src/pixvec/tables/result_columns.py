"""Rows in, the four result columns out, as Arrow: vector, reason, sentence, image facts.

Every table and frame takes its new columns from here, so that a format only has to know Arrow. What the vectors were
made with (the provenance) travels in the vector field's metadata. Knows neither formats nor how rows come about.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.files.untrusted import parse_json
from pixvec.options import Options, option
from pixvec.values import ImageFacts, Row, Vectors

PROVENANCE_KEY: Final = b"pixvec"
_SHA256_BYTES: Final = 32
IMAGE_TYPE: Final = pa.struct(
    {
        "sha256": pa.binary(_SHA256_BYTES),
        "format": pa.string(),
        "width": pa.int32(),
        "height": pa.int32(),
        "frames": pa.int32(),
        "n_bytes": pa.int64(),
        "final_url": pa.string(),
    }
)

_facts = attrgetter(*IMAGE_TYPE.names)
_NO_FACTS: Final = (None,) * len(IMAGE_TYPE)


@dataclass(frozen=True, kw_only=True)
class ResultOptions(Options, group="table"):
    """What the new columns are called, and which of them are written."""

    output_column: str = option("embedding", "name of the vector's column; _error, _detail and _image are added to it")
    replace_column: bool = option(False, "drop result columns that the table already has, instead of stopping")
    image_info: bool = option(True, "write the column that says what image was embedded")


def result_names(output_column: str) -> tuple[str, str, str, str]:
    """Name the columns of vector, error, detail and image after the vector's."""
    return output_column, f"{output_column}_error", f"{output_column}_detail", f"{output_column}_image"


def replaced_columns(existing: Iterable[str], options: ResultOptions) -> list[str]:
    """Name the columns that the result columns take the place of.

    Raises
    ------
    UsageError
        If there are any and `replace_column` was not asked for.
    """
    if not options.output_column:
        raise UsageError("`output_column=''`: the vector's column needs a name")
    new = result_names(options.output_column)
    clashes = [name for name in existing if name in new]
    if clashes and not options.replace_column:
        raise UsageError(
            f"the table already has {', '.join(map(repr, clashes))}: "
            "write to other columns with `output_column`, or replace these with `replace_column=True`"
        )
    return clashes


def result_schema(dim: int, options: ResultOptions, *, provenance: Mapping[str, Any]) -> pa.Schema:
    """Describe the result columns for vectors of `dim` numbers; `provenance` must be JSON-able.

    Of texts there is no image to tell of.
    """
    vector, error, detail, image = result_names(options.output_column)
    fields = [
        pa.field(vector, pa.list_(pa.float32(), dim), metadata=provenance_metadata(provenance)),
        pa.field(error, pa.string()),
        pa.field(detail, pa.string()),
    ]
    has_images = options.image_info and provenance.get("embedded") != "texts"
    return pa.schema([*fields, pa.field(image, IMAGE_TYPE)] if has_images else fields)


def provenance_metadata(facts: Mapping[str, Any] | None) -> dict[bytes, str] | None:
    """Write what vectors were made with as the metadata of their field."""
    return None if facts is None else {PROVENANCE_KEY: json.dumps(dict(facts), sort_keys=True)}


def read_provenance(schema: pa.Schema, column: str) -> dict[str, Any] | None:
    """Read what the vectors of `column` were made with; None where nobody wrote it down, or what stands there is not.

    The table may be a stranger's: it is read as `checked_facts` says.
    """
    metadata = schema.field(column).metadata or {}
    return parse_facts(metadata[PROVENANCE_KEY]) if PROVENANCE_KEY in metadata else None


def parse_facts(text: str | bytes) -> dict[str, Any] | None:
    """Read the JSON of what vectors were made with; None where it is none, or not as `checked_facts` wants it."""
    try:
        return checked_facts(parse_json(text))
    except ValueError:
        return None


def checked_facts(said: object) -> dict[str, Any] | None:
    """Take what vectors were made with as it is if each fact that is known has its type and a bounded size, else None.

    Of a fact that is not, nobody knows what it stood for; without it, vectors of several models might look like one's.
    """
    if not isinstance(said, dict) or not all(_FACT_CHECKS[name](said[name]) for name in _FACT_CHECKS.keys() & said):
        return None
    return said


def _is_text(fact: object) -> bool:
    return isinstance(fact, str) and len(fact) <= _MAX_FACT_CHARS


def _is_text_or_none(fact: object) -> bool:
    return fact is None or _is_text(fact)


def _is_hash(fact: object) -> bool:
    return isinstance(fact, str) and len(fact) <= _MAX_HASH_CHARS


def _is_hash_or_none(fact: object) -> bool:
    return fact is None or _is_hash(fact)


def _is_count(fact: object) -> bool:
    return type(fact) is int and fact >= 0


def _is_flag(fact: object) -> bool:
    return isinstance(fact, bool)


def _is_config(fact: object) -> bool:
    return fact is None or isinstance(fact, dict)


def _is_texts(fact: object) -> bool:
    return isinstance(fact, list) and all(map(_is_text, fact))


_MAX_FACT_CHARS: Final = 65_536
"""Of ``allow_address`` and the like, which list what a command line may hold."""
_MAX_HASH_CHARS: Final = 128
_FACT_CHECKS: Final[Mapping[str, Callable[[object], bool]]] = {
    **dict.fromkeys(
        ("embedded", "model", "precision", "decode", "pixvec_version", "column", "output_column"), _is_text
    ),
    **dict.fromkeys(("allow_address", "allow_bucket", "opt_out", "formats", "files_under"), _is_text),
    **dict.fromkeys(("revision", "files_folder"), _is_text_or_none),
    "weights_sha256": _is_hash,
    "table_sha256": _is_hash_or_none,
    **dict.fromkeys(("dim", "embedding_version", "max_redirects", "max_bytes", "max_pixels"), _is_count),
    **dict.fromkeys(("normalize", "allow_private", "data_urls", "image_info"), _is_flag),
    **dict.fromkeys(("vision", "text", "processor"), _is_config),
    "liftable": _is_texts,
}


def read_sha256(image: object) -> bytes | None:
    """Read the hash of a file from a cell of the image column: a struct, or JSON, which stands for it in text.

    None where it is not told, or what stands there is no hash.
    """
    sha256 = read_image(image).get("sha256")
    with suppress(ValueError):
        found = bytes.fromhex(sha256) if isinstance(sha256, str) else sha256
        return found if isinstance(found, bytes) and len(found) == _SHA256_BYTES else None
    return None


def read_image(image: object) -> dict[str, Any]:
    """Read a cell of the image column as a dict, whatever its values are; an empty one where it is none."""
    try:
        known = parse_json(image) if isinstance(image, str) else image
    except ValueError:
        return {}
    return known if isinstance(known, dict) else {}


def restated(schema: pa.Schema, facts: Mapping[str, Any]) -> pa.Schema:
    """Say in a schema that its vectors were made with other facts, where it says what they were made with."""
    metadata = {PROVENANCE_KEY: json.dumps(dict(facts), sort_keys=True)}
    fields = [
        field.with_metadata({**field.metadata, **metadata}) if PROVENANCE_KEY in (field.metadata or {}) else field
        for field in schema
    ]
    return pa.schema(fields, metadata=schema.metadata)


def result_table(rows: Sequence[Row], schema: pa.Schema) -> pa.Table:
    """Build the result columns of consecutive rows, in the types of a `result_schema`."""
    columns = [
        _vector_array(rows, schema.types[0].list_size),
        pa.array([row.error for row in rows], pa.string()),
        pa.array([row.detail for row in rows], pa.string()),
        _image_array([row.image for row in rows]),
    ]
    return pa.Table.from_arrays(columns[: len(schema)], schema=schema)


def result_rows(table: pa.Table) -> list[Row]:
    """Read rows from result columns: what `result_table` makes of them is the same."""
    vector, error, detail, *image = table.columns
    vectors = read_vectors(vector)  # (N, D)
    images = image[0].to_pylist() if image else [None] * len(vectors)
    texts = zip(error.to_pylist(), detail.to_pylist(), images, strict=True)
    return [
        Row(vector if code is None else None, code, sentence, image and ImageFacts(**image))
        for vector, (code, sentence, image) in zip(vectors, texts, strict=True)
    ]


def vector_array(vectors: Vectors, missing: NDArray[np.bool_]) -> pa.FixedSizeListArray:
    """Put vectors, (N, D) float32, into an array of Arrow's, null where the mask, (N,), says that one is missing."""
    values = np.where(missing[:, None], np.float32(0), vectors)  # (N, D)
    flat = pa.array(values.reshape(-1))  # (N * D,)
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1], mask=pa.array(missing))


def read_vectors(column: pa.ChunkedArray) -> Vectors:
    """Read a vector column as one array, (N, D) float32, with NaN where a row is null."""
    dim = column.type.list_size
    vectors = np.full((len(column), dim), np.nan, np.float32)  # (N, D)
    vectors[column.is_valid().to_numpy()] = pc.list_flatten(column).to_numpy().reshape(-1, dim)
    return vectors


def _vector_array(rows: Sequence[Row], dim: int) -> pa.FixedSizeListArray:
    missing = np.array([row.vector is None for row in rows], bool)  # (N,)
    vectors = np.zeros((len(rows), dim), np.float32)  # (N, D)
    if not missing.all():
        vectors[~missing] = np.stack([row.vector for row in rows if row.vector is not None])
    return vector_array(vectors, missing)


def _image_array(images: Sequence[ImageFacts | None]) -> pa.StructArray:
    facts = [_NO_FACTS if image is None else _facts(image) for image in images]
    columns = zip(*facts, strict=True) if facts else [()] * len(IMAGE_TYPE)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, IMAGE_TYPE, strict=True)]
    return pa.StructArray.from_arrays(
        arrays, fields=list(IMAGE_TYPE), mask=pa.array([it is None for it in images], pa.bool_())
    )
