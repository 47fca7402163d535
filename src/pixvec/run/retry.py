"""A finished output with rows that failed -> the same output, with those rows embedded again and all else as it was.

For a file, the rows to retry are a table of their own and pass the pipeline as every table does, in parts that wait
beside the output: a stopped retry loses nothing. A folder's parts are rewritten one by one.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.files.own import OwnFolder
from pixvec.pipeline.provenance import model_stated
from pixvec.pipeline.reach import LIFTABLE, lifted_codes, reach
from pixvec.run.embedding import embed_parts
from pixvec.run.facts import differences, file_sha256
from pixvec.run.job import CHUNK_ROWS, Job
from pixvec.run.options import FileOptions
from pixvec.run.output import creating, put_table, read_facts
from pixvec.run.part_files import PartWriter, Results
from pixvec.run.parts import Part, finished_parts, list_parts, remove_obsolete_parts, remove_parts
from pixvec.run.pieces import Pieces
from pixvec.run.thumbnails import keep_thumbnails, put_thumbnails, thumbnails_of
from pixvec.run.work_folder import REPLACEMENT, UNFINISHED, WorkFolder
from pixvec.tables import Chunk, TableReader, create_table, open_table
from pixvec.tables.cell_text import is_text, recast
from pixvec.tables.columns import open_column
from pixvec.tables.formats.parquet import ParquetReader
from pixvec.tables.result_columns import read_provenance, restated, result_names, result_table
from pixvec.values import Row

Mask: TypeAlias = NDArray[np.bool_]
"""One flag for each row, (N,) bool."""


class RetriedRows:
    """The rows of a finished table that are to be embedded again, as a table of their own.

    Parameters
    ----------
    source
        The finished table.
    lifted
        Codes of rows that are taken because more is allowed now.
    """

    n_rows = None

    def __init__(self, source: TableReader, options: FileOptions, lifted: Collection[str]) -> None:
        self.schema = source.schema
        self._source = source
        self._options = options
        self._lifted = lifted

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read what is to be retried among each `n_rows` rows."""
        needed = None if columns is None else [*columns, _error_name(self._options)]
        for chunk in self._source.chunks(n_rows, columns=needed):
            mask = _mask(chunk.table, self._options, self._lifted)
            if mask.any():
                yield Chunk(chunk.table.filter(pa.array(mask)))


def open_retry(output: Path, options: FileOptions) -> Job:
    """Open a finished output; its own rows are the input.

    Raises
    ------
    UsageError
        When there is none, or it doesn't say what it was made with.
    """
    table = _one_table(output)
    facts = read_facts(table, options.output_column)
    if facts is None or "column" not in facts:
        raise UsageError(f"{output} does not say what its vectors were made with, so that none can be added to them")
    source = open_table(table, options)
    if _error_name(options) not in source.schema.names:
        raise UsageError(f"{output} does not say which of its rows failed, so that none can be embedded again")
    # Each part of a folder says for itself what it was made with.
    lifted = frozenset[str]() if options.retry_codes or output.is_dir() else lifted_codes(facts, reach(options))
    return Job(
        input=output,
        output=output,
        source=RetriedRows(source, options, lifted),
        column=options.texts or options.column or facts["column"],
        dropped=(),
        options=replace(options, limit=None, model=_model(options, facts)),
        counted=source,
        retried_sha256=file_sha256(table),
        lifted=lifted,
    )


def retry_in_file(job: Job, work: WorkFolder, place: Path) -> None:
    """Embed the failed rows of a file again.

    Raises
    ------
    UsageError
        When the file was made with other settings, or there are parts of another run.
    RunError
        When the file system refuses.
    """
    facts = read_facts(place, job.options.output_column) or {}
    _check_made_with(job, facts, work)
    remove_obsolete_parts(work, place, {**job.facts, "retry": None, "table_sha256": None})
    table = open_table(place, job.options)
    kept = Counter[str]()
    for chunk in table.chunks(CHUNK_ROWS, columns=[_error_name(job.options)]):
        kept += _count_kept(job, Counter(chunk.table.column(0).to_pylist()), facts)
    parts = embed_parts(job, work, work, whole_rows=False)
    if parts:
        now = _facts_now(job, facts, [Part(0, 0, failures=kept, facts=facts), *parts])
        _merge(job, table, Results(work, parts, job.results), work, now)
        put_thumbnails(job, work, parts, folder=work, adds=True)
        put_table(work, now, output=job.output)
    job.report.was_finished = not parts
    remove_parts(work)


def retry_in_folder(job: Job, work: WorkFolder, place: Path) -> None:
    """Embed the failed rows of a folder's parts again.

    Raises
    ------
    UsageError
        When the parts were made with other settings.
    RunError
        When the file system refuses.
    """
    _check_made_with(job, job.made_with, work)
    with work.beside.subfolder(place.name, of_anyone=True) as folder:
        _retry_parts(job, work, folder)


def _retry_parts(job: Job, work: WorkFolder, folder: OwnFolder) -> None:
    parts = finished_parts(folder, job.made_with)
    for part in parts:
        codes = Counter(part.failures)
        _count_kept(job, codes + Counter({None: part.n_rows - codes.total()}), part.facts)
    affected = [part for part in parts if _is_affected(part, job)]
    facts = {**job.made_with, "retry": job.facts["retry"]}
    pieces = Pieces(work, job, facts, [part for part in parts if part not in affected])
    cells = _Cells(job, pieces, folder, affected)
    with (
        job.telling_progress(sum(part.n_rows for part in parts)) as on_progress,
        closing(pieces),
        closing(job.embed(cells, pieces.telling(on_progress), n_unkept=pieces.count_pending)) as decided,
    ):
        rows = cells.in_order(decided)
        for part in affected:
            _rewrite(job, part, rows, work, folder)
            pieces.forget(part)
    put_thumbnails(job, work, parts, folder=folder, adds=True)
    job.report.was_finished = not affected


def _model(options: FileOptions, facts: Mapping[str, Any]) -> str | os.PathLike[str]:
    """Name the model: the one that the table names, unless the caller names another than everybody has."""
    return (model_stated(facts) if options.model == FileOptions.model else None) or options.model


def _one_table(output: Path) -> Path:
    """Find a file that says what the output was made with: itself, or a part of it."""
    if not output.is_dir():
        tables = [output] if output.exists() else []
    else:
        with OwnFolder.at(output) as folder:
            tables = [output / part.name for part in list_parts(folder)]
    if not tables:
        raise UsageError(f"there is nothing in {output} to retry: run the command without `retry_failed=True` first")
    return tables[0]


def _check_made_with(job: Job, facts: Mapping[str, Any], work: WorkFolder) -> None:
    if differing := differences(facts, job.made_with):
        raise UsageError(f"{job.output} was made otherwise: {differing}; give the settings that it was made with")
    if work.has(REPLACEMENT):
        raise UsageError(f"{job.output} is being replaced: finish that first, with the command that began it")


def _count_kept(job: Job, codes: Counter[str | None], facts: Mapping[str, Any]) -> Counter[str]:
    """Count the rows that stay as they are, by code, and give the counts of those that failed."""
    lifted = job.lifted_codes(facts)
    kept = Counter({code: n for code, n in codes.items() if not job.options.is_retried(code, lifted)})
    failures = Counter({code: n for code, n in kept.items() if code})
    job.report.resume(kept.total(), failures, lifted=lifted)
    return failures


def _facts_now(job: Job, facts: Mapping[str, Any], kept: Iterable[Part]) -> dict[str, Any]:
    """State what a table is made with whose rows were embedded again: of what lets rows in, the newest."""
    stated = {name: fact for name, fact in facts.items() if name != LIFTABLE}
    return {**stated, **job.stated_reach, **job.liftable(kept)}


def _is_affected(part: Part, job: Job) -> bool:
    lifted = job.lifted_codes(part.facts)
    return any(job.options.is_retried(code, lifted) for code in part.failures)


class _Cells:
    """The cells of a folder's rows that are to be embedded again, without those that an earlier start has kept."""

    def __init__(self, job: Job, pieces: Pieces, folder: OwnFolder, parts: Sequence[Part]) -> None:
        self._job = job
        self._pieces = pieces
        self._folder = folder
        self._parts = parts
        self._asked: list[int] = []
        """The rows of the cells that were given."""
        self._waiting: deque[tuple[int, bool]] = deque()
        """Rows that were read and not handed out, and whether each is kept."""

    def __iter__(self) -> Iterator[object]:
        for part in self._parts:
            first, lifted = part.start, self._job.lifted_codes(part.facts)
            table, columns = _open_part(self._folder, part), [self._job.column, _error_name(self._job.options)]
            for chunk in table.chunks(CHUNK_ROWS, columns=columns):
                (indexes,) = np.nonzero(_mask(chunk.table, self._job.options, lifted))
                cells = open_column(chunk.table.column(self._job.column).take(indexes)).cells
                for row, cell in zip((first + indexes).tolist(), cells, strict=True):
                    is_kept = self._pieces.holds(row, cell)
                    self._waiting.append((row, is_kept))
                    if not is_kept:
                        self._asked.append(row)
                        yield cell
                first += chunk.table.num_rows

    def in_order(self, decided: Iterable[tuple[int, Row]]) -> Iterator[Row]:
        """Hand out the rows in their order, and keep those that are decided."""
        early: dict[int, Row] = {}
        for numbered in chain(decided, [None]):
            if numbered:
                row = self._asked[numbered[0]]
                early[row] = numbered[1]
                self._pieces.keep(row, numbered[1])
            while self._waiting and (self._waiting[0][1] or self._waiting[0][0] in early):
                row, is_kept = self._waiting.popleft()
                yield self._pieces.row(row) if is_kept else early.pop(row)


def _merge(job: Job, table: TableReader, results: Results, work: WorkFolder, facts: Mapping[str, Any]) -> None:
    """Write the table with the new results in the place of the old ones."""
    names = _result_names(table, job.options)
    schema = restated(pa.schema([_written_field(table.schema.field(name), job) for name in names]), facts)
    with (
        creating(work, job.output) as file,
        create_table(file, table, schema, ending=job.output.name, dropped=names) as writer,
    ):
        for chunk in table.chunks(CHUNK_ROWS):
            mask = _mask(chunk.table, job.options, job.lifted)
            writer.write(chunk, _merged(chunk.table.select(names), results.take(int(mask.sum())), mask, schema))


def _written_field(field: pa.Field, job: Job) -> pa.Field:
    """Say how a result is written: as text where the table holds text, else in the type that it was made in."""
    return field if is_text(field.type) else field.with_type(job.results.field(field.name).type)


def _open_part(folder: OwnFolder, part: Part) -> TableReader:
    return ParquetReader(folder.path / part.name, open_file=partial(folder.read, part.name))


def _rewrite(job: Job, part: Part, rows: Iterator[Row], work: WorkFolder, folder: OwnFolder) -> None:
    """Write a folder's part with the new results in the place of the old ones."""
    failures, thumbnails = Counter[str](), dict[bytes, bytes]()
    table = _open_part(folder, part)
    names = _result_names(table, job.options)
    lifted = job.lifted_codes(part.facts)
    kept = {code: n for code, n in part.failures.items() if not job.options.is_retried(code, lifted)}
    facts = {**job.made_with, **job.liftable([replace(part, failures=kept)])}
    stated = read_provenance(table.schema, names[0]) or {}
    schema = restated(table.schema, {**stated, **job.stated_reach})
    with closing(PartWriter(work, UNFINISHED, job.output)) as writer:
        for chunk in table.chunks(CHUNK_ROWS):
            mask = _mask(chunk.table, job.options, lifted)
            retried = list(islice(rows, int(mask.sum())))
            thumbnails.update(thumbnails_of(retried))
            new = result_table(retried, job.results)
            old = chunk.table.select(names)
            merged = _merged(old, new, mask, old.schema)
            failures.update(filter(None, merged.column(1).to_pylist()))
            writer.write(_with_columns(chunk.table, merged).cast(schema))
        keep_thumbnails(job, work, part, thumbnails)
        writer.put(folder, replace(part, failures=failures), facts)


def _with_columns(table: pa.Table, columns: pa.Table) -> pa.Table:
    for field in columns.schema:
        table = table.set_column(table.schema.get_field_index(field.name), field, columns.column(field.name))
    return table


def _merged(old: pa.Table, new: pa.Table, mask: Mask, schema: pa.Schema) -> pa.Table:
    """Take new rows where the mask is set, and old ones elsewhere."""
    places = np.arange(len(mask))
    places[mask] = len(mask) + np.arange(new.num_rows)
    both = pa.concat_tables([_recast(old, schema), _recast(new, schema)])
    return both.combine_chunks().take(places)


def _recast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [recast(column, type_) for column, type_ in zip(table.columns, schema.types, strict=True)]
    return pa.Table.from_arrays(columns, schema=schema)


def _mask(table: pa.Table, options: FileOptions, lifted: Collection[str]) -> Mask:
    codes = table.column(_error_name(options)).to_pylist()
    return np.array([options.is_retried(code, lifted) for code in codes], dtype=bool)


def _error_name(options: FileOptions) -> str:
    return result_names(options.output_column)[1]


def _result_names(table: TableReader, options: FileOptions) -> list[str]:
    names = result_names(options.output_column)
    return [name for name in names if name in table.schema.names]
