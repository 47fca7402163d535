"""The most that a processor could do: the image tower's matrix products and nothing else, through pixvec's engine.

They are those of an image's patches, and of the weights that they meet.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixvec.model.checkpoint import VisionConfig
from pixvec.model.engine import Graph, Node, Precision, compile_graph, ops


def matrix_products(config: VisionConfig, batch: int, precision: Precision) -> Callable[[], Any]:
    """Make ready to multiply what one forward pass of a batch multiplies."""
    return partial(compile_graph(_products(config, batch), precision), *_numbers(config, batch))


def _products(config: VisionConfig, batch: int) -> Graph:
    """Chain the tower's matrix products, each with its own weights; most of the last layer's are for one token."""
    width, inner, patch = config.hidden_size, config.intermediate_size, 3 * config.patch_size**2
    n_patches = (config.image_size // config.patch_size) ** 2
    patches = ops.parameter([batch * n_patches, patch], np.float32)
    tokens = ops.parameter([batch * (n_patches + 1), width], np.float32)
    x = tokens.output(0)
    for _ in range(config.num_hidden_layers - 1):
        x = _chain(x, width, width, width, width, width, inner, width)  # q, k, v, out, fc1, fc2
    keys = _chain(x, width, width, width)  # k, v
    first = ops.slice(keys, _axis(0), _axis(batch), _axis(1), _axis(0)).output(0)
    pooled = _chain(first, width, width, width, inner, width, config.projection_dim)  # q, out, fc1, fc2, projection
    return Graph([pooled, _chain(patches.output(0), patch, width)], [patches, tokens], "products")


def _chain(x: Node, *widths: int) -> Node:
    rng = np.random.default_rng(0)
    for n_in, n_out in itertools.pairwise(widths):
        weights = rng.standard_normal((n_out, n_in), np.float32) * np.float32(n_in**-0.5)
        x = ops.matmul(x, ops.constant(weights), False, True).output(0)
    return x


def _axis(value: int) -> Node:
    return ops.constant(np.array([value], np.int64)).output(0)


def _numbers(config: VisionConfig, batch: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    n_patches = (config.image_size // config.patch_size) ** 2
    patches = rng.standard_normal((batch * n_patches, 3 * config.patch_size**2), np.float32)
    return patches, rng.standard_normal((batch * (n_patches + 1), config.hidden_size), np.float32)
