"""The thumbnails of a run's images: kept in blocks beside its parts, and put together to one file at the end.

A block holds the thumbnails of one part, and is there before the part is: a part without a block was made without
thumbnails. The file has a thumbnail of each distinct image, in the order in which rows name them first.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder
from pixvec.run.job import Job
from pixvec.run.parts import Part
from pixvec.run.thumbnail_file import ROW_GROUP_ROWS, SCHEMA, thumbnails_path
from pixvec.run.work_folder import UNFINISHED, WorkFolder
from pixvec.tables import reporting_write_errors
from pixvec.tables.result_columns import result_names
from pixvec.values import Row

Thumbnails: TypeAlias = Mapping[bytes, bytes]
"""WebP files by the hashes of their images' bytes."""
_Keys: TypeAlias = NDArray[np.uint64]
"""The first 16 bytes of hashes, (n, 2): enough to tell images apart, in half the memory."""

_Source: TypeAlias = tuple[OwnFolder, str]
"""A file, named in its folder."""

_BLOCK: Final = "thumbnails-"
_LOGGER: Final = logging.getLogger("pixvec")


def thumbnails_of(rows: Iterable[Row]) -> dict[bytes, bytes]:
    """Return the thumbnails that rows bring with their images."""
    images = (row.image for row in rows if row.image)
    return {image.sha256: image.thumbnail for image in images if image.thumbnail}


def keep_thumbnails(job: Job, work: WorkFolder, part: Part, thumbnails: Thumbnails) -> None:
    """Keep the thumbnails of a part that is about to appear, beside those that were kept of it before."""
    if job.options.thumbnails is None:
        return
    block, unfinished = _block(part), f"{UNFINISHED}-{_BLOCK}{part.start}"
    with reporting_write_errors(job.output):
        kept = list(_row_groups([(work, block)])) if work.has(block) else []
        new = pa.table([list(thumbnails), list(thumbnails.values())], schema=SCHEMA)
        _write([*kept, new], work, unfinished)
        work.put(unfinished, work, block)


def check_thumbnails(work: WorkFolder) -> None:
    """Check, before any work, that the file of thumbnails may be replaced, if there is one.

    Raises
    ------
    UsageError
        When it is not pixvec's.
    """
    name = _file_beside(work)
    if work.beside.has(name):
        with work.beside.read(name) as file:
            try:
                is_ours = pq.read_schema(file).equals(SCHEMA)
            except pa.ArrowException:
                is_ours = False
        if not is_ours:
            raise UsageError(f"{work.beside.path / name} is not pixvec's, which needs this name: move it away")


def put_thumbnails(job: Job, work: WorkFolder, parts: Sequence[Part], *, folder: OwnFolder, adds: bool = False) -> None:
    """Let the file of thumbnails appear beside an output; say how many images have none.

    Parameters
    ----------
    parts
        The finished parts, in the order of their rows.
    folder
        Where these are.
    adds
        Whether the thumbnails of an earlier run stay.

    Raises
    ------
    RunError
        When the file system refuses.
    """
    if job.options.thumbnails is None:
        return
    name = _file_beside(work)
    blocks = [(work, block) for part in parts if work.has(block := _block(part))]
    with reporting_write_errors(job.output):
        if blocks:
            before = [(work.beside, name)] if adds and work.beside.has(name) else []
            _write(_distinct([*before, *blocks]), work, f"{UNFINISHED}-{name}")
            work.put_beside(f"{UNFINISHED}-{name}", name)
    _say_missing(job, work, folder, parts)


def say_without_thumbnails(job: Job, work: WorkFolder) -> None:
    """Say that a finished output has none, where they are asked for."""
    if job.options.thumbnails is not None and not work.beside.has(_file_beside(work)):
        _LOGGER.warning("%s was finished without thumbnails, and a restart alone makes them", job.output)


def remove_thumbnails(work: WorkFolder, *, but_of: Iterable[Part] = ()) -> None:
    """Remove the blocks of thumbnails, but those of some parts."""
    blocks = {name for name in work.names() if Part.of_name(name.removeprefix(_BLOCK)) and name.startswith(_BLOCK)}
    for name in blocks.difference(map(_block, but_of)):
        work.remove(name)


def _block(part: Part) -> str:
    return f"{_BLOCK}{part.name}"


def _file_beside(work: WorkFolder) -> str:
    return thumbnails_path(Path(work.output)).name


def _say_missing(job: Job, work: WorkFolder, folder: OwnFolder, parts: Sequence[Part]) -> None:
    """Count the images that have no thumbnail: an earlier start embedded them without."""
    column = f"{result_names(job.options.output_column)[-1]}.sha256"
    images = [_read_column((folder, part.name), column) for part in parts]
    name = _file_beside(work)
    there = _keys((work.beside, name)) if work.beside.has(name) else _no_keys()
    needed = [_as_keys(pc.struct_field(of_part, "sha256").drop_null()) for of_part in images]
    if n_missing := int(_is_first([there, *needed]).sum()) - len(there):
        _LOGGER.warning(
            "%s images have no thumbnail: their rows were embedded without thumbnails, and a restart alone makes them",
            f"{n_missing:,}",
        )


# Files ----------------------------------------------------------------------------------------------------------------


def _write(tables: Iterable[pa.Table], work: WorkFolder, name: str) -> None:
    """Write thumbnails as they are: WebP is packed already."""
    how = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    with work.create_anew(name) as sink, pq.ParquetWriter(sink, SCHEMA, **how) as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)


def _distinct(sources: Sequence[_Source]) -> Iterator[pa.Table]:
    """Read the thumbnails of several files, each the first time that it comes, in row groups of one size."""
    is_first = _is_first([_keys(source) for source in sources])
    waiting, start = SCHEMA.empty_table(), 0
    for table in _row_groups(sources):
        chosen = table.filter(pa.array(is_first[start : start + table.num_rows]))
        waiting, start = pa.concat_tables([waiting, chosen]), start + table.num_rows
        while waiting.num_rows >= ROW_GROUP_ROWS:
            yield waiting.slice(0, ROW_GROUP_ROWS).combine_chunks()
            waiting = waiting.slice(ROW_GROUP_ROWS)
    yield waiting.combine_chunks()


def _row_groups(sources: Iterable[_Source]) -> Iterator[pa.Table]:
    for folder, name in sources:
        with folder.read(name) as opened:
            file = pq.ParquetFile(opened, page_checksum_verification=True)
            yield from (file.read_row_group(number) for number in range(file.num_row_groups))


def _read_column(source: _Source, column: str) -> pa.ChunkedArray:
    folder, name = source
    with folder.read(name) as file:
        return pq.ParquetFile(file).read(columns=[column]).column(0)


# Hashes ---------------------------------------------------------------------------------------------------------------


def _keys(source: _Source) -> _Keys:
    return _as_keys(_read_column(source, "sha256"))


def _as_keys(hashes: pa.ChunkedArray) -> _Keys:
    if not len(hashes):
        return _no_keys()
    array = hashes.combine_chunks()
    whole = np.frombuffer(array.buffers()[1], np.uint64).reshape(-1, 4)  # (m, 4)
    return whole[array.offset : array.offset + len(array), :2].copy()  # (n, 2)


def _no_keys() -> _Keys:
    return np.empty((0, 2), np.uint64)


def _is_first(of_files: Sequence[_Keys]) -> NDArray[np.bool_]:
    """Tell of each key, (n,), whether it comes for the first time."""
    keys = np.concatenate([_no_keys(), *of_files])  # (n, 2)
    order = np.lexsort((keys[:, 1], keys[:, 0]))  # (n,), equal ones as they come
    ranked = keys[order]
    is_first = np.ones(len(keys), bool)
    is_first[order[1:]] = (ranked[1:] != ranked[:-1]).any(axis=1)
    return is_first
