"""Text -> `Recipe`: one function for each rule of the grammar, which is its docstring.

``{ x }`` is any number of x, ``[ x ]`` one or none; marks stand in quotes. Knows no step: whether a step exists and
takes what it is given is for `check`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from pixvec.formatting.names import shown
from pixvec.recipe.tokens import Token, Tokens
from pixvec.recipe.values import (
    Call,
    Column,
    Columns,
    Dataset,
    Input,
    Model,
    Output,
    Param,
    Params,
    Place,
    Recipe,
    Value,
)

Item = TypeVar("Item")

MAX_DEPTH: Final = 32
"""How deep lists and objects may be nested: deeper than any setting, shallower than Python's stack."""
_INPUT = "an input (ds.column, a dataset, a model in quotes) or parameters in {}"
_PLAIN = 'a column\'s name (one that is no plain word: ds["a name"])'
_QUOTED = "a column's name in quotes"
_OUTPUT = "a column such as ds.name, or a name for a new dataset"
_WORDS: Final[dict[str, bool | None]] = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}


def parse(text: str) -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    text
        Steps, one after another: ``step(inputs, {params}) -> (outputs)``.

    Raises
    ------
    RecipeError
        When the text is no recipe: names the place, and what was expected there.
    """
    tokens = Tokens(text)
    calls = []
    while tokens.next.kind != "end":
        calls.append(_parse_step(tokens))
    return Recipe(tuple(calls), text)


def _parse_step(tokens: Tokens) -> Call:
    """Step = Name "(" [ Argument { "," Argument } [ "," ] ] ")" [ "->" OutputList ]."""
    name = tokens.take("name", "the name of a step")
    tokens.take("(", "'('")
    arguments = _parse_list(tokens, _parse_argument, ")")
    inputs = tuple(argument for argument in arguments if not isinstance(argument, Params))
    params = [argument for argument in arguments if isinstance(argument, Params)]
    if arguments != (*inputs, *params[:1]):
        raise tokens.error("expected parameters once, after all inputs", params[0].place)
    outputs = _parse_outputs(tokens) if tokens.take_if("->") else ()
    return Call(name.text, inputs, params[0] if params else Params(), outputs, place=name.place)


def _parse_argument(tokens: Tokens) -> Input | Params:
    """Argument = Input | Params."""
    return _parse_params(tokens) if tokens.next.kind == "{" else _parse_input(tokens, _INPUT)


def _parse_input(tokens: Tokens, expected: str) -> Input:
    """Input = Text | Name [ "." Name | "[" ChosenColumns "]" ]."""
    if tokens.next.kind == "string":
        model, place = tokens.take_string(expected)
        return Model(model, place=place)
    dataset = tokens.take("name", expected)
    if tokens.take_if("."):
        column = tokens.take("name", _PLAIN)
        return Column(dataset.text, column.text, place=tokens.place_from(dataset.place))
    if tokens.take_if("["):
        return _parse_selection(tokens, dataset)
    return Dataset(dataset.text, place=dataset.place)


def _parse_selection(tokens: Tokens, dataset: Token) -> Column | Columns:
    """ChosenColumns = Text | [ "!" ] "[" Text { "," Text } [ "," ] "]"."""
    if tokens.next.kind == "string":
        column = _parse_quoted_column(tokens, dataset)
        tokens.take("]", "']'")
        return Column(column.dataset, column.name, place=tokens.place_from(dataset.place))
    excluded = tokens.take_if("!") is not None
    tokens.take("[", f"{_QUOTED}, or '['")
    if tokens.next.kind == "]":
        raise tokens.unexpected(_QUOTED)
    columns = _parse_list(tokens, partial(_parse_quoted_column, dataset=dataset), "]")
    tokens.take("]", "']'")
    return Columns(dataset.text, columns, excluded, place=tokens.place_from(dataset.place))


def _parse_quoted_column(tokens: Tokens, dataset: Token) -> Column:
    name, place = tokens.take_string(_QUOTED)
    return Column(dataset.text, name, place=place)


def _parse_outputs(tokens: Tokens) -> tuple[Output, ...]:
    """OutputList = "(" Output { "," Output } [ "," ] ")"."""
    tokens.take("(", "'(' and the outputs")
    if tokens.next.kind == ")":
        raise tokens.unexpected(_OUTPUT)
    return _parse_list(tokens, _parse_output, ")")


def _parse_output(tokens: Tokens) -> Output:
    """Output = Name [ "." Name | "[" Text "]" ]."""
    output = _parse_input(tokens, _OUTPUT)
    if isinstance(output, Column | Dataset):
        return output
    raise tokens.error(f"expected {_OUTPUT}", output.place)


def _parse_params(tokens: Tokens, depth: int = 0) -> Params:
    """Params = "{" [ Param { "," Param } [ "," ] ] "}"."""
    start = tokens.take("{", "'{'")
    params: dict[str, Param] = {}

    def parse_new(tokens: Tokens) -> None:
        param = _parse_param(tokens, depth)
        if param.name in params:
            raise tokens.error(f"{shown(param.name)} is given twice", param.place)
        params[param.name] = param

    _parse_list(tokens, parse_new, "}")
    return Params(tuple(params.values()), place=tokens.place_from(start.place))


def _parse_param(tokens: Tokens, depth: int) -> Param:
    """Param = ( Text | Name ) ":" Value."""
    name, place = _parse_param_name(tokens)
    tokens.take(":", "':'")
    start = tokens.next.place
    value = _parse_value(tokens, depth + 1)
    return Param(name, value, place=place, value_place=tokens.place_from(start))


def _parse_param_name(tokens: Tokens) -> tuple[str, Place]:
    plain = tokens.take_if("name")
    return (plain.text, plain.place) if plain else tokens.take_string("a parameter's name, or '}'")


def _parse_value(tokens: Tokens, depth: int) -> Value:
    """Value = Text | Number | Word | List | Params."""
    token = tokens.next
    if depth > MAX_DEPTH:
        raise tokens.error(f"nested too deep: expected at most {MAX_DEPTH} levels", token.place)
    match token.kind:
        case "string":
            return tokens.take_string("a text")[0]
        case "number":
            return tokens.take_number()
        case "[":
            return _parse_array(tokens, depth)
        case "{":
            return _parse_params(tokens, depth)
        case "name" if token.text in _WORDS:
            return _WORDS[tokens.take("name", "a word").text]
    raise tokens.unexpected('a value (true, 1.5, "text", [...], {...})')


def _parse_array(tokens: Tokens, depth: int) -> tuple[Value, ...]:
    """List = "[" [ Value { "," Value } [ "," ] ] "]"."""
    tokens.take("[", "'['")
    return _parse_list(tokens, partial(_parse_value, depth=depth + 1), "]")


def _parse_list(tokens: Tokens, parse_item: Callable[[Tokens], Item], close: str) -> tuple[Item, ...]:
    items = []
    while tokens.next.kind != close:
        items.append(parse_item(tokens))
        if not tokens.take_if(","):
            break
    tokens.take(close, f"',' or '{close}'")
    return tuple(items)
