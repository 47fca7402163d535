"""`pixvec models`: which models there are, and what one of them is."""

from __future__ import annotations

import time

import click
import numpy as np

from pixvec.checkpoint import Checkpoint, TextConfig, VisionConfig, load
from pixvec.checkpoint.known import KNOWN_MODELS, KnownModel
from pixvec.cli.messages import Group
from pixvec.errors import ModelError
from pixvec.model import ClipModel, ModelOptions


@click.group(cls=Group, invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """List models that are known to work, and which of them are in the cache.

    Any CLIP in the Hugging Face format works, by the id of its repository or the path of its folder.
    """
    if context.invoked_subcommand is None:
        click.echo(f"{'model':<46} {'vector':>6} {'pixels':>6} {'MB':>6}  {'licence':<11} {'here':<5} trained on")
        for known in KNOWN_MODELS:
            click.echo(_line(known))


def _line(known: KnownModel) -> str:
    here = "yes" if _is_here(known.name) else "no"
    sizes = f"{known.dim:>6} {known.image_size:>6} {known.megabytes:>6,}"
    return f"{known.name:<46} {sizes}  {known.licence:<11} {here:<5} {known.trained_on}"


def _is_here(name: str) -> bool:
    from pixvec.checkpoint.hub import is_cached  # noqa: PLC0415 (the hub's client is heavy)

    return name == "demo" or is_cached(name)


@models.command()
@click.argument("name")
@click.option("--parity", is_flag=True, help="compare its vectors with those of transformers; needs torch")
def check(name: str, parity: bool) -> None:
    """Load the model NAME, a repository's id or a folder, and tell what it is."""
    options = ModelOptions(model=name)
    started = time.monotonic()
    checkpoint = load(name)
    model = ClipModel(checkpoint, options)
    model.embed_crops(np.zeros((1, model.image_size, model.image_size, 3), np.uint8))
    click.echo("\n".join(_facts(checkpoint)))
    click.echo(f"  computes   in {model.precision} on this processor; ready after {time.monotonic() - started:.1f} s")
    if parity:
        _check_parity(name)


def _facts(checkpoint: Checkpoint) -> list[str]:
    vision = checkpoint.vision
    megabytes = sum(path.stat().st_size for path in checkpoint.weights.paths) / 1e6
    return [
        f"{checkpoint.name}{f' at {checkpoint.revision}' if checkpoint.revision else ''}",
        f"  folder     {checkpoint.folder}",
        f"  vectors    {vision.projection_dim} numbers",
        f"  pictures   {vision.image_size} pixels in patches of {vision.patch_size}, {_layers(vision)}",
        f"  texts      {_texts(checkpoint)}",
        f"  weights    {', '.join(path.name for path in checkpoint.weights.paths)}: {megabytes:,.0f} MB",
        f"  space      {checkpoint.weights_hash}",
    ]


def _texts(checkpoint: Checkpoint) -> str:
    tower = checkpoint.text
    if tower is None:
        return "none: it has no text tower"
    if not checkpoint.tokenizer_files:
        return "none: it has no tokenizer"
    return f"{tower.max_position_embeddings} tokens, {_layers(tower)}"


def _layers(tower: VisionConfig | TextConfig) -> str:
    return f"{tower.num_hidden_layers} layers of {tower.hidden_size}"


def _check_parity(name: str) -> None:
    from pixvec.parity import compare_with_transformers  # noqa: PLC0415 (torch is heavy, and seldom asked for)

    parity = compare_with_transformers(name)
    click.echo(
        f"  parity     {parity.n_pictures} pictures in fp32: largest difference from transformers "
        f"{parity.difference:.1e}, smallest cosine {parity.cosine:.7f}"
    )
    if not parity.holds:
        raise ModelError(f"the vectors of {name} are not those of transformers: please report it")
