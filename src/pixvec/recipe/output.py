"""A dataset in, a table file out, which appears whole or not at all."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow as pa

from pixvec.output_file import put_with_columns
from pixvec.recipe.dataset import Dataset
from pixvec.result_columns import read_provenance


def write(dataset: Dataset, output: Path, unfinished: Path, *, dropped: Collection[str]) -> None:
    """Write the caller's columns and those that were added, but for some.

    Raises
    ------
    RunError
        When the file system refuses, or the table changed since it was read.
    """
    dataset.check_unchanged()
    added = dataset.added(dropped=dropped)
    put_with_columns(dataset.source, added, output, unfinished=unfinished, dropped=dropped, facts=_facts(added.schema))


def _facts(schema: pa.Schema) -> dict[str, Any]:
    """State what the vectors were made with: what holds for all of them, and for each column all that is known."""
    columns = {name: facts for name in schema.names if (facts := read_provenance(schema, name))}
    first = next(iter(columns.values()), {})
    shared = {key: value for key, value in first.items() if all(facts.get(key) == value for facts in columns.values())}
    return {**shared, "columns": columns}
