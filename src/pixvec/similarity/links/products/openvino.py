"""Products on OpenVINO: in int8 on x86, in bf16 where the processor computes in it, and in fp32."""

from __future__ import annotations

import platform
import threading
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pixvec.model.engine import Graph, Node, compile_outputs, ops, ov, resolve_precision
from pixvec.similarity.links.products.backend import BLOCK, GROUP, MAX_INT8, Backend, GroupMaxima, Maxima, Precision

_MIN_INT8: Final = 1 << 15
"""With fewer directions, quantizing to int8 takes longer than it saves."""


@dataclass(frozen=True, slots=True)
class OpenVINOBackend(Backend):
    """Multiplies on all cores, one product at a time."""

    def precisions(self, n_directions: int) -> list[Precision]:
        """Return the precisions that this processor is fast in; int8 only for many directions."""
        floats: list[Precision] = ["fp32"] if resolve_precision("auto") == "fp32" else ["bf16", "fp32"]
        # OpenVINO multiplies int8 fast on x86 alone.
        is_int8_fast = n_directions >= _MIN_INT8 and platform.machine() in {"x86_64", "AMD64"}
        return ["int8", *floats] if is_int8_fast else floats

    def group_maxima(self, precision: Precision, *, tile_size: int, dim: int) -> GroupMaxima:
        """Compile the graph of one product."""
        dtype = np.int8 if precision == "int8" else np.float32
        program = compile_outputs(_graph(tile_size, dim, dtype), "fp32" if precision == "int8" else precision)

        def group_maxima(
            block: NDArray[Any], tile: NDArray[Any], *, stop: threading.Event | None = None
        ) -> tuple[Maxima, Maxima]:
            of_block, of_tile = program(block, tile, stop=stop)
            return of_block.reshape(BLOCK, -1), of_tile.reshape(-1, tile_size)

        return group_maxima


def _graph(tile_size: int, dim: int, dtype: type[np.int8 | np.float32]) -> Graph:
    block, tile = (ops.parameter([n, dim], dtype) for n in (BLOCK, tile_size))
    products = ops.matmul(_factor(block), _factor(tile), False, True)  # (BLOCK, T)
    # In bf16 OpenVINO would pass the products on in bf16 too; adding next to nothing keeps them in float32.
    kept = ops.add(products, ops.constant(np.float32(1e-30)))
    shape = np.array([BLOCK // GROUP, GROUP, tile_size // GROUP, GROUP])
    in_groups = ops.reshape(kept, ops.constant(shape), False)  # (BLOCK / GROUP, GROUP, T / GROUP, GROUP)
    maxima = [ops.reduce_max(in_groups, ops.constant(np.array([axis])), False).output(0) for axis in (3, 1)]
    return ov.Model(maxima, [block, tile], "group maxima")


def _factor(values: Node) -> Node:
    """Mark int8 values as ones to multiply in int8, by a rounding that leaves them as they are."""
    if values.get_element_type() != ov.Type.i8:
        return values
    least, greatest = ops.constant(np.float32(-MAX_INT8)), ops.constant(np.float32(MAX_INT8))
    return ops.fake_quantize(
        ops.convert(values, "f32"), least, greatest, least, greatest, levels=2 * MAX_INT8 + 1
    ).output(0)
