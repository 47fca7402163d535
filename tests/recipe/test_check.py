"""Checking recipes: whatever can be wrong is found before any work."""

from __future__ import annotations

import textwrap

import pytest

from pixvec.recipe import STEPS, Call, Column, Dataset, Recipe, RecipeError, Slot, Step, check, parse
from pixvec.recipe.project import prepare_project

COLUMNS = {
    "image_url": "url",
    "caption": "text",
    "place": "category",
    "price": "number",
    "embedding": "list[number]",
    "two words": "text",
}
SPLIT = Step(
    "split",
    "Split a dataset, by a model if there is one.",
    "split(ds) -> (first, second)",
    (Slot("dataset", "dataset", "rows"), Slot("by", "model", "how", optional=True)),
    outputs=(Slot("first", "dataset", "some"), Slot("second", "dataset", "the others", optional=True)),
    prepare=prepare_project,
)
LINK_PARAMS = [parameter.name for parameter in STEPS["link_embeddings"].parameters]
KNOWN = {**STEPS, "split": SPLIT}


def problems_of(text: str) -> list[str]:
    try:
        check(parse(text), KNOWN, COLUMNS)
    except RecipeError as error:
        return [problem.message for problem in error.problems]
    return []


@pytest.mark.parametrize(
    "text",
    [
        "embed_images(ds.image_url) -> (ds.v)",
        "embed_images(ds.image_url) -> (ds.v)\nlink_embeddings(ds.v) -> (ds.targets, ds.weights)",
        "link_embeddings(ds.embedding, {similarity_min: 0.7, n_trees: 30}) -> (ds.targets, ds.weights)",
        'embed_text_with_model(ds["two words"], {"model": "demo"}) -> (ds.v)',
        "embed_text_with_model(ds.place) -> (ds.v)",
        'create_project(ds[!["price"]])',
        "split(ds) -> (a)\nsplit(a, 'm') -> (b, c)\ncreate_project(c)",
        "split(ds) -> (a)\nembed_images(a.images) -> (a.v)",
        "split(ds) -> (ds)\nembed_images(ds.anything) -> (ds.price)",
        "embed_images(ds.image_url) -> (ds.v)\nembed_text_with_model(ds.v_detail) -> (ds.w)",
    ],
)
def test_nothing_is_wrong(text: str) -> None:
    assert problems_of(text) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the recipe is empty: expected a step"),
        ("embed_image(ds.image_url) -> (ds.v)", "there is no step 'embed_image'; did you mean 'embed_images'?"),
        (
            "zzz(ds) -> (ds.v)",
            f"there is no step 'zzz'; expected one of {', '.join(map(repr, KNOWN))}",
        ),
        ("create_project(ds)\nsplit(ds) -> (a)", "expected no step after create_project"),
    ],
)
def test_wrong_steps(text: str, message: str) -> None:
    assert problems_of(text) == [message]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ("", "embed_images: expected 1 input (images: url), found 0"),
        ("ds.image_url, ds.caption", "embed_images: expected 1 input (images: url), found 2"),
        ("ds.Image_URLs", "ds has no column 'Image_URLs'; did you mean 'image_url'?"),
        ("ds.price", "images: expected a column of url such as ds.image_url, found a column of number"),
        ("ds", "images: expected a column of url such as ds.image_url, found a dataset"),
        ('ds[["image_url"]]', "images: expected a column of url such as ds.image_url, found a dataset"),
        ('"image_url"', "images: expected a column of url, found a model"),
        ("dt.image_url", "there is no dataset 'dt'; expected one of 'ds'"),
    ],
)
def test_wrong_inputs(inputs: str, message: str) -> None:
    assert problems_of(f"embed_images({inputs}) -> (ds.v)") == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("split() -> (a)", "split: expected 1 to 2 inputs (dataset: dataset, *by: model), found 0"),
        ("split(ds.price) -> (a)", "dataset: expected a dataset, found a column of number"),
        ("split(ds, ds) -> (a)", "by: expected a model, found a dataset"),
        ("split(ds) -> (a)\nsplit(a.x) -> (b)", "dataset: expected a dataset, found a column"),
        ('split(ds[["prize"]]) -> (a)', "ds has no column 'prize'; did you mean 'price'?"),
    ],
)
def test_wrong_inputs_of_a_step_with_optional_ones(text: str, message: str) -> None:
    assert problems_of(text) == [message]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("{normalise: true}", "embed_images has no parameter 'normalise'; did you mean 'normalize'?"),
        (
            "{zzz: 1}",
            "embed_images has no parameter 'zzz'; expected one of 'normalize', 'model', 'precision', 'decode'",
        ),
        ("{normalize: 1}", "normalize: expected true or false, found 1"),
        ("{normalize: null}", "normalize: expected true or false, found null"),
        ("{model: ['a']}", 'model: expected a text, found ["a"]'),
        ("{precision: 'fp16'}", 'precision: expected one of "auto", "bf16", "fp32", found "fp16"'),
    ],
)
def test_wrong_params(params: str, message: str) -> None:
    assert problems_of(f"embed_images(ds.image_url, {params}) -> (ds.v)") == [message]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ("{n_nearest: 0}", "n_nearest: expected a whole number, at least 1, at most 10000, found 0"),
        ("{n_nearest: 15.0}", "n_nearest: expected a whole number, at least 1, at most 10000, found 15.0"),
        ("{n_nearest: true}", "n_nearest: expected a whole number, at least 1, at most 10000, found true"),
        ("{similarity_min: 1.5}", "similarity_min: expected a number, at least -1, at most 1, found 1.5"),
        ("{similarity_min: {a: 1}}", 'similarity_min: expected a number, at least -1, at most 1, found {"a": 1}'),
        ("{metric: 'euclidean'}", 'metric: expected one of "angular", found "euclidean"'),
        (
            "{normalize: true}",
            f"link_embeddings has no parameter 'normalize'; expected one of {', '.join(map(repr, LINK_PARAMS))}",
        ),
    ],
)
def test_wrong_numbers(params: str, message: str) -> None:
    assert problems_of(f"link_embeddings(ds.embedding, {params}) -> (ds.targets, ds.weights)") == [message]


@pytest.mark.parametrize("name", ["allow_private", "allow-private", "allow_address", "max_bytes", "max_pixels"])
def test_a_recipe_opens_no_doors(name: str) -> None:
    expected = f"{name} is not for a recipe to set: it is an option of the command that runs it"
    assert problems_of(f'embed_images(ds.image_url, {{"{name}": true}}) -> (ds.v)') == [expected]


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ("", "embed_images: expected 1 output (embedding: list[number]), found 0"),
        (" -> (ds.v, ds.w)", "embed_images: expected 1 output (embedding: list[number]), found 2"),
        (" -> (vectors)", "embedding: expected a column such as ds.embedding, found vectors"),
        (" -> (other.v)", "there is no dataset 'other'; expected one of 'ds', 'a'"),
        (" -> (a.v)", "embedding: expected a column of ds, where the inputs are, found a.v"),
        (" -> (ds.embedding)", "ds already has 'embedding': expected a new column"),
    ],
)
def test_wrong_outputs(outputs: str, message: str) -> None:
    assert problems_of(f"split(ds) -> (a)\nembed_images(ds.image_url){outputs}") == [message]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("create_project(ds) -> (a)", "create_project: expected 0 outputs, found 1"),
        ("split(ds) -> (ds.a)", "first: expected a name for a new dataset, found ds.a"),
        ("link_embeddings(ds.embedding) -> (ds.a, ds.a)", "ds already has 'a': expected a new column"),
        (
            "embed_images(ds.image_url) -> (ds.a)\nembed_text_with_model(ds.caption) -> (ds.a_error)",
            "ds already has 'a_error': expected a new column",
        ),
        (
            "embed_text_with_model(ds.caption) -> (ds.a_image)\nembed_images(ds.image_url) -> (ds.a)",
            "ds already has 'a_image': expected a new column",
        ),
    ],
)
def test_outputs_that_cannot_be_written(text: str, message: str) -> None:
    assert problems_of(text) == [message]


def test_what_a_wrong_step_makes_is_taken_as_made() -> None:
    text = "emebd_images(ds.image_url) -> (ds.v)\nlink_embeddings(ds.v) -> (ds.targets, ds.weights)"
    assert problems_of(text) == ["there is no step 'emebd_images'; did you mean 'embed_images'?"]


def test_all_problems_are_told_at_once_with_their_places() -> None:
    text = 'embed_images(ds.price, {"normalise": true}) -> (ds.v)\ncreate_project(dt)'
    expected = """\
        line 1, column 14: images: expected a column of url such as ds.image_url, found a column of number
            embed_images(ds.price, {"normalise": true}) -> (ds.v)
                         ^^^^^^^^
        line 1, column 25: embed_images has no parameter 'normalise'; did you mean 'normalize'?
            embed_images(ds.price, {"normalise": true}) -> (ds.v)
                                    ^^^^^^^^^^^
        line 2, column 16: there is no dataset 'dt'; expected one of 'ds'
            create_project(dt)
                           ^^"""
    with pytest.raises(RecipeError) as caught:
        check(parse(text), KNOWN, COLUMNS)
    assert str(caught.value) == textwrap.dedent(expected)


def test_twenty_problems_are_enough() -> None:
    assert len(problems_of("zzz(ds)\n" * 1000)) == 20


def test_long_and_strange_names_are_shown_short_and_tame() -> None:
    (message,) = problems_of(f'create_project(ds[["\x1b{"x" * 1000}"]])')
    assert message.startswith(f"ds has no column '\\x1b{'x' * 58}…'; expected one of")


def test_a_recipe_made_in_code_is_checked_by_its_print() -> None:
    recipe = Recipe((Call("split", (Dataset("ds"),), outputs=(Dataset("a"),)), Call("split", (Column("ds", "x"),))))
    with pytest.raises(RecipeError) as caught:
        check(recipe, KNOWN, {})
    assert [p.source_line for p in caught.value.problems] == ["split(ds.x)", "split(ds.x)"]
