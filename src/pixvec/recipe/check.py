"""Everything that can be wrong with a recipe that could be read, found before any work starts.

Walks through the steps as a run would, with the columns of each dataset instead of its rows. One problem hides no
other: what a wrong step makes is taken as made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, pairwise, repeat
from typing import Final, TypeAlias

from pixvec.fetch import looks_like_url
from pixvec.formatting.names import cut, instead, shown, unknown
from pixvec.recipe.errors import Problem, RecipeError
from pixvec.recipe.grammar import parse
from pixvec.recipe.signature import Slot, Step
from pixvec.recipe.steps import RUN_OPTIONS
from pixvec.recipe.values import Call, Column, Columns, Dataset, Input, Model, Output, Place, Recipe, format_value
from pixvec.tables.url_column import header_problem

_MOST_PROBLEMS: Final = 20

_Found: TypeAlias = Iterator[tuple[str, Place]]
_Table: TypeAlias = dict[str, str | None]
"""The columns of a dataset and their types; None for a type that is not known."""
_Tables: TypeAlias = dict[str, _Table | None]
"""The datasets; None for one whose columns are not known."""


def check(recipe: Recipe, steps: Mapping[str, Step], columns: Mapping[str, str | None]) -> None:
    """Find what is wrong with a recipe: names, numbers and types of inputs, parameters and outputs.

    Parameters
    ----------
    recipe
        What `parse` read, or a recipe made in code.
    steps
        The steps that there are, by name: `STEPS`.
    columns
        The columns of the dataset ``ds`` by name, with their types: ``url``, ``text``, ``list[number]`` and so on;
        None for a type that is not known.

    Raises
    ------
    RecipeError
        When anything is wrong: tells all of it at once, up to twenty problems.
    """
    # The places in a recipe that was made in code are those of its own print.
    recipe = recipe if recipe.text else parse(str(recipe))
    found = islice(_wrong_recipe(recipe, steps, {"ds": dict(columns)}), _MOST_PROBLEMS)
    in_order = sorted(found, key=lambda one: one[1].start)
    if in_order:
        raise RecipeError(*(Problem.at(message, recipe.text, place) for message, place in in_order))


def _wrong_recipe(recipe: Recipe, steps: Mapping[str, Step], tables: _Tables) -> _Found:
    if not recipe.calls:
        yield "the recipe is empty: expected a step", Place(0, 0)
    yield from _wrong_end(recipe.calls, steps)
    for call in recipe.calls:
        step = steps.get(call.step)
        if step:
            yield from _wrong_inputs(call, step, tables)
            yield from _wrong_params(call, step)
            yield from _wrong_number(call, "output", call.outputs, step.outputs)
        else:
            yield unknown("step", call.step, steps), call.place
        yield from _wrong_outputs(call, step.outputs if step else (), tables)


def _wrong_end(calls: Sequence[Call], steps: Mapping[str, Step]) -> _Found:
    for call, following in pairwise(calls):
        if call.step in steps and steps[call.step].ends_recipe:
            yield f"expected no step after {call.step}", following.place


def _wrong_inputs(call: Call, step: Step, tables: _Tables) -> _Found:
    yield from _wrong_number(call, "input", call.inputs, step.inputs)
    for given, slot in zip(call.inputs, step.inputs, strict=False):
        missing = list(islice(_missing(given, tables), _MOST_PROBLEMS))
        yield from missing
        if not missing and not slot.accepts(_type(given, tables)):
            expected = f"{_phrase(slot.type)}{_such_as(slot, given, tables)}"
            yield f"{slot.name}: expected {expected}, found {_phrase(_type(given, tables))}", given.place


def _wrong_number(call: Call, kind: str, given: Sequence[Input], slots: Sequence[Slot]) -> _Found:
    n_least = sum(not slot.optional for slot in slots)
    if not n_least <= len(given) <= len(slots):
        number = f"{n_least}" if n_least == len(slots) else f"{n_least} to {len(slots)}"
        plural = "" if number == "1" else "s"
        listed = f" ({', '.join(map(str, slots))})" if slots else ""
        place = given[len(slots)].place if len(given) > len(slots) else call.place
        yield f"{call.step}: expected {number} {kind}{plural}{listed}, found {len(given)}", place


def _missing(given: Input, tables: _Tables) -> _Found:
    if isinstance(given, Model):
        return
    if given.dataset not in tables:
        yield f"there is no dataset {shown(given.dataset)}{instead(given.dataset, tables)}", given.place
        return
    table = tables[given.dataset]
    for column in _columns(given):
        if table is not None and column.name not in table:
            header = header_problem(table, looks_like_url)
            hint = f"; {header}" if header else instead(column.name, table)
            yield f"{given.dataset} has no column {shown(column.name)}{hint}", column.place


def _columns(given: Column | Columns | Dataset) -> Sequence[Column]:
    match given:
        case Column():
            return [given]
        case Columns():
            return given.columns
    return []


def _type(given: Input, tables: _Tables) -> str | None:
    match given:
        case Model():
            return "model"
        case Column():
            return (tables[given.dataset] or {}).get(given.name)
    return "dataset"


def _phrase(type: str | None) -> str:
    if type is None:
        return "a column"
    return f"a {type}" if type in {"dataset", "model"} else f"a column of {type}"


def _such_as(slot: Slot, given: Input, tables: _Tables) -> str:
    """Name a column that would do."""
    if isinstance(given, Model):
        return ""
    table = tables[given.dataset] or {}
    fitting = [Column(given.dataset, name) for name, known in table.items() if known and slot.accepts(known)]
    return f" such as {fitting[0]}" if fitting else ""


def _wrong_params(call: Call, step: Step) -> _Found:
    known = {parameter.name: parameter for parameter in step.parameters}
    for param in call.params.members:
        if param.name in known:
            parameter = known[param.name]
            if not parameter.accepts(param.value):
                found = cut(format_value(param.value))
                yield f"{param.name}: expected {parameter.expected}, found {found}", param.value_place
        elif param.name.replace("-", "_") in RUN_OPTIONS:
            yield f"{param.name} is not for a recipe to set: it is an option of the command that runs it", param.place
        else:
            yield f"{step.name} has no parameter {shown(param.name)}{instead(param.name, known)}", param.place


def _wrong_outputs(call: Call, slots: Iterable[Slot], tables: _Tables) -> _Found:
    for given, slot in zip(call.outputs, chain(slots, repeat(None)), strict=False):
        if slot and isinstance(given, Column) == (slot.type != "dataset"):
            yield from _wrong_output(call, given, slot, tables)
        elif slot:
            expected = "a name for a new dataset" if slot.type == "dataset" else f"a column such as ds.{slot.name}"
            yield f"{slot.name}: expected {expected}, found {cut(str(given))}", given.place
        _make(given, slot, tables)


def _wrong_output(call: Call, given: Output, slot: Slot, tables: _Tables) -> _Found:
    if isinstance(given, Dataset):
        return
    sources = [source.dataset for source in call.inputs if not isinstance(source, Model)]
    homes = [dataset for dataset in sources if dataset in tables]
    if given.dataset not in tables:
        yield f"there is no dataset {shown(given.dataset)}{instead(given.dataset, tables)}", given.place
    elif homes and given.dataset not in homes:
        yield (
            f"{slot.name}: expected a column of {homes[0]}, where the inputs are, found {cut(str(given))}",
            given.place,
        )
    taken = [name for name in _written(given, slot) if name in (tables.get(given.dataset) or {})]
    if taken:
        yield f"{given.dataset} already has {', '.join(map(shown, taken))}: expected a new column", given.place


def _written(column: Column, slot: Slot | None) -> Mapping[str, str | None]:
    """Name what an output writes: its column, and those beside it."""
    if slot is None:
        return {column.name: None}
    return {column.name: slot.type} | {column.name + beside.name: beside.type for beside in slot.beside}


def _make(given: Output, slot: Slot | None, tables: _Tables) -> None:
    if isinstance(given, Dataset):
        tables[given.dataset] = None
        return
    table = tables.get(given.dataset)
    if table is not None:
        table.update(_written(given, slot))
