"""CLIP's two towers as graphs, built from a checkpoint's weights.

In: a checkpoint. Out: a graph from crops (B, S, S, 3) uint8, or from token ids (B, T), to embeddings (B, D), not
normalized, for batches of any size. Names and formulas as in `modeling_clip.py` of Hugging Face transformers 5.23.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pixvec.model.checkpoint import Checkpoint, ProcessorConfig, TextConfig, VisionConfig, Weights
from pixvec.model.engine import ANY, Graph, Node, constant, ops
from pixvec.model.layers import as_rows, embed_constant, encoder, integers, layer_norm, linear


def image_tower(checkpoint: Checkpoint) -> Graph:
    """Build the graph from crops, (B, S, S, 3) uint8, to their embeddings, (B, D)."""
    config, weights = checkpoint.vision, checkpoint.weights
    size, width = config.image_size, config.hidden_size
    crops = ops.parameter([ANY, size, size, 3], np.uint8, name="crops")
    tokens = _image_tokens(crops.output(0), config, checkpoint.processor, weights)  # (B, 1 + N, W)
    normed = layer_norm(tokens, weights, "vision_model.pre_layrnorm", config)
    pooled = encoder(normed, weights, "vision_model", config, causal=False, first_only=True)  # (B, 1, W)
    row = layer_norm(as_rows(pooled, width), weights, "vision_model.post_layernorm", config)  # (B, W)
    projection = (config.projection_dim, width)
    return Graph([linear(row, weights, "visual_projection", projection, bias=False)], [crops], "image_tower")


def _image_tokens(crops: Node, config: VisionConfig, processor: ProcessorConfig, weights: Weights) -> Node:
    patches = (config.image_size // config.patch_size) ** 2
    width, stride = config.hidden_size, [config.patch_size] * 2
    kernel, bias = _patch_convolution(config, processor, weights)
    position = weights.take("vision_model.embeddings.position_embedding.weight", (1 + patches, width))
    class_token = weights.take("vision_model.embeddings.class_embedding", (width,))
    placed = position + np.concatenate([class_token[np.newaxis], np.broadcast_to(bias, (patches, width))])
    channels_first = ops.transpose(ops.convert(crops, np.float32), integers(0, 3, 1, 2))  # (B, 3, S, S)
    grid = ops.convolution(channels_first, embed_constant(kernel), stride, [0, 0], [0, 0], [1, 1])
    flat = ops.reshape(grid, integers(0, width, patches), True)  # (B, W, N)
    embedded = ops.transpose(flat, integers(0, 2, 1))  # (B, N, W)
    after_class = ops.pad(embedded, integers(0, 1, 0), integers(0, 0, 0), "constant", ops.constant(np.float32(0)))
    return ops.add(after_class, embed_constant(placed[np.newaxis])).output(0)  # (B, 1 + N, W)


def _patch_convolution(
    config: VisionConfig, processor: ProcessorConfig, weights: Weights
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fold rescale, mean and std into the patch convolution: it then takes bytes, and gains a bias.

    ``kernel * (rescale * x - mean) / std  ==  (kernel * rescale / std) * x  -  sum(kernel * mean / std)``
    """
    shape = (config.hidden_size, 3, config.patch_size, config.patch_size)
    kernel = weights.take("vision_model.embeddings.patch_embedding.weight", shape).astype(np.float64)
    std = np.array(processor.std or (1.0,) * 3).reshape(3, 1, 1)
    mean = np.array(processor.mean or (0.0,) * 3).reshape(3, 1, 1)
    rescale = 1.0 if processor.rescale_factor is None else processor.rescale_factor
    bias = -(kernel * mean / std).sum(axis=(1, 2, 3))  # (W,)
    return (kernel * rescale / std).astype(np.float32), bias.astype(np.float32)


def text_tower(checkpoint: Checkpoint, config: TextConfig) -> Graph:
    """Build the graph from token ids, (B, T), and the places of their end-of-text tokens, (B, 1), to embeddings."""
    weights, width, length = checkpoint.weights, config.hidden_size, config.max_position_embeddings
    ids = ops.parameter([ANY, length], np.int32, name="ids")
    ends = ops.parameter([ANY, 1], np.int32, name="ends")
    vocabulary = weights.take("text_model.embeddings.token_embedding.weight", (config.vocab_size, width))
    position = weights.take("text_model.embeddings.position_embedding.weight", (length, width))
    tokens = ops.add(ops.gather(constant(vocabulary), ids, integers(0)), constant(position))  # (B, T, W)
    encoded = encoder(tokens.output(0), weights, "text_model", config, causal=True, first_only=False)
    pooled = ops.gather(encoded, ends, integers(1), 1)  # (B, T, W) -> (B, 1, W)
    row = layer_norm(as_rows(pooled.output(0), width), weights, "text_model.final_layer_norm", config)  # (B, W)
    projection = (checkpoint.vision.projection_dim, width)
    return Graph([linear(row, weights, "text_projection", projection, bias=False)], [ids, ends], "text_tower")
