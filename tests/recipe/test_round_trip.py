"""Properties: what is printed is read again, and no text makes the reader fail in any other way than by its error."""

from __future__ import annotations

import pickle
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec.recipe import STEPS, Call, Column, Columns, Dataset, Model, Param, Params, Recipe, RecipeError, check, parse
from pixvec.recipe.values import PLAIN_NAME

names = st.from_regex(PLAIN_NAME, fullmatch=True)
columns = st.builds(Column, names, names | st.text())


@st.composite
def selections(draw: st.DrawFn) -> Columns:
    dataset = draw(names)
    chosen = draw(st.lists(st.builds(Column, st.just(dataset), st.text()), min_size=1, max_size=3))
    return Columns(dataset, tuple(chosen), draw(st.booleans()))


def params(values: st.SearchStrategy[object]) -> st.SearchStrategy[Params]:
    members = st.lists(st.builds(Param, names | st.text(), values), max_size=3, unique_by=lambda param: param.name)
    return st.builds(Params, members.map(tuple))


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3).map(tuple) | params(inner), max_leaves=8)
calls = st.builds(
    Call,
    names,
    st.lists(columns | selections() | st.builds(Dataset, names) | st.builds(Model, st.text()), max_size=3).map(tuple),
    params(values),
    st.lists(columns | st.builds(Dataset, names), max_size=3).map(tuple),
)
recipes = st.builds(Recipe, st.lists(calls, max_size=4).map(tuple))

SEEDS = [
    'embed_images(ds.image_url, {"normalize": true, \'model\': "a/b",}) -> (ds["v w"])  # photos\n',
    "link_embeddings(ds.embedding, {n_nearest: 15, similarity_min: -0.5e-1}) -> (ds.targets, ds.weights)\n",
    'f(ds[!["a", "b"]], "m", {a: [1, {b: None}], "c\\u00e9": \'\\\'\'}) -> (links)\ncreate_project(links)\n',
]
WORDS = [*"(){}[],:.!#\\'\"\r\n \t-0e", "->", "ds", "true", "\\u", "\\ud83d", "{a:[", "allow_private", "\ufeff", "\x00"]


@st.composite
def broken_recipes(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(SEEDS)) + draw(st.sampled_from(["", *SEEDS]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 6)))
        text = text[:start] + draw(st.sampled_from(["", *WORDS])) + text[end:]
    return text


def test_a_recipe_prints_one_step_a_line_in_one_way() -> None:
    assert str(parse("".join(SEEDS))) == (
        'embed_images(ds.image_url, {"normalize": true, "model": "a/b"}) -> (ds["v w"])\n'
        'link_embeddings(ds.embedding, {"n_nearest": 15, "similarity_min": -0.05}) -> (ds.targets, ds.weights)\n'
        'f(ds[!["a", "b"]], "m", {"a": [1, {"b": null}], "cé": "\'"}) -> (links)\n'
        "create_project(links)\n"
    )


@given(recipe=recipes)
def test_what_is_printed_is_read_again(recipe: Recipe) -> None:
    again = parse(str(recipe))
    assert again == recipe
    assert repr(again) == repr(recipe)  # 1, 1.0 and True are equal, and not the same


@settings(max_examples=40)
@given(recipe=recipes)
def test_a_print_holds_nothing_that_a_terminal_would_obey(recipe: Recipe) -> None:
    assert str(recipe).replace("\n", "").isprintable()


@settings(max_examples=300)
@given(text=st.text() | broken_recipes())
def test_no_text_makes_the_reader_raise_anything_but_its_error(text: str) -> None:
    recipe = Recipe(())
    with suppress(RecipeError):
        recipe = parse(text)
    assert parse(str(recipe)) == recipe


@settings(max_examples=60)
@given(recipe=recipes | broken_recipes())
def test_no_recipe_makes_the_check_raise_anything_but_its_error(recipe: Recipe | str) -> None:
    with suppress(RecipeError):
        check(parse(str(recipe)), STEPS, {"image_url": "url", "embedding": "list[number]", "a": "text"})


def test_an_error_survives_pickling() -> None:
    with pytest.raises(RecipeError) as caught:
        parse("f(")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
