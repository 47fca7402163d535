"""A recipe and a table in, the table with the columns that the steps make out.

Reads, checks and prepares all steps before the first one works.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa

from pixvec.errors import ModelError, PixvecError, RunError, UsageError
from pixvec.formatting.names import cut, shown
from pixvec.options import takes_options
from pixvec.recipe.check import check
from pixvec.recipe.column_types import column_types
from pixvec.recipe.context import RecipeOptions, StepContext
from pixvec.recipe.dataset import Dataset, open_file, open_in_memory
from pixvec.recipe.errors import Problem, RecipeError
from pixvec.recipe.folders import check_folders
from pixvec.recipe.grammar import parse
from pixvec.recipe.output import write
from pixvec.recipe.project import dropped_columns
from pixvec.recipe.signature import Work
from pixvec.recipe.steps import STEPS
from pixvec.recipe.values import Call, Column, Columns, Recipe
from pixvec.run import raise_outcome
from pixvec.run.output_file import reserved
from pixvec.similarity.vectors import check_one_space
from pixvec.tables import TABLE_ENDINGS, check_output

StrPath: TypeAlias = str | os.PathLike[str]


@takes_options(RecipeOptions)
def run_recipe(recipe: StrPath, ds: object, options: RecipeOptions) -> Any:
    """Run a recipe: the table comes back with the columns that its steps make.

    Parameters
    ----------
    recipe
        The text of a recipe, or as a `pathlib.Path` its file.
    ds
        The dataset ``ds``: a pandas or polars DataFrame, a pyarrow Table, a Dataset, or the path of a table file.
    **options
        The fields of `Settings`, which hold for what the steps leave open; ``output``, the path of a table file to
        write, and ``restart`` to replace one; ``progress`` as in `Embedder.embed`, for each step; ``tell``, a
        function that is called with a line when a step begins and when it ends, and ``quiet`` for neither.

    Returns
    -------
    the kind of table that came, or None
        The table, of the kind that came, and a pyarrow Table for a file; None when it was written to ``output``.

    Raises
    ------
    RecipeError
        Before any work: when the recipe cannot be read, or cannot be run on this table.
    UsageError
        Before any work: when a file or an option is not as it must be.
    ModelError
        Before any work: when a model cannot be found or read.
    RunError
        When a step fails, which is named, or the output cannot be written.
    TooManyFailedError
        When ``output`` is written, and in a step more rows failed than ``max_failed`` allows, or all that have a cell.
    """
    parsed = parse(_read(recipe))
    if options.output is not None:
        _run_file(parsed, ds, Path(options.output), options)
        return None
    dataset = open_file(ds, options) if isinstance(ds, str | os.PathLike) else open_in_memory(ds)
    dropped = _run(parsed, dataset, StepContext(options))
    return dataset.frame(dataset.added(dropped=dropped), dropped=dropped)


def _read(recipe: StrPath) -> str:
    """Read a recipe's file; a str never is one, as whoever wrote the recipe would choose what is read."""
    if isinstance(recipe, str):
        if recipe.strip() and "(" not in recipe:
            raise UsageError(f"{shown(recipe)} is no recipe: for a file, give its path as a pathlib.Path")
        return recipe
    if not isinstance(recipe, os.PathLike):
        raise UsageError(f"a recipe is its text, or its file as a pathlib.Path, not {type(recipe).__name__}")
    try:
        return Path(recipe).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{recipe} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{recipe} is no text in UTF-8") from error


def _run_file(recipe: Recipe, ds: object, output: Path, options: RecipeOptions) -> None:
    if not isinstance(ds, str | os.PathLike):
        raise UsageError("`output` is for a ds that is a file: a table in memory comes back, to be written by you")
    check_output(ds, output, endings=TABLE_ENDINGS)
    dataset, context = open_file(ds, options), StepContext(options)
    with reserved(output, restart=options.restart) as work:
        dropped = _run(recipe, dataset, context)
        write(dataset, output, work, dropped=dropped)
    for report in context.reports:
        raise_outcome(report, output, options)


def _run(recipe: Recipe, dataset: Dataset, context: StepContext) -> list[str]:
    """Let all steps add their columns; name those that are not to be kept."""
    stages = _prepared(recipe, dataset, context)
    for stage in stages:
        context.tell(f"{stage}: {cut(str(stage.call))}")
        with stage.naming_itself():
            for columns in stage.work_on(dataset):
                dataset.add(columns)
    return _dropped(recipe.calls[-1], [*dataset.names, *dataset.added().column_names])


def _dropped(last: Call, names: list[str]) -> list[str]:
    return dropped_columns(last.inputs[0], names) if STEPS[last.step].ends_recipe else []


@dataclass(frozen=True, slots=True)
class _Stage:
    """A step that is ready to work."""

    call: Call
    work: Work
    number: int
    n_stages: int

    def __str__(self) -> str:
        return f"step {self.number} of {self.n_stages}"

    def work_on(self, dataset: Dataset) -> Iterator[pa.Table]:
        """Make the columns of each output, with their names."""
        inputs = [dataset.column(given.name) for given in self.call.inputs if isinstance(given, Column)]
        outputs = [given.name for given in self.call.outputs if isinstance(given, Column)]
        for name, made in zip(outputs, self.work(*inputs), strict=True):
            yield made.rename_columns([name + suffix for suffix in made.column_names])

    @contextmanager
    def naming_itself(self) -> Iterator[None]:
        """Let whatever ends the step say which it was."""
        try:
            yield
        except PixvecError as error:
            raise RunError(f"{self}, {self.call.step}: {error}") from error
        except Exception as bug:
            bug.add_note(f"{self}, {self.call.step}")
            raise


def _prepared(recipe: Recipe, dataset: Dataset, context: StepContext) -> list[_Stage]:
    """Find everything that can be wrong, and load all that is needed, before any work."""
    types = column_types(dataset, _named_columns(recipe), files_under=context.options.files_under)
    check(recipe, STEPS, types)
    check_folders(recipe, os.fspath(context.options.model))
    _check_spaces(recipe, dataset)
    n_stages = len(recipe.calls)
    return [_Stage(call, _prepare(call, recipe, context), n, n_stages) for n, call in enumerate(recipe.calls, 1)]


def _check_spaces(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse a column of the table whose vectors are of several models."""
    inputs = [given for call in recipe.calls for given in call.inputs if isinstance(given, Column)]
    for given in inputs:
        try:
            check_one_space(dataset.source, given.name)
        except UsageError as error:
            raise RecipeError(Problem.at(str(error), recipe.text, given.place)) from error


def _prepare(call: Call, recipe: Recipe, context: StepContext) -> Work:
    params = {param.name: param.value for param in call.params.members}
    try:
        return STEPS[call.step].prepare(context, params)
    except ModelError as error:
        raise ModelError(f"{call.step}: {error}") from error
    except UsageError as error:
        raise RecipeError(Problem.at(str(error), recipe.text, call.place)) from error


def _named_columns(recipe: Recipe) -> set[str]:
    inputs = [given for call in recipe.calls for given in call.inputs]
    chosen = [column for given in inputs if isinstance(given, Columns) for column in given.columns]
    return {given.name for given in [*inputs, *chosen] if isinstance(given, Column)}
