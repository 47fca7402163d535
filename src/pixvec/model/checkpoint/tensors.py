"""What a config describes -> the tensors that a checkpoint of it has, by name and shape.

In: a tower's config. Out: names and shapes, which weights are checked for before anything is computed. It must not
know where tensors are stored.

Names and shapes are those of ``CLIPModel`` in transformers 5.23.0, ``models/clip/modeling_clip.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from pixvec.model.checkpoint.config import TextConfig, VisionConfig

NamedShape: TypeAlias = tuple[str, tuple[int, ...]]
"""A tensor's name and its shape."""


def vision_tensors(config: VisionConfig) -> Iterator[NamedShape]:
    """List the tensors of the image tower and its projection."""
    width, n_patches = config.hidden_size, (config.image_size // config.patch_size) ** 2
    yield "vision_model.embeddings.class_embedding", (width,)
    yield "vision_model.embeddings.patch_embedding.weight", (width, 3, config.patch_size, config.patch_size)
    yield "vision_model.embeddings.position_embedding.weight", (n_patches + 1, width)
    yield from _norm("vision_model.pre_layrnorm", width)  # the name is misspelt in every checkpoint
    yield from _encoder("vision_model.encoder", config)
    yield from _norm("vision_model.post_layernorm", width)
    yield "visual_projection.weight", (config.projection_dim, width)


def text_tensors(config: TextConfig) -> Iterator[NamedShape]:
    """List the tensors of the text tower and its projection."""
    width = config.hidden_size
    yield "text_model.embeddings.token_embedding.weight", (config.vocab_size, width)
    yield "text_model.embeddings.position_embedding.weight", (config.max_position_embeddings, width)
    yield from _encoder("text_model.encoder", config)
    yield from _norm("text_model.final_layer_norm", width)
    yield "text_projection.weight", (config.projection_dim, width)


def _encoder(prefix: str, config: VisionConfig | TextConfig) -> Iterator[NamedShape]:
    width, inner = config.hidden_size, config.intermediate_size
    for index in range(config.num_hidden_layers):
        layer = f"{prefix}.layers.{index}"
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            yield from _linear(f"{layer}.self_attn.{part}", width, width)
        yield from _linear(f"{layer}.mlp.fc1", inner, width)
        yield from _linear(f"{layer}.mlp.fc2", width, inner)
        yield from _norm(f"{layer}.layer_norm1", width)
        yield from _norm(f"{layer}.layer_norm2", width)


def _linear(name: str, n_out: int, n_in: int) -> Iterator[NamedShape]:
    yield f"{name}.weight", (n_out, n_in)
    yield f"{name}.bias", (n_out,)


def _norm(name: str, width: int) -> Iterator[NamedShape]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)
