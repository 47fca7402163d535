"""A preset's name and a seed -> a CLIP checkpoint in a folder, of random weights, in any dialect and weight format.

Made with NumPy alone. Names, shapes and the scale of the weights are those of transformers' ``CLIPModel`` (5.23.0,
``models/clip/modeling_clip.py``), except that biases and norms are random too, so that a model that forgets one is
found out. A tensor's numbers depend on the seed and its name only.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pixvec.model.checkpoint.config import TextConfig, VisionConfig
from pixvec.model.checkpoint.tensors import text_tensors, vision_tensors
from pixvec.testing.tokenizers import write_tokenizer, write_vocabulary
from pixvec.testing.weight_files import Arrays, FloatType, write_safetensors, write_shards, write_torch_zip

Dialect: TypeAlias = Literal["openai-2021", "transformers-4", "transformers-5"]
"""Whose hand the JSON files are written in."""

WeightsFormat: TypeAlias = Literal["safetensors", "sharded", "bin"]
"""What the weights are written as."""

_LEGACY_EOS_TOKEN_ID: Final = 2  # what OpenAI's configs say; readers then look for the largest id


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preset:
    vision: VisionConfig = field(default_factory=VisionConfig)
    text: TextConfig = field(default_factory=TextConfig)


_LARGE_VISION: Final = VisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    projection_dim=768,
    num_hidden_layers=24,
    num_attention_heads=16,
    patch_size=14,
)
_LARGE_TEXT: Final = TextConfig(hidden_size=768, intermediate_size=3072, projection_dim=768, num_attention_heads=12)
_HUGE_VISION: Final = replace(
    _LARGE_VISION,
    hidden_size=1280,
    intermediate_size=5120,
    num_hidden_layers=32,
    projection_dim=1024,
    hidden_act="gelu",
)
_HUGE_TEXT: Final = TextConfig(
    hidden_size=1024,
    intermediate_size=4096,
    projection_dim=1024,
    num_hidden_layers=24,
    num_attention_heads=16,
    hidden_act="gelu",
)
PRESETS: Final[Mapping[str, _Preset]] = {
    "tiny": _Preset(
        vision=VisionConfig(
            hidden_size=64,
            intermediate_size=128,
            projection_dim=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=32,
            patch_size=8,
        ),
        text=TextConfig(
            hidden_size=48,
            intermediate_size=96,
            projection_dim=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            vocab_size=600,
            max_position_embeddings=24,
            eos_token_id=599,
        ),
    ),
    "vit-base-patch32": _Preset(),
    "vit-base-patch16": _Preset(vision=VisionConfig(patch_size=16)),
    "vit-large-patch14": _Preset(vision=_LARGE_VISION, text=_LARGE_TEXT),
    "vit-large-patch14-336": _Preset(vision=replace(_LARGE_VISION, image_size=336), text=_LARGE_TEXT),
    "vit-huge-patch14": _Preset(vision=_HUGE_VISION, text=_HUGE_TEXT),
    "vit-giant-patch14": _Preset(
        vision=replace(_HUGE_VISION, hidden_size=1408, intermediate_size=6144, num_hidden_layers=40), text=_HUGE_TEXT
    ),
    "vit-bigg-patch14": _Preset(
        vision=replace(
            _HUGE_VISION, hidden_size=1664, intermediate_size=8192, num_hidden_layers=48, projection_dim=1280
        ),
        text=replace(
            _HUGE_TEXT,
            hidden_size=1280,
            intermediate_size=5120,
            num_hidden_layers=32,
            num_attention_heads=20,
            projection_dim=1280,
        ),
    ),
}
"""The shapes of models by name: a tiny one, OpenAI's, and those of LAION's that OpenAI's lack."""


def make_checkpoint(
    folder: Path,
    preset: str = "tiny",
    *,
    seed: int = 0,
    vision: Mapping[str, Any] | None = None,
    text: Mapping[str, Any] | None = None,
    vision_only: bool = False,
    dtype: FloatType = "float32",
    weights_format: WeightsFormat = "safetensors",
    dialect: Dialect = "transformers-4",
    tokenizer: Literal["tokenizer.json", "vocab.json"] | None = "tokenizer.json",
) -> Path:
    """Write a checkpoint of random weights and return its folder.

    Parameters
    ----------
    folder
        Where to write; made where it does not exist.
    preset
        A key of `PRESETS`.
    seed
        Two checkpoints of one seed and one shape are equal.
    vision, text
        What differs from the preset, in the words of `VisionConfig` and `TextConfig`. `projection_dim` is the image
        tower's, and holds for both.
    vision_only
        Leave the text tower out, as ``CLIPVisionModelWithProjection`` saves it.
    dtype, weights_format
        How the weights are stored.
    dialect
        Whose hand the JSON files are written in. OpenAI's of 2021 says ``eos_token_id`` 2 and stores position ids.
    tokenizer
        Which files the tokenizer is in, if any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shape = PRESETS[preset]
    vision_config = replace(shape.vision, **(vision or {}))
    text_config = replace(shape.text, **(text or {}), projection_dim=vision_config.projection_dim)
    if dialect == "openai-2021":
        text_config = replace(text_config, eos_token_id=_LEGACY_EOS_TOKEN_ID)
    towers = (vision_config, None if vision_only else text_config)
    _write_json(folder / "config.json", _config(*towers, dialect=dialect))
    _write_processor(folder, image_size=vision_config.image_size, dialect=dialect)
    if tokenizer and not vision_only:
        write = write_tokenizer if tokenizer == "tokenizer.json" else write_vocabulary
        write(folder, vocab_size=text_config.vocab_size)
    arrays = make_weights(*towers, seed=seed, with_position_ids=dialect == "openai-2021")
    _write_weights(folder, arrays, dtype=dtype, weights_format=weights_format)
    return folder


def make_weights(
    vision: VisionConfig, text: TextConfig | None, *, seed: int = 0, with_position_ids: bool = False
) -> dict[str, NDArray[Any]]:
    """Return the tensors of a CLIP model by name."""
    n_positions = (vision.image_size // vision.patch_size) ** 2 + 1
    arrays: dict[str, NDArray[Any]] = {
        name: _draw(seed, name, dims, scale) for name, dims, scale in _tensors(vision, text)
    }
    if text is not None:
        arrays["logit_scale"] = np.array(np.log(1 / 0.07), np.float32)
    if with_position_ids:
        arrays["vision_model.embeddings.position_ids"] = np.arange(n_positions)[None]
        if text is not None:
            arrays["text_model.embeddings.position_ids"] = np.arange(text.max_position_embeddings)[None]
    return arrays


def _tensors(vision: VisionConfig, text: TextConfig | None) -> Iterator[tuple[str, tuple[int, ...], float]]:
    """List tensors by name and shape, each with the standard deviation of its numbers."""
    for name, shape in vision_tensors(vision):
        yield name, shape, _scale(name, shape, vision.num_hidden_layers)
    for name, shape in text_tensors(text) if text else ():
        yield name, shape, _scale(name, shape, text.num_hidden_layers if text else 0)


def _scale(name: str, shape: tuple[int, ...], n_layers: int) -> float:
    *_, part, kind = name.split(".")
    if part in {"q_proj", "k_proj", "v_proj", "fc2"} and kind == "weight":
        return float(shape[0] ** -0.5 * (2 * n_layers) ** -0.5)
    if kind == "class_embedding" or (part in {"out_proj", "visual_projection", "text_projection"} and kind == "weight"):
        return float(shape[-1] ** -0.5)
    return float((2 * shape[-1]) ** -0.5) if part == "fc1" and kind == "weight" else 0.02


def _draw(seed: int, name: str, shape: tuple[int, ...], scale: float) -> NDArray[np.float32]:
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    values = generator.standard_normal(shape, np.float32)
    values *= np.float32(scale)
    if "norm" in name and name.endswith(".weight"):
        values += np.float32(1)
    return values


def _write_weights(folder: Path, arrays: Arrays, *, dtype: FloatType, weights_format: WeightsFormat) -> None:
    match weights_format:
        case "safetensors":
            write_safetensors(folder / "model.safetensors", arrays, dtype=dtype)
        case "sharded":
            write_shards(folder, arrays, dtype=dtype)
        case "bin":
            write_torch_zip(folder / "pytorch_model.bin", arrays, dtype=dtype)


def _config(vision: VisionConfig, text: TextConfig | None, *, dialect: Dialect) -> dict[str, Any]:
    spell = _all_keys if dialect == "transformers-5" else _keys_off_default
    if text is None:
        return {"model_type": "clip_vision_model"} | spell(vision)
    config = {"model_type": "clip", "architectures": ["CLIPModel"], "projection_dim": vision.projection_dim}
    if dialect != "openai-2021":
        return config | {"vision_config": spell(vision), "text_config": spell(text)}
    # The keys without _dict were written with defaults that do not hold, and nobody read them.
    stale = {"vision_config": _all_keys(VisionConfig()), "text_config": _all_keys(TextConfig())}
    return config | stale | {"vision_config_dict": spell(vision), "text_config_dict": spell(text)}


def _all_keys(tower: VisionConfig | TextConfig) -> dict[str, Any]:
    return {field.name: getattr(tower, field.name) for field in fields(tower)}


def _keys_off_default(tower: VisionConfig | TextConfig) -> dict[str, Any]:
    defaults = _all_keys(type(tower)())
    return {name: value for name, value in _all_keys(tower).items() if value != defaults[name]}


def _write_processor(folder: Path, *, image_size: int, dialect: Dialect) -> None:
    steps: dict[str, Any] = {
        "do_resize": True,
        "size": {"shortest_edge": image_size},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": image_size, "width": image_size},
        "do_normalize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    name = "preprocessor_config.json"
    match dialect:
        case "openai-2021":
            steps |= {"feature_extractor_type": "CLIPFeatureExtractor", "size": image_size, "crop_size": image_size}
        case "transformers-4":
            steps |= {"image_processor_type": "CLIPImageProcessor", "do_rescale": True, "rescale_factor": 1 / 255}
        case "transformers-5":
            name = "processor_config.json"
            steps |= {"image_processor_type": "CLIPImageProcessor", "do_rescale": True, "rescale_factor": 1 / 255}
            steps = {"image_processor": steps, "processor_class": "CLIPProcessor"}
    _write_json(folder / name, steps)


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
