"""`pixvec steps`: the steps that recipes may use."""

from __future__ import annotations

import click

from pixvec.cli.console import show
from pixvec.cli.flags import Command
from pixvec.errors import UsageError
from pixvec.formatting.names import unknown
from pixvec.recipe import STEPS, describe


@click.command(cls=Command)
@click.argument("name", required=False)
def steps(name: str | None) -> None:
    """List the steps that recipes may use, or explain the one called NAME."""
    if name is None:
        width = max(map(len, STEPS))
        show("\n".join(f"{step.name:{width}}  {step.help}" for step in STEPS.values()))
    elif name in STEPS:
        click.echo(describe(STEPS[name]))
    else:
        raise UsageError(unknown("step", name, STEPS))
