"""What `create_project` does, the end of a recipe: it says which columns of the dataset are kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa

from pixvec.recipe.context import StepContext
from pixvec.recipe.signature import Work
from pixvec.recipe.values import Columns, Input


def prepare_project(context: StepContext, params: Mapping[str, Any]) -> Work:  # noqa: ARG001 (a step is prepared so)
    """Prepare nothing: what is left out is known when all is done."""
    return _make_nothing


def dropped_columns(dataset: Input, names: Collection[str]) -> list[str]:
    """Name the columns that the dataset to keep leaves out: ``ds[!["price"]]``."""
    if not isinstance(dataset, Columns):
        return []
    listed = {column.name for column in dataset.columns}
    return [name for name in names if (name in listed) == dataset.excluded]


def _make_nothing() -> list[pa.Table]:
    return []
