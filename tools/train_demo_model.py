"""Train the demo model: a small CLIP, on pictures of the drawn world and their captions.

Run as ``python -m tools.train_demo_model --out FOLDER``. Started again it goes on from where it was; with fewer
``--steps`` the learning rate falls earlier and the run ends earlier. What the model can do is measured by
``tools/evaluate_demo_model.py``, through pixvec itself.

The loss is CLIP's contrastive one between pictures and captions; plus the same from pictures to phrases that name one
attribute; plus that of a linear layer which names the attributes from the embedding, and is thrown away at the end. It
shows the image tower what to look for, long before captions alone would; so the first steps go without words.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (the field's name for it)
from numpy.typing import NDArray
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import CLIPConfig, CLIPModel

from tools.demo_corpus import IMAGE_SIZE, open_corpus
from tools.demo_tokenizer import CONTEXT, make_tokenizer, pad
from tools.world import ATTRIBUTES, Scene, attributes, caption, describe, imagine, phrase

N_PICTURES: Final = 80_000
N_VALIDATION: Final = 500
VALIDATION_SEED: Final = 10_000_000
MEAN: Final = (0.48145466, 0.4578275, 0.40821073)  # OpenAI's, as every CLIP's
STD: Final = (0.26862954, 0.26130258, 0.27577711)
PROJECTION_DIM: Final = 128
VISION: Final[dict[str, Any]] = {
    "hidden_size": 192,
    "intermediate_size": 768,
    "num_hidden_layers": 5,
    "num_attention_heads": 3,
    "hidden_act": "gelu",
    "image_size": IMAGE_SIZE,
    "patch_size": 16,
    "projection_dim": PROJECTION_DIM,
}
TEXT: Final[dict[str, Any]] = {
    "hidden_size": 128,
    "intermediate_size": 512,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "hidden_act": "gelu",
    "max_position_embeddings": CONTEXT,
    "projection_dim": PROJECTION_DIM,
}
PHRASE_WEIGHT: Final = 0.4
HEAD_WEIGHT: Final = 0.6
KIND_WEIGHT: Final = 3.0
MAX_LOGIT_SCALE: Final = 100.0  # CLIP's
SAVE_EVERY: Final = 100


Losses: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Of captions, of phrases, of heads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how hard to train."""

    steps: int
    batch_size: int = 128
    peak_learning_rate: float = 1e-3
    warmup_steps: int = 150
    easy_steps: int = 1200
    wordless_steps: int = 2500
    decay_share: float = 0.3
    seed: int = 0

    def learning_rate(self, step: int) -> float:
        """Warm up, hold, and fall to zero over the last share of the steps."""
        rise = (step + 1) / self.warmup_steps
        fall = (self.steps - step) / (self.decay_share * self.steps)
        return self.peak_learning_rate * min(1.0, rise, fall)


@dataclass(slots=True)
class Run:
    """A model in training and how far it has come."""

    model: CLIPModel
    heads: torch.nn.Linear
    optimizer: torch.optim.AdamW
    step: int = 0
    cpu_seconds: float = 0.0
    log: list[dict[str, float]] = field(default_factory=list)

    def save(self, path: Path) -> None:
        """Write it so that a kill at any moment leaves a whole file."""
        state = {
            "model": self.model.state_dict(),
            "heads": self.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        unfinished = path.with_suffix(".part")
        torch.save(state | {"step": self.step, "cpu_seconds": self.cpu_seconds, "log": self.log}, unfinished)
        unfinished.rename(path)

    def load(self, path: Path) -> None:
        """Go on from what `save` wrote."""
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.cpu_seconds, self.log = state["step"], state["cpu_seconds"], state["log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Pixel values (B, 3, S, S), ids of captions (B, T) and of phrases (P, T), and labels (B, attributes)."""

    pixels: torch.Tensor
    captions: torch.Tensor
    phrases: torch.Tensor
    labels: torch.Tensor


class Lessons:
    """Batches of pictures, captions and phrases; a step's batch depends on the seed and the step only."""

    def __init__(self, pictures: NDArray[np.uint8], tokenizer: Tokenizer, plan: Plan) -> None:
        self._pictures = pictures
        self._tokenizer = tokenizer
        self._plan = plan
        self._scenes = [imagine(seed) for seed in range(len(pictures))]
        self._all = np.arange(len(pictures))
        self._easy = np.array([row for row, scene in enumerate(self._scenes) if _is_easy(scene)])
        self._labels = np.array([_labels(scene) for scene in self._scenes])  # (N, attributes)

    def batches(self, first: int, last: int) -> Iterator[Batch]:
        """Make the batches of steps `first` to `last`, each while the one before it is learnt."""
        with ThreadPoolExecutor(1) as thread:
            ready = thread.submit(self.batch, first)
            for step in range(first, last):
                batch = ready.result()
                ready = thread.submit(self.batch, step + 1)
                yield batch

    def batch(self, step: int) -> Batch:
        """Make a step's batch."""
        rng = np.random.default_rng([self._plan.seed, step])
        rows = self._rows(step)
        captions = [caption(self._scenes[row], rng) for row in rows]
        phrases = [phrase(name, value, rng) for name, values in ATTRIBUTES.items() for value in values]
        return Batch(
            pixels=disturb(torch.from_numpy(self._pictures[rows]), rng),
            captions=pad(self._tokenizer, captions),
            phrases=pad(self._tokenizer, phrases),
            labels=torch.from_numpy(self._labels[rows]),
        )

    def _rows(self, step: int) -> NDArray[np.int64]:
        pool = self._easy if step < self._plan.easy_steps else self._all
        epoch, batch = divmod(step, len(pool) // self._plan.batch_size)
        order = np.random.default_rng([self._plan.seed, 1, epoch]).permutation(pool)
        return np.sort(order[batch * self._plan.batch_size :][: self._plan.batch_size])


def _is_easy(scene: Scene) -> bool:
    """Tell whether a scene shows one thing that is not small: shapes are learnt from these first."""
    return scene.count == 1 and scene.other is None and scene.size != "small"


def _labels(scene: Scene) -> list[int]:
    """Return for each attribute which of its values the scene has, -100 (which the loss passes over) for none."""
    known = attributes(scene)
    return [values.index(known[name]) if name in known else -100 for name, values in ATTRIBUTES.items()]


def standardize(pixels: torch.Tensor) -> torch.Tensor:
    """Turn (B, S, S, 3) bytes into what the model takes, (B, 3, S, S)."""
    mean, std = torch.tensor(MEAN), torch.tensor(STD)
    return ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)


def disturb(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Standardize, zoom and shift a little, and change brightness and contrast a little."""
    batch = len(pixels)
    zoom = torch.from_numpy(rng.uniform(0.88, 1.04, (batch, 1, 1)))
    shift = torch.from_numpy(rng.uniform(-0.06, 0.06, (batch, 2, 1)))
    matrix = torch.cat([zoom * torch.eye(2), shift], dim=2).float()  # (B, 2, 3)
    grid = F.affine_grid(matrix, [batch, 3, IMAGE_SIZE, IMAGE_SIZE], align_corners=False)
    moved = F.grid_sample(standardize(pixels), grid, padding_mode="border", align_corners=False)
    gain = torch.from_numpy(rng.uniform(0.9, 1.1, (batch, 1, 1, 1))).float()
    offset = torch.from_numpy(rng.uniform(-0.12, 0.12, (batch, 1, 1, 1))).float()
    return moved * gain + offset


def make_model(tokenizer: Tokenizer, seed: int) -> CLIPModel:
    """Make an untrained model that knows the tokenizer's vocabulary."""
    torch.manual_seed(seed)
    config = CLIPConfig(text_config=text_config(tokenizer), vision_config=VISION, projection_dim=PROJECTION_DIM)
    model = CLIPModel(config)
    model.set_attn_implementation("eager")  # with so few tokens a step takes 0.85 s of processor time, not 1.47
    _start_well(model)
    return model


def _start_well(model: CLIPModel) -> None:
    """Begin with places that can be told apart and attention that is not flat; both are slow to come by themselves."""
    n_columns = IMAGE_SIZE // VISION["patch_size"]
    frequencies = 100 ** -torch.linspace(0, 1, VISION["hidden_size"] // 4)
    turns = torch.arange(n_columns)[:, None] * frequencies  # (columns, W / 4)
    waves = torch.cat([turns.sin(), turns.cos()], dim=1)  # (columns, W / 2)
    rows, columns = waves.repeat_interleave(n_columns, dim=0), waves.repeat(n_columns, 1)
    with torch.no_grad():
        places = model.vision_model.embeddings.position_embedding.weight  # (1 + patches, W)
        places[1:] = 0.5 * torch.cat([rows, columns], dim=1)
        for name, weight in model.named_parameters():
            if name.endswith(("q_proj.weight", "k_proj.weight")):
                weight.normal_(std=weight.shape[1] ** -0.5)


def text_config(tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the text tower's config."""
    vocab_size = tokenizer.get_vocab_size()
    return TEXT | {"vocab_size": vocab_size, "bos_token_id": vocab_size - 2, "eos_token_id": vocab_size - 1}


def make_optimizer(*modules: torch.nn.Module) -> torch.optim.AdamW:
    """Decay the matrices' weights, and nothing else's."""
    weights = [weight for module in modules for weight in module.parameters()]
    matrices = [weight for weight in weights if weight.ndim > 1]
    others = [weight for weight in weights if weight.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), eps=1e-8)


def embed_images(model: CLIPModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """Return unit vectors, (B, D)."""
    return F.normalize(model.get_image_features(pixel_values=pixel_values).pooler_output.float(), dim=1)


def embed_texts(model: CLIPModel, ids: torch.Tensor) -> torch.Tensor:
    """Return unit vectors, (B, D)."""
    return F.normalize(model.get_text_features(input_ids=ids).pooler_output.float(), dim=1)


def losses(run: Run, batch: Batch, *, with_texts: bool) -> Losses:
    """Return the losses of one batch; without texts, those of captions and phrases are zero."""
    with torch.autocast("cpu", torch.bfloat16):
        projected = run.model.get_image_features(pixel_values=batch.pixels).pooler_output.float()  # (B, D)
    of_heads = _naming_loss(run.heads(projected), batch.labels)
    if not with_texts:
        return torch.zeros(()), torch.zeros(()), of_heads
    with torch.autocast("cpu", torch.bfloat16):
        captions, phrases = embed_texts(run.model, batch.captions), embed_texts(run.model, batch.phrases)
    scaled = run.model.logit_scale.exp().clamp(max=MAX_LOGIT_SCALE) * F.normalize(projected, dim=1)
    of_phrases = _naming_loss(scaled @ phrases.T, batch.labels)
    return _contrastive_loss(scaled @ captions.T, batch.captions), of_phrases, of_heads


def _contrastive_loss(scores: torch.Tensor, captions: torch.Tensor) -> torch.Tensor:
    """Ask for each picture's caption and each caption's picture; pictures of one caption share the target."""
    same = (captions[:, None] == captions).all(dim=2).float()  # (B, B)
    target = same / same.sum(dim=1, keepdim=True)
    return (F.cross_entropy(scores, target) + F.cross_entropy(scores.T, target)) / 2


def _naming_loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Add the attributes' cross entropies, the kind's more than once; `scores` is (B, values of all attributes)."""
    by_attribute = scores.split([len(values) for values in ATTRIBUTES.values()], dim=1)
    entropies = [F.cross_entropy(*pair) for pair in zip(by_attribute, labels.T, strict=True)]
    weights = [KIND_WEIGHT if name == "kind" else 1.0 for name in ATTRIBUTES]
    return torch.stack([weight * entropy for weight, entropy in zip(weights, entropies, strict=True)]).sum()


def train(run: Run, lessons: Lessons, plan: Plan) -> Iterator[list[float]]:
    """Take one step after another, and yield each step's losses."""
    run.model.train()
    start = time.process_time() - run.cpu_seconds
    for batch in lessons.batches(run.step, plan.steps):
        for group in run.optimizer.param_groups:
            group["lr"] = plan.learning_rate(run.step)
        captions, phrases, heads = losses(run, batch, with_texts=run.step >= plan.wordless_steps)
        (captions + PHRASE_WEIGHT * phrases + HEAD_WEIGHT * heads).backward()
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), 1.0)
        run.optimizer.step()
        run.optimizer.zero_grad()
        run.step += 1
        run.cpu_seconds = time.process_time() - start
        yield [captions.item(), phrases.item(), heads.item()]


def validate(model: CLIPModel, pictures: NDArray[np.uint8], tokenizer: Tokenizer) -> dict[str, float]:
    """Measure on fresh pictures: recall from full descriptions, and how often the kind of a single thing is named."""
    scenes = [imagine(VALIDATION_SEED + index) for index in range(len(pictures))]
    kinds = torch.tensor([_labels(scene)[0] for scene in scenes])
    with torch.inference_mode():
        images = torch.cat([embed_images(model, standardize(chunk)) for chunk in torch.tensor(pictures).split(100)])
        texts = embed_texts(model, pad(tokenizer, [describe(scene) for scene in scenes]))
        names = embed_texts(model, pad(tokenizer, [phrase("kind", kind) for kind in ATTRIBUTES["kind"]]))
    scores = texts @ images.T
    rank = (scores > scores.diagonal()[:, None]).sum(dim=1)
    recalls = {f"recall_at_{k}": (rank < k).float().mean().item() for k in (1, 10)}
    hits = ((images @ names.T).argmax(dim=1) == kinds)[kinds >= 0]
    return recalls | {"kind_accuracy": hits.float().mean().item()}


def export(folder: Path, model: CLIPModel, tokenizer: Tokenizer) -> None:
    """Write the checkpoint: config, processor, tokenizer and weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": PROJECTION_DIM,
        "torch_dtype": "float16",
        "text_config": text_config(tokenizer),
        "vision_config": VISION,
    }
    processor = {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": IMAGE_SIZE},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": IMAGE_SIZE, "width": IMAGE_SIZE},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": MEAN,
        "image_std": STD,
    }
    _write_json(folder / "config.json", config)
    _write_json(folder / "preprocessor_config.json", processor)
    tokenizer.save(str(folder / "tokenizer.json"))
    tensors = {name: tensor.half().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    """Train, and write the checkpoint and the log."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    work, plan = arguments.work, Plan(steps=arguments.steps, seed=arguments.seed)
    work.mkdir(parents=True, exist_ok=True)
    pictures = open_corpus(work / "pictures.npy", N_PICTURES)
    fresh = open_corpus(work / "validation.npy", N_VALIDATION, first_seed=VALIDATION_SEED)
    tokenizer = make_tokenizer()
    model = make_model(tokenizer, plan.seed)
    print(f"{sum(weight.numel() for weight in model.parameters()):,} parameters", flush=True)
    heads = torch.nn.Linear(PROJECTION_DIM, sum(map(len, ATTRIBUTES.values())))
    run = Run(model, heads, make_optimizer(model, heads))
    state = work / "state.pt"
    if state.exists():
        run.load(state)
    recent: list[list[float]] = []
    for step_losses in train(run, Lessons(pictures, tokenizer, plan), plan):
        recent.append(step_losses)
        if run.step % SAVE_EVERY == 0 or run.step == plan.steps:
            measured = _mean_losses(recent) | validate(run.model, fresh, tokenizer)
            run.log.append({"step": run.step, "cpu_minutes": run.cpu_seconds / 60} | measured)
            print(json.dumps({name: round(value, 3) for name, value in run.log[-1].items()}), flush=True)
            run.save(state)
            recent.clear()
    export(arguments.out, model, tokenizer)
    _write_json(work / "log.json", {"plan": {"steps": plan.steps, "seed": plan.seed}, "log": run.log})


def _mean_losses(losses: list[list[float]]) -> dict[str, float]:
    captions, phrases, heads = np.mean(losses, axis=0).tolist()
    return {"caption_loss": captions, "phrase_loss": phrases, "head_loss": heads}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--work", type=Path, default=Path("build/demo-model"), help="folder of pictures and state")
    parser.add_argument("--steps", type=int, default=5150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    main()
