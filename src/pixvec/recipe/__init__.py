"""Recipes: steps written as text, ``embed_images(ds.image_url) -> (ds.embedding)``.

`parse` reads a text, `check` finds what is wrong with it before any work starts, `STEPS` are the steps that there are,
and `describe` explains one. This package must not know how a step works.
"""

from pixvec.recipe.check import check
from pixvec.recipe.describe import describe
from pixvec.recipe.errors import Problem, RecipeError
from pixvec.recipe.grammar import parse
from pixvec.recipe.signature import Parameter, Slot, Step
from pixvec.recipe.steps import STEPS
from pixvec.recipe.values import Call, Column, Columns, Dataset, Model, Param, Params, Recipe

__all__ = [
    "STEPS",
    "Call",
    "Column",
    "Columns",
    "Dataset",
    "Model",
    "Param",
    "Parameter",
    "Params",
    "Problem",
    "Recipe",
    "RecipeError",
    "Slot",
    "Step",
    "check",
    "describe",
    "parse",
]
