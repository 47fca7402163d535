"""Recipes: steps written as text, ``embed_images(ds.image_url) -> (ds.embedding)``.

`parse` reads a text, `check` finds what is wrong with it before any work starts, and `run_recipe` runs it. `STEPS` are
the steps that there are, and `describe` explains one.
"""

from pixvec.recipe.check import check
from pixvec.recipe.context import RecipeOptions
from pixvec.recipe.describe import describe
from pixvec.recipe.errors import Problem, RecipeError
from pixvec.recipe.grammar import parse
from pixvec.recipe.run import run_recipe
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
    "RecipeOptions",
    "Slot",
    "Step",
    "check",
    "describe",
    "parse",
    "run_recipe",
]
