"""A finished table file: what it says it was made with, and how it comes to its place.

Formats that hold metadata say it in the vector column's field; for the others a file beside the table does, together
with the table's hash, so that it is not believed of another table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pixvec.errors import UsageError
from pixvec.provenance import provenance_path, provenance_text
from pixvec.result_columns import read_provenance
from pixvec.run.facts import file_sha256
from pixvec.run.work_folder import FACTS, flush, put
from pixvec.table import keeps_metadata, open_table, reporting_write_errors


def read_facts(table: Path, output_column: str) -> dict[str, Any] | None:
    """Read what a table was made with; None where nothing says so."""
    if not keeps_metadata(table):
        return _facts_in(provenance_path(table), table)
    try:
        schema = open_table(table).schema
    except UsageError:
        return None
    return read_provenance(schema, output_column) if output_column in schema.names else None


def put_table(unfinished: Path, place: Path, facts: Mapping[str, Any], *, output: Path) -> None:
    """Let a table that was written in the work folder appear at its place.

    Raises
    ------
    RunError
        When the file system refuses.
    """
    with reporting_write_errors(output):
        if keeps_metadata(place):
            put(unfinished, place)
            return
        told = unfinished.with_name(FACTS)
        told.write_text(provenance_text({**facts, "table_sha256": file_sha256(unfinished)}), encoding="utf-8")
        flush(told)
        put(unfinished, place)
        put(told, provenance_path(place))


def settle(work: Path, place: Path, *, output: Path) -> None:
    """Put the facts of a table beside it, where a run was cut off between the two.

    Raises
    ------
    RunError
        When the file system refuses.
    """
    told = work / FACTS
    with reporting_write_errors(output):
        if told.exists() and _facts_in(told, place):
            put(told, provenance_path(place))
        told.unlink(missing_ok=True)


def _facts_in(told: Path, table: Path) -> dict[str, Any] | None:
    """Read a file of facts, if they are those of a table."""
    try:
        facts: dict[str, Any] = json.loads(told.read_text(encoding="utf-8"))
        return facts if facts.get("table_sha256") == file_sha256(table) else None
    except (OSError, ValueError, AttributeError):
        return None
