"""The file of thumbnails beside a table, ``NAME.thumbnails.parquet``: its schema, and reading it as a stranger's.

Whoever passes a table on may put any file there. What is read takes memory in proportion to the file and not to what
the file claims, and of its images nothing but the outline is looked at: they are strangers' images like those that are
fetched.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pixvec.errors import UsageError
from pixvec.files.own import beside
from pixvec.images.thumbnail import MAX_SIDE, is_thumbnail, max_thumbnail_bytes
from pixvec.tables import THUMBNAILS_ENDING

SCHEMA: Final = pa.schema([("sha256", pa.binary(32)), ("image", pa.binary())])
_READ_SCHEMA: Final = pa.schema([SCHEMA.field("sha256"), ("image", pa.dictionary(pa.int32(), pa.binary()))])
ROW_GROUP_ROWS: Final = 1_024
"""Rows of a row group, of some 3 KB each: whoever looks for a few thumbnails reads no more than their groups."""

_LOGGER: Final = logging.getLogger("pixvec")


def thumbnails_path(table: Path) -> Path:
    """Name the file of thumbnails of a table, or of a folder of parts."""
    return table.with_name(table.name + THUMBNAILS_ENDING)


def read_thumbnails(table: Path, hashes: Collection[bytes]) -> dict[bytes, bytes]:
    """Read the thumbnails of some images of a table, by the hashes of their bytes; as many as there are.

    Each is outlined like one of ours. A file that is none of ours costs a warning.
    """
    path = thumbnails_path(table.resolve())
    try:
        with beside(table) as folder:
            if not hashes or not folder.has(path.name):
                return {}
            with folder.read(path.name, of_anyone=True) as opened:
                # An image that a dictionary repeats stays one image.
                file = pq.ParquetFile(opened, read_dictionary=["image"], page_checksum_verification=True)
                _check(file)
                found = dict(_find(file, pa.array(list(hashes), SCHEMA.types[0])))
    except (pa.ArrowException, OSError, ValueError, LookupError, UsageError) as error:
        _LOGGER.warning("%s is no file of thumbnails, and is left aside: %s", path, error)
        return {}
    return {sha256: image for sha256, image in found.items() if is_thumbnail(image, MAX_SIDE)}


def _check(file: pq.ParquetFile) -> None:
    """Check that a file is like one of ours: its columns, nothing packed, and row groups that are small."""
    if not file.schema_arrow.equals(_READ_SCHEMA):
        raise ValueError("it has other columns")
    groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
    if any(group.num_rows > ROW_GROUP_ROWS for group in groups):
        raise ValueError(f"its row groups have more than {ROW_GROUP_ROWS:,} rows")
    if any(group.column(number).compression != "UNCOMPRESSED" for group in groups for number in (0, 1)):
        raise ValueError("it is compressed")


def _find(file: pq.ParquetFile, wanted: pa.Array) -> Iterator[tuple[bytes, bytes]]:
    for number in range(file.num_row_groups):
        hashes = file.read_row_group(number, columns=["sha256"])["sha256"]
        rows = pc.indices_nonzero(pc.is_in(hashes, wanted))
        if len(rows):
            images = file.read_row_group(number, columns=["image"])["image"]
            yield from ((hashes[row].as_py(), image) for row in rows.to_pylist() if (image := _image(images[row])))


def _image(cell: pa.DictionaryScalar) -> bytes | None:
    value = cell.value
    if not value.is_valid or value.as_buffer().size > max_thumbnail_bytes(MAX_SIDE):
        return None
    image: bytes = value.as_py()
    return image
