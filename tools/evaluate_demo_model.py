"""Measure the demo model through pixvec, and write what was measured into its model card.

Run as ``python -m tools.evaluate_demo_model FOLDER --log build/demo-model/log.json``.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from pixvec import Embedder
from pixvec.values import Vectors
from tools.world import ATTRIBUTES, Scene, attributes, describe, distinct_scenes, draw_scene, phrase

N_SCENES: Final = 1000
FIRST_SEED: Final = 20_000_000
IMAGE_SIZE: Final = 224
N_COPIES: Final = 200
WORDED: Final[Mapping[str, str]] = {
    "caption_loss": "caption loss",
    "phrase_loss": "phrase loss",
    "recall_at_1": "recall@1 of 500",
    "recall_at_10": "recall@10",
    "kind_accuracy": "zero-shot kind",
}
"""What the training log says once there are words, and the card's words for it."""


@dataclass(frozen=True, slots=True)
class Exam:
    """Scenes, their images as JPEG files, and what the model makes of them."""

    scenes: list[Scene]
    images: Vectors
    embedder: Embedder

    def recall(self, k: int) -> float:
        """Measure for how many descriptions the image is among the k nearest."""
        scores = self.embedder.embed_query([describe(scene) for scene in self.scenes]) @ self.images.T
        return float(((scores > scores.diagonal()[:, None]).sum(axis=1) < k).mean())

    def accuracy(self, attribute: str) -> tuple[float, int]:
        """Measure how often the nearest phrase names the attribute rightly, and on how many images."""
        values = ATTRIBUTES[attribute]
        phrases = self.embedder.embed_query([phrase(attribute, value) for value in values])
        answers = [values[nearest] for nearest in (self.images @ phrases.T).argmax(axis=1)]
        truths = [attributes(scene).get(attribute) for scene in self.scenes]
        right = [answer == truth for answer, truth in zip(answers, truths, strict=True) if truth is not None]
        return float(np.mean(right)), len(right)

    def found_again(self, alter: Callable[[Image.Image], bytes]) -> float:
        """Measure how many altered copies are nearer to their original than to any other image."""
        altered = [alter(draw_scene(scene, IMAGE_SIZE)) for scene in self.scenes[:N_COPIES]]
        copies = self.embedder.embed(altered).vectors
        return float(((copies @ self.images.T).argmax(axis=1) == np.arange(len(copies))).mean())


def hold_exam(embedder: Embedder, *, held_out: bool) -> Exam:
    """Draw and embed the images."""
    scenes = distinct_scenes(N_SCENES, first_seed=FIRST_SEED, held_out=held_out)
    files = [encode(draw_scene(scene, IMAGE_SIZE)) for scene in scenes]
    return Exam(scenes, embedder.embed(files).vectors, embedder)


def encode(image: Image.Image, quality: int = 90) -> bytes:
    """Write a JPEG file."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def shrink(image: Image.Image) -> bytes:
    """Write it at 60 % of its size."""
    return encode(image.resize((IMAGE_SIZE * 3 // 5,) * 2, Image.Resampling.BICUBIC))


def crop(image: Image.Image) -> bytes:
    """Write it without 4 % at each side."""
    margin = IMAGE_SIZE // 25
    return encode(image.crop((margin, margin, IMAGE_SIZE - margin, IMAGE_SIZE - margin)))


ALTERATIONS: Final[Mapping[str, Callable[[Image.Image], bytes]]] = {
    "re-encoded at JPEG quality 40": lambda image: encode(image, 40),
    "scaled to 60 %": shrink,
    "cropped by 4 % at each side": crop,
}


def measure(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the rows of the card's table: what was measured, and the figures."""
    exams = []
    for precision in ("fp32", "auto"):
        embedder = Embedder(model=str(folder), precision=precision)
        exams += [hold_exam(embedder, held_out=True), hold_exam(embedder, held_out=False)]
    for k in (1, 5, 10):
        yield f"text to image, recall@{k} among {N_SCENES:,}", [f"{exam.recall(k):.3f}" for exam in exams]
    for name, values in ATTRIBUTES.items():
        measured = [exam.accuracy(name) for exam in exams]
        yield f"zero-shot {name}, 1 of {len(values)}", [f"{share:.3f} (n={n})" for share, n in measured]
    for name, alter in ALTERATIONS.items():
        yield f"copies found again, {name}", [f"{exam.found_again(alter):.3f}" for exam in exams]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table."""
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


def log_table(log: Sequence[Mapping[str, float]], n_rows: int = 12) -> str:
    """Write every so manieth line of the training log, the last one included."""
    stride = max(1, len(log) // n_rows)
    head = ("step", "CPU minutes", "head loss", *WORDED.values())
    return table(head, [_log_row(line) for line in list(log)[::-1][::stride][::-1]])


def _log_row(line: Mapping[str, float]) -> list[str]:
    wordless = line["caption_loss"] == 0
    worded = ["" if wordless else f"{line[name]:.3f}" for name in WORDED]
    return [f"{line['step']}", f"{line['cpu_minutes']:.0f}", f"{line['head_loss']:.3f}", *worded]


def main() -> None:
    """Measure, print, and write the card."""
    arguments = _arguments()
    head = ("", "held out, fp32", "seen pairs, fp32", "held out, default", "seen pairs, default")
    results = table(head, [[name, *figures] for name, figures in measure(arguments.folder)])
    print(results)
    if arguments.log is not None:
        run: dict[str, Any] = json.loads(arguments.log.read_text())
        card = Path(__file__).with_name("demo_model_card.md").read_text()
        minutes = run["log"][-1]["cpu_minutes"]
        filled = card.format(**run["plan"], minutes=f"{minutes:.0f}", log=log_table(run["log"]), results=results)
        (arguments.folder / "README.md").write_text(filled)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="folder of the checkpoint")
    parser.add_argument("--log", type=Path, help="log.json of the training; the model card is then written")
    return parser.parse_args()


if __name__ == "__main__":
    main()
