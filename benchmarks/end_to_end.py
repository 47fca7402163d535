"""How fast do URLs become vectors? pixvec beside what one would otherwise write, from the same server.

The server is a process of its own on the same machine: its CPU time, which every contender pays for,
stands beside theirs.
"""

# ruff: noqa: PLC0415 (a contender loads its libraries in its own process, and no other's)

from __future__ import annotations

import argparse
import io
import itertools
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from photographs import photograph
from PIL import Image
from reference import cosines, load_tower
from side_by_side import Contender, Figures, Start, Work, compare, machine, markdown_table, started

from pixvec import Embedder, embed_images
from pixvec.engine import Precision
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.server import ImageServer

N_IMAGES: Final = 512
BATCH_SIZE: Final = 32
N_DOWNLOADS: Final = 16
"""As many connections as pixvec opens to one host."""
BASELINE: Final = "batches of 32, torch fp32"

Embed: TypeAlias = Callable[[list[str]], Any]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often to go there and back")
    n_rounds = parser.parse_args().rounds
    print(f"URLs to vectors, ViT-B/32, {machine('pixvec', 'openvino', 'torch', 'transformers')}")
    with tempfile.TemporaryDirectory() as folder, started({"server": _serve}) as (server,):
        checkpoint = make_checkpoint(Path(folder), "vit-base-patch32")
        urls, n_bytes = server.visit().result[:2]
        print(f"{len(urls)} JPEG files of {n_bytes / len(urls) / 1e3:.0f} KB on average\n")
        with started(_starts(checkpoint, urls)) as contenders:
            figures = compare(contenders, n_rounds=n_rounds, beside_cpu_seconds=partial(_cpu_seconds, server))
        print(_table(figures))


def _serve() -> Work:
    """Serve photographs; the server's work is to tell their URLs, how large they are, and what CPU time it has had."""
    server = ImageServer().__enter__()
    bodies = [photograph(number) for number in range(N_IMAGES)]
    urls = [server.add(f"/{number}.jpg", body=body) for number, body in enumerate(bodies)]
    return lambda: (0, (urls, sum(map(len, bodies)), time.process_time()))


def _cpu_seconds(server: Contender) -> float:
    seconds: float = server.visit().result[2]
    return seconds


def _starts(checkpoint: Path, urls: list[str]) -> dict[str, Start]:
    ways: dict[str, tuple[Callable[[Path], Embed], int]] = {
        "one by one, torch fp32": (partial(_one_by_one, precision="fp32"), 24),
        BASELINE: (partial(_in_batches, precision="fp32"), 64),
        "batches of 32, torch bf16": (partial(_in_batches, precision="bf16"), 128),
        "pixvec, fp32": (partial(_pixvec, precision="fp32"), 192),
        "pixvec, defaults": (partial(_pixvec, precision="auto"), N_IMAGES),
        "pixvec, defaults, model loaded in the call": (_pixvec_from_scratch, N_IMAGES),
    }
    return {name: partial(_start, loads, checkpoint, urls[:n]) for name, (loads, n) in ways.items()}


def _start(loads: Callable[[Path], Embed], checkpoint: Path, urls: list[str]) -> Work:
    """Load a contender; its work is to embed the URLs."""
    embed = loads(checkpoint)
    return lambda: (len(urls), np.asarray(embed(urls)))


def _table(figures: dict[str, Figures]) -> str:
    baseline = figures[BASELINE]
    head = [
        "",
        "images/s",
        "slowest to fastest visit",
        "over batches",
        "CPU ms/image",
        "server's",
        "cosine, lowest",
        "mean",
    ]
    rows = []
    for name, its in figures.items():
        n_common = min(len(its.result), len(baseline.result))
        agreement = cosines(its.result[:n_common], baseline.result[:n_common])
        rows.append(
            [
                name,
                f"{its.per_second:.1f}",
                f"{its.slowest:.1f} to {its.fastest:.1f}",
                f"{its.per_second / baseline.per_second:.2f}",
                f"{its.cpu_ms:.1f}",
                f"{its.beside_cpu_ms:.2f}",
                f"{agreement.min():.5f}",
                f"{agreement.mean():.5f}",
            ]
        )
    return markdown_table(head, rows)


# Contenders -----------------------------------------------------------------------------------------------------------


def _one_by_one(checkpoint: Path, precision: Precision) -> Embed:
    embed_batch = _reference(checkpoint, precision)
    return lambda urls: np.concatenate([embed_batch([_download(url)]) for url in urls])


def _in_batches(checkpoint: Path, precision: Precision) -> Embed:
    """Download and decode in threads, ahead of the model."""
    embed_batch = _reference(checkpoint, precision)

    def embed(urls: list[str]) -> NDArray[np.float32]:
        with ThreadPoolExecutor(N_DOWNLOADS) as threads:
            batches = _batched(threads.map(_download, urls), BATCH_SIZE)
            return np.concatenate([embed_batch(images) for images in batches])

    return embed


def _batched(images: Iterable[Image.Image], size: int) -> Iterable[list[Image.Image]]:
    remaining = iter(images)
    return iter(lambda: list(itertools.islice(remaining, size)), [])


def _download(url: str) -> Image.Image:
    import requests  # type: ignore[import-untyped, unused-ignore]  # typed only where it is installed

    return Image.open(io.BytesIO(requests.get(url, timeout=20).content)).convert("RGB")


def _reference(checkpoint: Path, precision: Precision) -> Callable[[list[Image.Image]], NDArray[np.float32]]:
    import torch
    from transformers import CLIPProcessor

    tower, processor = load_tower(checkpoint, precision), CLIPProcessor.from_pretrained(checkpoint)

    def embed_batch(images: list[Image.Image]) -> NDArray[np.float32]:
        pixel_values = processor(images=images, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            vectors: torch.Tensor = tower(pixel_values=pixel_values.to(tower.dtype)).image_embeds.float()
            unit: NDArray[np.float32] = torch.nn.functional.normalize(vectors).numpy()
        return unit

    return embed_batch


def _pixvec(checkpoint: Path, precision: Literal["auto", "fp32"]) -> Embed:
    embedder = Embedder(model=str(checkpoint), precision=precision, allow_private=True)
    return lambda urls: embedder.embed(urls, progress=False).vectors


def _pixvec_from_scratch(checkpoint: Path) -> Embed:
    return partial(embed_images, model=str(checkpoint), allow_private=True, progress=False)


if __name__ == "__main__":
    main()
