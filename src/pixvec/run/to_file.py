"""A file as output: its parts wait beside it with the result columns alone, and join the input's at the end."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from pixvec.errors import RunError, UsageError
from pixvec.files.own import OwnFolder
from pixvec.pipeline.provenance import provenance_path
from pixvec.run.embedding import FILE_PART_ROWS, by_part, embed_parts, input_change
from pixvec.run.facts import differences
from pixvec.run.job import CHUNK_ROWS, InputError, Job
from pixvec.run.output import creating, put_table, read_facts
from pixvec.run.part_files import Results
from pixvec.run.parts import Part, Plan, remove_obsolete_parts, remove_parts, replacement_folder
from pixvec.run.thumbnails import put_thumbnails, say_without_thumbnails
from pixvec.run.work_folder import WorkFolder
from pixvec.tables import Chunk, TableWriter, content_sha256, create_table, open_table, reporting_write_errors
from pixvec.tables.columns import open_column
from pixvec.tables.result_columns import result_names, result_schema


def embed_to_file(job: Job, work: WorkFolder, place: Path) -> None:
    """Embed a table into a file.

    Raises
    ------
    UsageError
        When the file exists and another command wrote it; or finished parts are of another run.
    RunError
        When the file system refuses, or input or output change meanwhile.
    """
    with replacement_folder(work, restart=job.options.restart, replaces=place.exists()) as replacement:
        if place.exists() and not replacement:
            _count_finished(job, place, _check_finished(job, place))
            say_without_thumbnails(job, work)
            remove_obsolete_parts(work, place, job.facts)
            return
        folder = replacement or work
        parts = embed_parts(job, work, folder, whole_rows=False)
        facts = {**job.provenance, **_finished_facts(job), **job.liftable(parts)}
        _assemble(job, parts, folder, work, facts)
        put_thumbnails(job, work, parts, folder=folder)
        _put(job, work, place, facts, is_replacing=replacement is not None)
        remove_parts(folder)


def _put(job: Job, work: WorkFolder, place: Path, facts: dict[str, Any], *, is_replacing: bool) -> None:
    """Let the table appear; beside its place where somebody else has taken that."""
    if is_replacing or not work.beside.has(work.output):
        put_table(work, facts, output=job.output)
        return
    with reporting_write_errors(job.output):
        free = _free_name(work.beside, place)
    put_table(work, facts, output=job.output, name=free)
    remove_parts(work)
    raise RunError(
        f"somebody else wrote {job.output} meanwhile: it was left alone, and the table is {place.with_name(free)}"
    )


def _free_name(folder: OwnFolder, place: Path) -> str:
    """Take a name that nothing has, for a table whose place is taken."""
    for number in count(os.getpid()):
        name = f"{place.stem}.{number}{place.suffix}"
        if folder.has(provenance_path(Path(name)).name):
            continue
        with suppress(FileExistsError):
            folder.create(name).close()
            return name
    raise AssertionError  # there is no last number


def _assemble(job: Job, parts: Sequence[Part], folder: OwnFolder, work: WorkFolder, facts: dict[str, Any]) -> None:
    """Write the table: the input's columns, read again and compared with the parts, and theirs."""
    schema = result_schema(job.model.dim, job.options, provenance=facts)
    results = Results(folder, parts, schema)
    with (
        creating(work, job.output) as file,
        create_table(file, job.source, schema, ending=job.output.name, dropped=job.dropped) as writer,
    ):
        n_parts = 0
        for part, spans in by_part(_written(job.chunks(), results, writer), Plan(parts, FILE_PART_ROWS)):
            if change := input_change(part, (span.table.select([job.column]) for span in spans)):
                raise InputError(f"{job.input} {change}")
            n_parts += 1
        if n_parts < len(parts):
            raise InputError(f"{job.input} lost rows while it was read")


def _written(chunks: Iterable[Chunk], results: Results, writer: TableWriter) -> Iterator[Chunk]:
    for chunk in chunks:
        writer.write(chunk, results.take(chunk.table.num_rows))
        yield chunk


def _finished_facts(job: Job) -> dict[str, Any]:
    """State what two commands must agree in to have the same table."""
    names = ("limit", "infer_types", "no_header", "no_quoting")
    how_read = {name: getattr(job.options, name) for name in names}
    return {**job.made_with, **how_read, "input_sha256": content_sha256(job.input)}


def _check_finished(job: Job, place: Path) -> dict[str, Any]:
    """Check that a table is what this command gives, and return what it was made with."""
    ways_on = "replace it with `restart=True`, or write to another file"
    facts = read_facts(place, job.options.output_column)
    if facts is None:
        raise UsageError(f"{job.output} exists, and does not say that this command wrote it: {ways_on}")
    if differing := differences(facts, _finished_facts(job)):
        raise UsageError(
            f"{job.output} is finished, and was made otherwise: {differing}; give what it was made with, {ways_on}"
        )
    return facts


def _count_finished(job: Job, place: Path, facts: Mapping[str, Any]) -> None:
    _, error, _, _ = result_names(job.options.output_column)
    table = open_table(place, job.options.as_written(job.input, place))
    failures, n_rows = Counter[str](), 0
    if error in table.schema.names:
        for chunk in table.chunks(CHUNK_ROWS, columns=[error]):
            n_rows += chunk.table.num_rows
            failures.update(filter(None, chunk.table.column(0).to_pylist()))
    else:  # an array says which rows failed, and not why
        for chunk in table.chunks(CHUNK_ROWS):
            n_rows += chunk.table.num_rows
            failures["unknown"] += chunk.table.column(0).null_count
        failures["null_input"] = _n_empty(job)
        failures["unknown"] -= failures["null_input"]
    job.report.resume(n_rows, +failures, lifted=job.lifted_codes(facts))
    job.report.was_finished = True


def _n_empty(job: Job) -> int:
    """Count the cells of the input that hold nothing."""
    columns = (open_column(chunk.table.column(0).to_pylist()) for chunk in job.chunks(columns=[job.column]))
    return sum(cell is None or (isinstance(cell, str) and not cell.strip()) for column in columns for cell in column)
