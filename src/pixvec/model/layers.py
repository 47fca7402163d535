"""The layers both of CLIP's towers are made of, as graph nodes.

Tensor names, formulas and their order are those of `modeling_clip.py` in Hugging Face transformers 5.23. Shapes in
comments: B images or texts, T tokens, W the tower's width, H heads.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pixvec.model.checkpoint import Weights
from pixvec.model.engine import Node, constant, fuses_unevenly, ops

_QUICK_GELU = np.float32(1.702)


class TowerConfig(Protocol):
    """What the two towers' configs have in common."""

    @property
    def hidden_size(self) -> int: ...  # noqa: D102
    @property
    def intermediate_size(self) -> int: ...  # noqa: D102
    @property
    def num_hidden_layers(self) -> int: ...  # noqa: D102
    @property
    def num_attention_heads(self) -> int: ...  # noqa: D102
    @property
    def hidden_act(self) -> str: ...  # noqa: D102
    @property
    def layer_norm_eps(self) -> float: ...  # noqa: D102


def integers(*values: int) -> Node:
    """Make a constant of int64, as shapes, axes and indices are given to the engine."""
    return ops.constant(np.array(values, dtype=np.int64)).output(0)


def linear(x: Node, weights: Weights, name: str, shape: tuple[int, int], *, bias: bool = True) -> Node:
    """Multiply by a weight of `shape` (out, in) and add its bias."""
    product = ops.matmul(x, constant(weights.take(f"{name}.weight", shape)), False, True).output(0)
    return ops.add(product, constant(weights.take(f"{name}.bias", shape[:1]))).output(0) if bias else product


def layer_norm(x: Node, weights: Weights, name: str, config: TowerConfig) -> Node:
    """Standardize each token, then scale and shift it."""
    size = (config.hidden_size,)
    normed = ops.mvn(x, integers(-1), True, config.layer_norm_eps, "INSIDE_SQRT")
    scaled = ops.multiply(normed, constant(weights.take(f"{name}.weight", size)))
    return ops.add(scaled, constant(weights.take(f"{name}.bias", size))).output(0)


def encoder(x: Node, weights: Weights, prefix: str, config: TowerConfig, *, causal: bool, first_only: bool) -> Node:
    """Run the tower's transformer blocks over (B, T, W); with `first_only`, return (B, 1, W) of the first token.

    Only keys and values of the last block need all tokens: its query, output and MLP are computed for the first
    token alone, since nothing reads the others.
    """
    last = config.num_hidden_layers - 1
    for index in range(config.num_hidden_layers):
        name = f"{prefix}.encoder.layers.{index}"
        x = _block(x, weights, name, config, causal=causal, first_only=first_only and index == last)
    return x


def _block(x: Node, weights: Weights, name: str, config: TowerConfig, *, causal: bool, first_only: bool) -> Node:
    keys = layer_norm(x, weights, f"{name}.layer_norm1", config)
    queries = keys
    if first_only:
        x, queries = _first_token(x), _first_token(keys)  # (B, 1, W)
    x = ops.add(x, _attention(queries, keys, weights, f"{name}.self_attn", config, causal=causal)).output(0)
    normed = layer_norm(x, weights, f"{name}.layer_norm2", config)
    return ops.add(x, _mlp(normed, weights, f"{name}.mlp", config)).output(0)


def _first_token(x: Node) -> Node:
    return ops.slice(x, integers(0), integers(1), integers(1), integers(1)).output(0)  # (B, T, W) -> (B, 1, W)


def _attention(queries: Node, keys: Node, weights: Weights, name: str, config: TowerConfig, *, causal: bool) -> Node:
    square = (config.hidden_size, config.hidden_size)
    q = _split_heads(_scaled_queries(queries, weights, f"{name}.q_proj", config), config)
    k = _split_heads(linear(keys, weights, f"{name}.k_proj", square), config)
    v = _split_heads(linear(keys, weights, f"{name}.v_proj", square), config)
    attended = ops.scaled_dot_product_attention(q, k, v, None, ops.constant(np.float32(1)), causal=causal)
    joined = ops.reshape(ops.transpose(attended, integers(0, 2, 1, 3)), integers(0, 0, -1), True)  # (B, T, W)
    return linear(joined.output(0), weights, f"{name}.out_proj", square)


def _scaled_queries(x: Node, weights: Weights, name: str, config: TowerConfig) -> Node:
    """Project to queries that are scaled by (W / H) ** -0.5, in the weights: a product of its own would be fused."""
    width = config.hidden_size
    scale = np.float32((width // config.num_attention_heads) ** -0.5)
    kernel, bias = weights.take(f"{name}.weight", (width, width)), weights.take(f"{name}.bias", (width,))
    product = ops.matmul(x, embed_constant(kernel * scale), False, True)
    return ops.add(product, embed_constant(bias * scale)).output(0)


def _split_heads(x: Node, config: TowerConfig) -> Node:
    width = config.hidden_size // config.num_attention_heads
    split = ops.reshape(x, integers(0, 0, config.num_attention_heads, width), True)  # (B, T, H, W / H)
    return ops.transpose(split, integers(0, 2, 1, 3)).output(0)  # (B, H, T, W / H)


def _mlp(x: Node, weights: Weights, name: str, config: TowerConfig) -> Node:
    hidden = linear(x, weights, f"{name}.fc1", (config.intermediate_size, config.hidden_size))
    return linear(_activate(hidden, config), weights, f"{name}.fc2", (config.hidden_size, config.intermediate_size))


def _activate(x: Node, config: TowerConfig) -> Node:
    if not fuses_unevenly():
        return _activation(x, config)
    flat = ops.reshape(x, integers(0, -1), True).output(0)  # (B, T, M) -> (B, T * M), which keeps the two apart
    return ops.reshape(_activation(flat, config), integers(0, -1, config.intermediate_size), True).output(0)


def _activation(x: Node, config: TowerConfig) -> Node:
    if config.hidden_act == "quick_gelu":
        return ops.swish(x, ops.constant(_QUICK_GELU)).output(0)  # x * sigmoid(1.702 x)
    return ops.gelu(x, "ERF").output(0)


def as_rows(x: Node, width: int) -> Node:
    """Drop the token axis: (B, 1, W) -> (B, W)."""
    return ops.reshape(x, integers(-1, width), False).output(0)


def embed_constant(values: NDArray[np.float32]) -> Node:
    """Put a computed array into a graph; unlike `constant` the graph owns a copy."""
    return ops.constant(values).output(0)
