"""`pixvec run`: a recipe and a table file -> the table with the columns that the recipe makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pixvec.cli.console import default_progress, say
from pixvec.cli.flags import PATH, Command, with_options
from pixvec.cli.streams import TABLE_FORMATS, reads_stdin, writes_stdout
from pixvec.errors import UsageError
from pixvec.recipe import RecipeError, RecipeOptions, run_recipe


@click.command(cls=Command)
@click.argument("recipe", type=PATH)
@click.argument("table", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="the table to write, in the format of its ending")
@with_options(RecipeOptions)
@writes_stdout(*TABLE_FORMATS)
@reads_stdin("table")
def run(recipe: str, table: str, **options: Any) -> None:
    """Run RECIPE, a text file, on TABLE, a table file, which the recipe calls ds.

    The output has TABLE's rows and columns, and those that the recipe's steps make. --model, --precision, --decode and
    --no-normalize hold for steps that don't say it themselves. `pixvec steps` lists the steps that there are. Exit
    status: 0 done, 1 a step failed, 2 wrong use or a wrong recipe, 3 in a step no row has a vector or more failed than
    --max-failed allows, 130 interrupted.
    """
    try:
        run_recipe(Path(recipe), table, progress=default_progress(), tell=say, **options)
    except RecipeError as error:
        raise UsageError(f"{recipe} cannot be run\n{error}") from error
    if not options["quiet"]:
        say(f"wrote {options['output']}")
