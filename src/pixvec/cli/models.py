"""`pixvec models`: which models there are, and what one of them is."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from pixvec.cli.console import show
from pixvec.cli.flags import Command, Group, with_json
from pixvec.cli.plain_table import print_table
from pixvec.errors import ModelError
from pixvec.model import ClipModel, ModelOptions
from pixvec.model.checkpoint import Checkpoint, TextConfig, VisionConfig, load
from pixvec.model.checkpoint.known import KNOWN_MODELS

if TYPE_CHECKING:
    from pixvec.reports.parity import Parity


_HEADER: Final = ("model", "dim", "px", "MB", "here", "licence", "trained on")


@click.group(cls=Group, invoke_without_command=True)
@with_json
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List models that are known to work, and which of them are in the cache.

    Any CLIP in the Hugging Face format works, by the id of its repository or the path of its folder.
    """
    if context.invoked_subcommand is None:
        listed = [{**asdict(known), "is_cached": _is_here(known.name)} for known in KNOWN_MODELS]
        if as_json:
            click.echo(json.dumps({"models": listed}, indent=2))
        else:
            print_table(_HEADER, [_cells(known) for known in listed], n_whole=1)


def _cells(known: dict[str, Any]) -> list[str]:
    name, *sizes, licence, trained_on, is_cached = known.values()
    return [name, *(f"{size:,}" for size in sizes), "yes" if is_cached else "no", licence, trained_on]


def _is_here(name: str) -> bool:
    from pixvec.model.checkpoint.hub import find_cached  # noqa: PLC0415 (the hub's client is heavy)

    return name == "demo" or find_cached(name) is not None


@models.command(cls=Command, short_help="load a model and show its details")
@click.argument("model")
@with_json
@click.option("--parity", is_flag=True, help="compare its vectors with those of transformers; needs torch")
@click.pass_context
def check(context: click.Context, model: str, parity: bool, as_json: bool) -> None:
    """Load MODEL, a repository's id or a folder, and show its details."""
    as_json = as_json or bool(context.parent and context.parent.params.get("as_json"))
    options = ModelOptions(model=model)
    started = time.monotonic()
    checkpoint = load(model)
    loaded = ClipModel(checkpoint, options)
    loaded.embed_crops(np.zeros((1, loaded.image_size, loaded.image_size, 3), np.uint8))
    seconds = time.monotonic() - started
    if not as_json:
        show("\n".join([*_lines(checkpoint), f"  computes   in {loaded.precision} here; ready after {seconds:.1f} s"]))
    found = _compare(model, quiet=as_json) if parity else None
    if as_json:
        facts = {**_facts(checkpoint, loaded, seconds), "parity": found and asdict(found)}
        click.echo(json.dumps(facts, indent=2))
    if found and not found.holds:
        raise ModelError(f"the vectors of {model} are not those of transformers: please report it")


def _facts(checkpoint: Checkpoint, model: ClipModel, seconds: float) -> dict[str, Any]:
    has_texts = checkpoint.text is not None and bool(checkpoint.tokenizer_files)
    return {
        "model": checkpoint.name,
        "revision": checkpoint.revision,
        "folder": str(checkpoint.folder),
        "dim": checkpoint.vision.projection_dim,
        "image_size": checkpoint.vision.image_size,
        "max_tokens": checkpoint.text.max_position_embeddings if checkpoint.text and has_texts else None,
        "weights_sha256": checkpoint.weights_hash,
        "precision": model.precision,
        "ready_s": round(seconds, 3),
    }


def _lines(checkpoint: Checkpoint) -> list[str]:
    vision = checkpoint.vision
    megabytes = sum(path.stat().st_size for path in checkpoint.weights.paths) / 1e6
    return [
        f"{checkpoint.name}{f' at {checkpoint.revision}' if checkpoint.revision else ''}",
        f"  folder     {checkpoint.folder}",
        f"  vectors    {vision.projection_dim} numbers",
        f"  images   {vision.image_size} pixels in patches of {vision.patch_size}, {_layers(vision)}",
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


def _compare(name: str, *, quiet: bool) -> Parity:
    from pixvec.reports.parity import compare_with_transformers  # noqa: PLC0415 (torch is heavy, and seldom asked for)

    parity = compare_with_transformers(name)
    if not quiet:
        show(
            f"  parity     {parity.n_images} images in fp32: largest difference from transformers "
            f"{parity.difference:.1e}, smallest cosine {parity.cosine:.7f}"
        )
    return parity
