"""Models in folders: which of them a recipe may name.

Recipes come from strangers. A folder of this machine is read only when the command that runs the recipe names it too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from pixvec.formatting.names import shown
from pixvec.recipe.errors import Problem, RecipeError
from pixvec.recipe.values import Param, Recipe


def check_folders(recipe: Recipe, own_model: str) -> None:
    """Refuse a model in a folder, unless the command names it.

    Raises
    ------
    RecipeError
        When there is one: tells all of them.
    """
    found = [param for param in _model_params(recipe) if param.value != own_model and _may_be_folder(str(param.value))]
    if found:
        raise RecipeError(*(Problem.at(_message(param), recipe.text, param.value_place) for param in found))


def _model_params(recipe: Recipe) -> Iterator[Param]:
    return (param for call in recipe.calls for param in call.params.members if param.name == "model")


def _may_be_folder(name: str) -> bool:
    """Tell whether the loader of models might take a name for a folder's."""
    return name != "demo" and (name.startswith((".", "~", "/")) or os.path.isdir(name))  # noqa: PTH112 (takes any text)


def _message(param: Param) -> str:
    name = shown(str(param.value))
    return f"model: {name} is a folder, which a recipe may name only when the command does too, with `model`"
