"""`pixvec steps`: the steps that recipes may use."""

from __future__ import annotations

import click

from pixvec.errors import UsageError
from pixvec.recipe import STEPS, describe, unknown_step


@click.command()
@click.argument("name", required=False)
def steps(name: str | None) -> None:
    """List the steps that recipes may use, or explain the one called NAME."""
    if name is None:
        width = max(map(len, STEPS))
        click.echo("\n".join(f"{step.name:{width}}  {step.help}" for step in STEPS.values()))
    elif name in STEPS:
        click.echo(describe(STEPS[name]))
    else:
        raise UsageError(unknown_step(name, STEPS))
