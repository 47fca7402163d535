"""Products of all pairs in a low precision: the greatest cosines in every group, and how wrong they can be.

What the engine multiplies is made here, in int8, bf16 or fp32, and the distance of each direction from what stands for
it is measured. How large an error can be is derived from that, not assumed; that the engine multiplies as exactly as
it should is checked on its first products. This module must not know what the cosines are for.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.engine import Graph, Node, Precision, compile_outputs, ops, ov
from pixvec.link.parallel import parallel_map
from pixvec.link.space import chunks
from pixvec.link.units import BLOCK, GROUP, Units
from pixvec.values import Vectors

Kind: TypeAlias = Literal["int8", "bf16", "fp32"]
Maxima: TypeAlias = NDArray[np.floating[Any]]

_CHECKED_QUERIES = 32
_LARGEST = 127


@dataclass(frozen=True, slots=True)
class _Stand:
    """Numbers in the place of directions.

    Parameters
    ----------
    numbers
        What the engine is given, (U', D) float32 or int8.
    rounded
        What it makes of some of them before it multiplies, as float32.
    step
        A product times its square is a cosine.
    moved
        How far each direction is from what stands for it, (U,).
    """

    numbers: NDArray[Any]
    rounded: Callable[[NDArray[Any]], Vectors]
    step: float
    moved: NDArray[np.float64]


class Products:
    """Multiplies blocks of directions by tiles of them.

    Parameters
    ----------
    units
        The directions.
    kind
        The precision: for int8, directions are turned at random first, which moves no cosine and leaves no dimension
        that is larger than others, as CLIP's vectors have some.
    """

    def __init__(self, units: Units, kind: Kind, stop: threading.Event | None = None) -> None:
        self._units = units
        self._stop = stop
        self._stand = _STANDS[kind](units)
        self._program = compile_outputs(_group_maxima(units.tile, self._stand.numbers), _computed_in(kind))
        self.errors = _errors(self._stand.moved, 2 * units.rounding)
        """For each direction a bound on the error of its maxima, (U,)."""

    def maxima(self, queries: slice | NDArray[np.int64], tile: slice) -> tuple[Maxima, Maxima]:
        """Find for a block of queries, and for a tile, the greatest cosines with the groups of the other.

        (BLOCK, tile / GROUP) and (BLOCK / GROUP, tile) float32.
        """
        return self._maxima(self._stand.numbers[queries], self._stand.numbers[tile])

    def are_sound(self) -> bool:
        """Compare some of the first maxima, and of the largest that there can be, with exact sums of what is summed."""
        first = self._stand.numbers[self._units.tiles[0]]
        largest = np.full_like(first, self._stand.numbers.max())
        return self._is_exact(first) and self._is_exact(largest)

    def _is_exact(self, numbers: NDArray[Any]) -> bool:
        exact = self._stand.rounded(numbers).astype(np.float64) * self._stand.step  # (tile, D)
        expected = (exact[:_CHECKED_QUERIES] @ exact.T).reshape(_CHECKED_QUERIES, -1, GROUP).max(axis=2)
        found, _ = self._maxima(numbers[:BLOCK], numbers)
        scale = max(1.0, float(np.abs(expected).max()))
        return bool(np.all(np.abs(found[:_CHECKED_QUERIES] - expected) <= self._units.rounding * scale))

    def _maxima(self, block: NDArray[Any], tile: NDArray[Any]) -> tuple[Maxima, Maxima]:
        of_block, of_tile = self._program(block, tile, stop=self._stop)
        step = np.float32(self._stand.step**2)
        return of_block.reshape(BLOCK, -1) * step, of_tile.reshape(-1, len(tile)) * step


def _errors(moved: NDArray[np.float64], rounding: float) -> NDArray[np.float64]:
    """Bound for each direction how far its maxima may be from the true ones: (U,).

    For unit vectors x and y and what stands for them, x·y - x'·y' = (x - x')·y + x'·(y - y'), which by Cauchy and
    Schwarz is at most |x - x'| + |x'| |y - y'|. Both lengths are measured; y may be any direction.
    """
    return np.asarray(moved + (1 + moved) * moved.max() + rounding)


def _in_fp32(units: Units) -> _Stand:
    return _Stand(units.vectors, np.asarray, 1.0, np.zeros(units.n))


def _in_bf16(units: Units) -> _Stand:
    """Leave the rounding to the engine, which reads float32."""
    moved = [_lengths(units.vectors[chunk], to_bf16(units.vectors[chunk])) for chunk in chunks(units.n, BLOCK)]
    return _Stand(units.vectors, to_bf16, 1.0, np.concatenate(moved))


def _in_int8(units: Units) -> _Stand:
    """Turn the directions twice, rather than keep them turned beside the others."""
    turn = _random_turn(units.vectors.shape[1])
    blocks = list(chunks(len(units.vectors), BLOCK))
    largest = parallel_map(lambda block: float(np.abs(units.vectors[block] @ turn).max()), blocks)
    step = max(largest) / _LARGEST
    codes = np.empty(units.vectors.shape, np.int8)
    moved = np.empty(len(codes))  # (U',)

    def encode(block: slice) -> None:
        turned = units.vectors[block] @ turn
        codes[block] = np.rint(turned / np.float32(step))
        moved[block] = _lengths(turned, codes[block] * step)

    parallel_map(encode, blocks)
    # Turning rounds each number by no more than a dot product of unit vectors is.
    moved += units.rounding * math.sqrt(len(turn))
    return _Stand(codes, np.asarray, step, moved[: units.n])


def _random_turn(dim: int) -> Vectors:
    """Make an orthogonal matrix, (D, D)."""
    orthogonal, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((dim, dim)))
    return np.asarray(orthogonal, np.float32)


def _lengths(exact: NDArray[Any], rounded: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.square(exact.astype(np.float64) - rounded).sum(axis=1)))


def to_bf16(vectors: Vectors) -> Vectors:
    """Round float32 numbers to the nearest of bf16, ties to even, as processors do; what they are stays float32."""
    bits = vectors.view(np.uint32)
    nearest = bits + (0x7FFF + ((bits >> 16) & 1))
    return (nearest & np.uint32(0xFFFF0000)).view(np.float32)


_STANDS: dict[Kind, Callable[[Units], _Stand]] = {"int8": _in_int8, "bf16": _in_bf16, "fp32": _in_fp32}


def _computed_in(kind: Kind) -> Precision:
    return "fp32" if kind == "int8" else kind


def _group_maxima(tile: int, numbers: NDArray[Any]) -> Graph:
    """Multiply a block by a tile; find each one's greatest cosines in the groups of the other."""
    dim = numbers.shape[1]
    block_numbers = ops.parameter([BLOCK, dim], numbers.dtype.type)
    tile_numbers = ops.parameter([tile, dim], numbers.dtype.type)
    products = ops.matmul(_factor(block_numbers), _factor(tile_numbers), False, True)  # (BLOCK, tile)
    # In bf16 the engine would hand the products on in bf16 too; what is added, nothing, keeps them in float32.
    kept = ops.add(products, ops.constant(np.float32(1e-30)))
    in_groups = ops.reshape(kept, ops.constant(np.array([BLOCK // GROUP, GROUP, tile // GROUP, GROUP])), False)
    maxima = [ops.reduce_max(in_groups, ops.constant(np.array([axis])), False).output(0) for axis in (3, 1)]
    return ov.Model(maxima, [block_numbers, tile_numbers], "group maxima")


def _factor(numbers: Node) -> Node:
    """Say of int8 numbers, by a rounding that leaves them as they are, that they may be multiplied as such."""
    if numbers.get_element_type() != ov.Type.i8:
        return numbers
    least, greatest = ops.constant(np.float32(-_LARGEST)), ops.constant(np.float32(_LARGEST))
    return ops.fake_quantize(
        ops.convert(numbers, "f32"), least, greatest, least, greatest, levels=2 * _LARGEST + 1
    ).output(0)
