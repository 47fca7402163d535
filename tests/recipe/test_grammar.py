"""Reading recipes: the forms that people write, and errors that show the place."""

from __future__ import annotations

import textwrap

import pytest

from pixvec.errors import UsageError
from pixvec.recipe import (
    Call,
    Column,
    Columns,
    Dataset,
    Model,
    Param,
    Params,
    Recipe,
    RecipeError,
    parse,
)

EMBED = Call(
    "embed_images",
    (Column("ds", "image_url"),),
    Params((Param("normalize", True),)),
    (Column("ds", "embedding"),),
)


def error_of(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('embed_images(ds.image_url, {"normalize": true}) -> (ds.embedding)', id="one line"),
        pytest.param('embed_images(ds.image_url, {\n  "normalize": true\n}) -> (ds.embedding)\n', id="braces apart"),
        pytest.param("embed_images(\r\n ds.image_url,\r\n {normalize: True},\r\n)\r\n->\r\n(ds.embedding,)", id="CRLF"),
        pytest.param("embed_images(ds['image_url'],{'normalize':true,},)->(ds[\"embedding\"])", id="no spaces"),
        pytest.param(
            '# why\nembed_images(ds.image_url, # the photos\n{"normalize": true} # "}\n) -> # out\n(ds.embedding) #',
            id="comments",
        ),
        pytest.param(
            '\ufeffembed_images(ds.image_url,\u00a0{"normalize": true}) -> (ds.embedding)',
            id="byte order mark, pasted spaces",
        ),
    ],
)
def test_one_step_may_be_written_in_many_ways(text: str) -> None:
    assert parse(text) == Recipe((EMBED,))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ds", Dataset("ds")),
        ("photos_2024", Dataset("photos_2024")),
        ("ds.名前", Column("ds", "名前")),
        ('ds["any name"]', Column("ds", "any name")),
        ('ds[["a", "b c"]]', Columns("ds", (Column("ds", "a"), Column("ds", "b c")))),
        ('ds[["a",]]', Columns("ds", (Column("ds", "a"),))),
        ('ds[!["a"]]', Columns("ds", (Column("ds", "a"),), excluded=True)),
        ('"churn-model"', Model("churn-model")),
    ],
)
def test_inputs(text: str, expected: object) -> None:
    assert parse(f"step({text})").calls[0].inputs == (expected,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("null", None),
        ("None", None),
        ("False", False),
        ("-0.5e+3", -500.0),
        ("12", 12),
        (r'"a\"\u00e9\ud83d\ude00\n"', 'a"é😀\n'),
        (r"'it\'s \"so\"'", 'it\'s "so"'),
        ("[]", ()),
        ("[1, [2.5,], 'x',]", (1, (2.5,), "x")),
        ("{a: {'b': 1}}", Params((Param("a", Params((Param("b", 1),))),))),
    ],
)
def test_values(text: str, expected: object) -> None:
    value = parse(f"step(ds, {{param: {text}}})").calls[0].params.members[0].value
    assert (value, type(value)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("step(ds)", ()),
        ("step(ds) -> (links)", (Dataset("links"),)),
        ('step(ds) -> (ds.a, ds["b c"], model)', (Column("ds", "a"), Column("ds", "b c"), Dataset("model"))),
    ],
)
def test_outputs(text: str, expected: object) -> None:
    assert parse(text).calls[0].outputs == expected


def test_steps_follow_each_other_without_a_sign() -> None:
    recipe = parse("a(ds) -> (b) c(b)\n\n\ncreate_project(b)")
    assert [call.step for call in recipe.calls] == ["a", "c", "create_project"]


def test_nothing_but_comments_is_an_empty_recipe() -> None:
    assert parse("# embed_images(ds.image_url)\n") == Recipe(())


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("embed_images", 13, "expected '(', found the end"),
        ("embed_images(ds.image_url", 26, "expected ',' or ')', found the end"),
        ("embed_images(ds.image_url {})", 27, "expected ',' or ')', found '{'"),
        (
            "embed_images(,)",
            14,
            "expected an input (ds.column, a dataset, a model in quotes) or parameters in {}, found ','",
        ),
        (
            'embed_images(ds."url")',
            17,
            'expected a column\'s name (one that is no plain word: ds["a name"]), found \'"url"\'',
        ),
        ("embed_images(ds[url])", 17, "expected a column's name in quotes, or '[', found 'url'"),
        ("embed_images(ds[[]])", 18, "expected a column's name in quotes, found ']'"),
        ("embed_images({}, ds.url)", 14, "expected parameters once, after all inputs"),
        ("embed_images(ds.url, {}, {})", 22, "expected parameters once, after all inputs"),
        ("f(ds) -> ds.v", 10, "expected '(' and the outputs, found 'ds'"),
        ("f(ds) -> ()", 11, "expected a column such as ds.name, or a name for a new dataset, found ')'"),
        ("f(ds) -> ('m')", 11, "expected a column such as ds.name, or a name for a new dataset"),
        ("f(ds, {a})", 9, "expected ':', found '}'"),
        ("f(ds, {1: 2})", 8, "expected a parameter's name, or '}', found '1'"),
        ("f(ds, {a: 1 b: 2})", 13, "expected ',' or '}', found 'b'"),
        ("f(ds, {a: fast})", 11, "expected a value (true, 1.5, \"text\", [...], {...}), found 'fast'"),
        ("f(ds, {a: 01})", 12, "expected ',' or '}', found '1'"),
        ("f(ds, {a: 1, 'a': 2})", 14, "'a' is given twice"),
        ("f(ds, {a: 1e999})", 11, "the number is too large"),
        (r"f(ds, {a: '\x41'})", 11, "the text has an escape that JSON does not know"),
        (r"f(ds, {a: '\ud83d'})", 11, "the text has an escape that JSON does not know"),
        ("f(ds, {a: 'b})", 11, "the quotes are not closed on this line"),
        ("f(ds); g(ds)", 6, "unexpected ';'"),
        ("f(ds)\x1b[2J", 6, r"unexpected '\x1b'"),
        ("f(ds))", 6, "expected the name of a step, found ')'"),
    ],
)
def test_an_error_says_where_and_what_was_expected(text: str, column: int, message: str) -> None:
    (problem,) = error_of(text).problems
    assert (problem.line, problem.column, problem.message) == (1, column, message)


def test_an_error_shows_the_line_with_carets_under_the_place() -> None:
    error = error_of('# photos\nembed_images(ds.image_url,\n\t{"normalize": trüe}) -> (ds.v)')
    expected = """\
        line 3, column 16: expected a value (true, 1.5, "text", [...], {...}), found 'trüe'
             {"normalize": trüe}) -> (ds.v)
                           ^^^^"""
    assert isinstance(error, UsageError)
    assert str(error) == textwrap.dedent(expected)


@pytest.mark.parametrize(
    ("text", "line", "carets"),
    [
        pytest.param("f(ds.写真 x)", "f(ds.写真 x)", " " * 10 + "^", id="wide characters"),
        pytest.param("f(ds.e\u0301 x)", "f(ds.e\u0301 x)", " " * 6 + "^", id="marks on characters"),
        pytest.param("f('\x1b[31m\u202e') x", "f('�[31m�') x", " " * 13 + "^", id="what a terminal would obey"),
        pytest.param(f"f({' ' * 500}x y{' ' * 500})", " " * 98 + "x y" + " " * 100, " " * 100 + "^", id="a long line"),
    ],
)
def test_a_line_is_shown_so_that_the_caret_stays_under_the_place(text: str, line: str, carets: str) -> None:
    assert str(error_of(text)).splitlines()[1:] == [f"    {line}", f"    {carets}"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_lines_are_counted_as_editors_count_them(end: str) -> None:
    (problem,) = error_of(f"# one{end}f(ds){end}{end}  g[").problems
    assert (problem.line, problem.column, problem.source_line) == (4, 4, "  g[")


@pytest.mark.parametrize("opening", ["[", "{a:", "[{a:["], ids=["lists", "objects", "both"])
def test_deep_nesting_is_an_error(opening: str) -> None:
    assert error_of(f"f(ds, {{a: {opening * 5000}").problems[0].message == "nested too deep: expected at most 32 levels"


def test_a_value_may_be_nested_as_deep_as_any_setting() -> None:
    assert parse(f"f(ds, {{a: {'[' * 31}{']' * 31}}})").calls


def test_a_number_of_too_many_digits_is_an_error() -> None:
    assert error_of(f"f(ds, {{a: {'9' * 5000}}})").problems[0].message == "the number is too large"
