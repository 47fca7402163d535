"""What does it cost to decode in processes of its own? Threads beside workers, and how soon the first crop comes."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeAlias

from photographs import photograph
from side_by_side import Figures, Start, Work, compare, machine, markdown_table, started

from pixvec import Embedder
from pixvec.images.decode import DecodeOptions
from pixvec.images.workers import CropMaker
from pixvec.model.checkpoint import ProcessorConfig
from pixvec.testing.checkpoints import make_checkpoint

N_IMAGES: Final = 256
MIN_SIDE: Final = 224
N_STARTS: Final = 9

Isolate: TypeAlias = Literal["always", "never"]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often to go there and back")
    n_rounds = parser.parse_args().rounds
    print(f"{N_IMAGES} JPEG files to crops, {machine('pixvec', 'pillow')}\n")
    print(_compared("decoding alone", _crops, n_rounds))
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = make_checkpoint(Path(folder), "vit-base-patch32")
        print(_compared("to vectors, ViT-B/32", partial(_vectors, checkpoint), n_rounds))
    print(f"first crop, median of {N_STARTS}: workers {_first_crop_ms('always')}, threads {_first_crop_ms('never')}")


def _compared(title: str, loads: Callable[[Isolate], Work], n_rounds: int) -> str:
    starts: dict[str, Start] = {"threads": partial(loads, "never"), "workers": partial(loads, "always")}
    with started(starts) as contenders:
        figures = compare(contenders, n_rounds=n_rounds)
    rows = [_line(name, its, figures["threads"]) for name, its in figures.items()]
    head = [title, "images/s", "slowest to fastest visit", "over threads", "CPU ms/image, workers' included"]
    return markdown_table(head, rows) + "\n"


def _line(name: str, its: Figures, baseline: Figures) -> list[str]:
    pace = f"{its.slowest:.1f} to {its.fastest:.1f}"
    ratio = its.per_second / baseline.per_second
    return [name, f"{its.per_second:.1f}", pace, f"{ratio:.3f}", f"{its.cpu_ms + its.result:.2f}"]


def _crops(isolate: Isolate) -> Work:
    bodies = [photograph(number) for number in range(N_IMAGES)]

    def work() -> tuple[int, float]:
        before = _children_cpu_s()
        crops = CropMaker(DecodeOptions(isolate=isolate), ProcessorConfig(), min_side=MIN_SIDE)
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            list(threads.map(partial(crops.crop, sha256=b""), bodies))
        crops.close()
        return len(bodies), 1e3 * (_children_cpu_s() - before) / len(bodies)

    return work


def _vectors(checkpoint: Path, isolate: Isolate) -> Work:
    bodies = [photograph(number) for number in range(N_IMAGES)]
    embedder = Embedder(model=str(checkpoint), isolate=isolate)

    def work() -> tuple[int, float]:
        before = _children_cpu_s()
        embedder.embed(bodies)
        return len(bodies), 1e3 * (_children_cpu_s() - before) / len(bodies)

    return work


def _children_cpu_s() -> float:
    """Processor time of the workers that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _first_crop_ms(isolate: Isolate) -> str:
    body, seconds = photograph(0), []
    for _ in range(N_STARTS):
        started_at = time.perf_counter()
        crops = CropMaker(DecodeOptions(isolate=isolate), ProcessorConfig(), min_side=MIN_SIDE)
        crops.crop(body, sha256=b"")
        seconds.append(time.perf_counter() - started_at)
        crops.close()
    return f"{1e3 * statistics.median(seconds):.0f} ms"


if __name__ == "__main__":
    main()
