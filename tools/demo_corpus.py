"""Images of the drawn world, drawn once and kept in a file that training reads at random."""

from __future__ import annotations

import io
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tools.world import Scene, draw_scene, imagine

IMAGE_SIZE: Final = 96
_CHUNK: Final = 500


def open_corpus(path: Path, n: int, *, first_seed: int = 0) -> NDArray[np.uint8]:
    """Return images of `n` scenes by their seeds, (n, S, S, 3), drawing them if `path` does not exist."""
    shape = (n, IMAGE_SIZE, IMAGE_SIZE, 3)
    if not path.exists():
        unfinished = path.with_suffix(".part")
        pixels = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
        chunks = [range(start, min(start + _CHUNK, n)) for start in range(0, n, _CHUNK)]
        with ProcessPoolExecutor() as processes:
            for chunk, drawn in zip(chunks, processes.map(partial(_draw_chunk, first_seed), chunks), strict=True):
                pixels[chunk.start : chunk.stop] = drawn
        pixels.flush()
        unfinished.rename(path)
    corpus = np.load(path, mmap_mode="r")
    if corpus.shape != shape:
        raise SystemExit(f"{path} holds {corpus.shape[0]} images, not {n}: remove it to draw them anew")
    return np.asarray(corpus)


def _draw_chunk(first_seed: int, chunk: range) -> NDArray[np.uint8]:
    return np.stack([_draw(imagine(first_seed + index)) for index in chunk])


def _draw(scene: Scene) -> NDArray[np.uint8]:
    """Draw a scene; every other one as it looks when it was a larger JPEG file."""
    rng = np.random.default_rng([scene.seed, 2])
    if rng.random() < 0.5:
        return np.asarray(draw_scene(scene, IMAGE_SIZE))
    file = io.BytesIO()
    draw_scene(scene, int(rng.integers(IMAGE_SIZE, 160))).save(file, "JPEG", quality=int(rng.integers(50, 96)))
    size = (IMAGE_SIZE, IMAGE_SIZE)
    return np.asarray(Image.open(file).convert("RGB").resize(size, Image.Resampling.BICUBIC))
