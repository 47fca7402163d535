"""The steps that recipes may use, each registered once.

What a parameter of embedding is called, takes and defaults to stands in `Settings`; here stands which of them a recipe
may set: those that decide vectors. Recipes come from strangers, so what a run may reach and cost is for its command.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Final

from pixvec.options import options_of
from pixvec.pipeline.settings import Settings
from pixvec.recipe.context import RecipeOptions
from pixvec.recipe.embedding import prepare_images, prepare_texts
from pixvec.recipe.linking import prepare_links
from pixvec.recipe.project import prepare_project
from pixvec.recipe.signature import Parameter, Slot, Step
from pixvec.similarity.links import LinkOptions
from pixvec.tables.result_columns import result_names

_DECIDE_VECTORS = ("normalize", "model", "precision", "decode")
RUN_OPTIONS: Final = {field.name for field in fields(RecipeOptions)}.difference(_DECIDE_VECTORS)
"""The options that are set by who runs a recipe, never by the recipe."""

_MAXIMA: Final = {"n_nearest": 10_000, "n_trees": 1_000_000, "search_k_mult": 1_000_000}
"""Of numbers that have none for whoever gives a command, who pays for it too."""

_, _ERROR, _DETAIL, _IMAGE = result_names("")


def _parameters(options: type, *names: str) -> tuple[Parameter, ...]:
    """Make parameters of options: of those that are named, or of all."""
    known = {option.name: option for option in options_of(options)}
    return tuple(Parameter.of(known[name], maximum=_MAXIMA.get(name)) for name in names or known)


_REASONS: Final = (
    Slot(_ERROR, "category", "why a row has no vector: a code"),
    Slot(_DETAIL, "text", "why a row has no vector: a sentence"),
)

_EMBED_IMAGES: Final = Step(
    name="embed_images",
    help="Turn images into vectors whose nearness is the likeness of what the images show.",
    example='embed_images(ds.image_url, {"normalize": true}) -> (ds.embedding)',
    inputs=(Slot("images", "url", "URLs of images"),),
    parameters=_parameters(Settings, *_DECIDE_VECTORS),
    outputs=(
        Slot(
            "embedding",
            "list[number]",
            "a vector for each image, or null",
            beside=(*_REASONS, Slot(_IMAGE, "struct", "what was embedded: hash, format, size")),
        ),
    ),
    prepare=prepare_images,
)

_EMBED_TEXT_WITH_MODEL: Final = Step(
    name="embed_text_with_model",
    help="Turn texts into vectors in the space of the images that the same model embeds.",
    example='embed_text_with_model(ds.caption, {"model": "openai/clip-vit-large-patch14"}) -> (ds.embedding)',
    inputs=(Slot("text", "text", "texts; what is longer than the model reads is cut"),),
    parameters=_parameters(Settings, "model", "normalize", "precision"),
    outputs=(Slot("embedding", "list[number]", "a vector for each text, or null", beside=_REASONS),),
    prepare=prepare_texts,
)

_LINK_EMBEDDINGS: Final = Step(
    name="link_embeddings",
    help="Link each row to the rows whose vectors are nearest to its own.",
    example='link_embeddings(ds.embedding, {"n_nearest": 15}) -> (ds.targets, ds.weights)',
    inputs=(Slot("embedding", "list[number]", "vectors, as the embedding steps make them"),),
    parameters=_parameters(LinkOptions),
    outputs=(
        Slot("targets", "list[number]", "the numbers of the nearest rows, nearest first"),
        Slot("weights", "list[number]", "the cosines of these links"),
    ),
    prepare=prepare_links,
)

_CREATE_PROJECT: Final = Step(
    name="create_project",
    help="Name the dataset that the recipe is for; the last step.",
    example="create_project(ds)",
    inputs=(Slot("dataset", "dataset", "the dataset to keep"),),
    ends_recipe=True,
    prepare=prepare_project,
)

STEPS: Final = {step.name: step for step in (_EMBED_IMAGES, _EMBED_TEXT_WITH_MODEL, _LINK_EMBEDDINGS, _CREATE_PROJECT)}
"""All steps by name."""
