"""How fast is the image tower alone? pixvec's graph beside the engine's own conversion, torch, and a ceiling.

The ceiling is the tower's matrix products and nothing else, through the same engine. Every contender works on images
that are ready for it, all on the same ones.
"""

# ruff: noqa: PLC0415 (a contender loads its libraries in its own process, and no other's)

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from ceiling import matrix_products
from numpy.typing import NDArray
from reference import cosines, load_tower, standardize
from side_by_side import Figures, Start, Work, compare, machine, markdown_table, started

from pixvec.model.checkpoint import load
from pixvec.model.engine import Graph, Precision, compile_graph, ov, resolve_precision
from pixvec.model.towers import image_tower
from pixvec.testing.checkpoints import make_checkpoint

BATCH_SIZES: Final = (8, 32)
VISIT_S: Final = 1.0

Prepare: TypeAlias = Callable[[int], Callable[[], Any]]
"""A batch size -> one forward pass, ready to be called."""


def main() -> None:
    """Print a table for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often to go there and back")
    n_rounds = parser.parse_args().rounds
    print(f"Image tower of ViT-B/32, {machine('openvino', 'torch', 'transformers')}")
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(Path(folder), "vit-base-patch32", vision_only=True)
        with started(_starts(checkpoint)) as contenders:
            for batch in BATCH_SIZES:
                figures = compare(contenders, batch, n_rounds=n_rounds)
                print(f"\nBatches of {batch}\n\n{_table(figures)}", flush=True)


def _starts(checkpoint: Path) -> dict[str, Start]:
    ways = {"ceiling": _ceiling, "pixvec": _pixvec, "converted by OpenVINO": _converted, "torch": _torch}
    precisions: tuple[Precision, ...] = ("bf16", "fp32") if resolve_precision("auto") == "bf16" else ("fp32",)
    return {
        f"{way}, {precision}": partial(_start, prepared, checkpoint, precision)
        for precision in precisions
        for way, prepared in ways.items()
    }


def _start(prepared: Callable[[Path, Precision], Prepare], checkpoint: Path, precision: Precision) -> Work:
    """Load a contender; its work is forward passes for about `VISIT_S` seconds."""
    prepare = prepared(checkpoint, precision)

    def work(batch: int) -> tuple[int, Any]:
        forward = prepare(batch)
        end = time.monotonic() + VISIT_S
        vectors, n_passes = forward(), 1
        while time.monotonic() < end:
            vectors, n_passes = forward(), n_passes + 1
        return n_passes * batch, vectors

    return work


def _table(figures: dict[str, Figures]) -> str:
    torch = figures["torch, fp32"]
    head = ["", "images/s", "slowest to fastest visit", "over torch fp32", "of its ceiling", "lowest cosine"]
    rows = []
    for name, its in figures.items():
        ceiling = figures[f"ceiling, {name.rpartition(', ')[2]}"]
        rows.append(
            [
                name,
                f"{its.per_second:.1f}",
                f"{its.slowest:.1f} to {its.fastest:.1f}",
                f"{its.per_second / torch.per_second:.2f}",
                f"{its.per_second / ceiling.per_second:.2f}",
                "" if its is ceiling else f"{cosines(its.result, torch.result).min():.6f}",
            ]
        )
    return markdown_table(head, rows)


# Contenders -----------------------------------------------------------------------------------------------------------


def _pixvec(folder: Path, precision: Precision) -> Prepare:
    program = compile_graph(image_tower(load(str(folder))), precision)
    return lambda batch: partial(program, _crops(batch))


def _converted(folder: Path, precision: Precision) -> Prepare:
    tower = load_tower(folder, "fp32")
    programs = {batch: compile_graph(_convert(tower, batch), precision) for batch in BATCH_SIZES}
    return lambda batch: partial(programs[batch], standardize(_crops(batch)).numpy())


def _convert(tower: Any, batch: int) -> Graph:
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # the converter would report to its makers
    example = standardize(_crops(batch))
    graph = ov.convert_model(tower, example_input={"pixel_values": example}, input=list(example.shape))
    return Graph([graph.output("image_embeds")], graph.get_parameters(), "converted")


def _torch(folder: Path, precision: Precision) -> Prepare:
    import torch

    tower = load_tower(folder, precision)

    def forward(pixel_values: torch.Tensor) -> NDArray[np.float32]:
        with torch.inference_mode():
            vectors: NDArray[np.float32] = tower(pixel_values=pixel_values).image_embeds.float().numpy()
        return vectors

    return lambda batch: partial(forward, standardize(_crops(batch)).to(tower.dtype))


def _ceiling(folder: Path, precision: Precision) -> Prepare:
    config = load(str(folder)).vision
    programs = {batch: matrix_products(config, batch, precision) for batch in BATCH_SIZES}
    return programs.__getitem__


def _crops(batch: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), np.uint8)


if __name__ == "__main__":
    main()
