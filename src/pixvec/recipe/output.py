"""A dataset in, a table file out, which appears whole or not at all."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from pixvec.recipe.dataset import Dataset
from pixvec.run.output_file import put_with_columns
from pixvec.run.work_folder import WorkFolder
from pixvec.similarity.vectors import provenance_beside


def write(dataset: Dataset, output: Path, work: WorkFolder, *, dropped: Collection[str]) -> None:
    """Write the caller's columns and those that were added, but for some.

    Raises
    ------
    RunError
        When the file system refuses, or the table changed since it was read.
    """
    dataset.check_unchanged()
    added, facts = dataset.added(dropped=dropped), provenance_beside(dataset.path)
    put_with_columns(dataset.source, added, output, work=work, dropped=dropped, facts=facts)
