"""The registered steps, and what is made from them: descriptions and the reference."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pixvec.pipeline.settings import Settings
from pixvec.recipe import STEPS, Column, RecipeError, Step, check, describe, grammar, parse

REFERENCE = (Path(__file__).parents[2] / "docs" / "recipe.md").read_text(encoding="utf-8")
COLUMNS = {"image_url": "url", "caption": "text"}
steps = pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)


@steps
def test_an_example_is_a_right_use_of_its_step(step: Step) -> None:
    (call,) = parse(step.example).calls
    columns = {
        given.name: slot.type for given, slot in zip(call.inputs, step.inputs, strict=True) if isinstance(given, Column)
    }
    assert call.step == step.name
    check(parse(step.example), STEPS, columns)


@steps
def test_a_default_is_a_value_that_the_parameter_takes(step: Step) -> None:
    assert all(parameter.accepts(parameter.default) for parameter in step.parameters)


@pytest.mark.parametrize("name", ["embed_images", "embed_text_with_model"])
def test_the_defaults_of_embedding_are_those_of_the_functions(name: str) -> None:
    settings = Settings()
    defaults = {parameter.name: parameter.default for parameter in STEPS[name].parameters}
    assert defaults == {name: getattr(settings, name) for name in defaults}


def test_a_description_is_made_from_the_registration() -> None:
    assert describe(STEPS["create_project"]).splitlines() == [
        "create_project(dataset: dataset)",
        "",
        "Name the dataset that the recipe is for; the last step.",
        "",
        "Inputs",
        "  dataset: dataset",
        "      the dataset to keep",
        "",
        "Example",
        "  create_project(ds)",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "  images: url",
        "  embedding: list[number]",
        "  embedding_error: category",
        "  normalize: boolean = true",
        '  precision: string = "auto"',
        '      auto: bf16 where the processor computes in it (one of "auto", "bf16", "fp32")',
        '  embed_images(ds.image_url, {"normalize": true}) -> (ds.embedding)',
    ],
)
def test_a_description_tells_inputs_outputs_parameters_and_an_example(line: str) -> None:
    assert line in describe(STEPS["embed_images"]).splitlines()


def test_the_recipe_of_the_reference_can_be_run() -> None:
    (recipe,) = re.findall(r"```recipe\n(.*?)```", REFERENCE, re.DOTALL)
    check(parse(recipe), STEPS, COLUMNS)


def test_the_errors_of_the_reference_are_real() -> None:
    (shown,) = re.findall(r"```\n(line 1, .*?)\n```", REFERENCE, re.DOTALL)
    with pytest.raises(RecipeError) as caught:
        check(parse(shown.splitlines()[1].strip()), STEPS, COLUMNS)
    assert str(caught.value) == shown


def test_the_grammar_of_the_reference_is_that_of_the_reader() -> None:
    rules = {" ".join(line.split()) for line in REFERENCE.splitlines() if re.match(r"[A-Z]\w+ += ", line)}
    functions = [thing for name, thing in vars(grammar).items() if name.startswith("_parse_")]
    assert rules == {function.__doc__ for function in functions if function.__doc__} | {"Recipe = { Step }."}
