"""A step explained to a person, made from its registration."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pixvec.recipe.signature import Parameter, Slot, Step


def describe(step: Step) -> str:
    """Explain a step: its signature, inputs, outputs, parameters with their defaults, and an example.

    Parameters
    ----------
    step
        One of `STEPS`.
    """
    sections = [
        ("Inputs", [(str(slot), slot.help) for slot in step.inputs]),
        ("Outputs", [(str(slot), slot.help) for slot in _with_beside(step.outputs)]),
        ("Parameters", [(str(parameter), _help(parameter)) for parameter in step.parameters]),
    ]
    listed = [f"{title}\n{_entries(entries)}" for title, entries in sections if entries]
    return "\n\n".join([str(step), step.help, *listed, f"Example\n  {step.example}"])


def _with_beside(outputs: Iterable[Slot]) -> Iterator[Slot]:
    for output in outputs:
        yield output
        for beside in output.beside:
            yield Slot(output.name + beside.name, beside.type, f"{beside.help}; written too, not named in the recipe")


def _help(parameter: Parameter) -> str:
    is_bounded = parameter.choices or parameter.minimum is not None or parameter.maximum is not None
    return f"{parameter.help} ({parameter.expected})" if is_bounded else parameter.help


def _entries(entries: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"  {name}\n      {meaning}" for name, meaning in entries)
