"""A checkpoint's config files -> what its two towers are.

In: the JSON of ``config.json`` in any of its dialects. Out: frozen configs with every default filled in.

The defaults are those of ``CLIPVisionConfig``, ``CLIPTextConfig`` and ``CLIPConfig`` in transformers 5.23.0,
``models/clip/configuration_clip.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final, Self

from pixvec.errors import ModelError
from pixvec.model.checkpoint.folder import CONFIG, blaming, read_json

_ACTIVATIONS: Final = ("quick_gelu", "gelu")
_MAXIMA: Final[Mapping[str, float]] = {
    "hidden_size": 16_384,
    "intermediate_size": 65_536,
    "projection_dim": 16_384,
    "num_hidden_layers": 256,
    "num_attention_heads": 1_024,
    "layer_norm_eps": 1.0,
    "num_channels": 16,
    "image_size": 4_096,
    "patch_size": 4_096,
    "vocab_size": 1 << 20,
    "max_position_embeddings": 8_192,
    "eos_token_id": 1 << 20,
}
"""Some ten times what the largest models have; what claims more is out to cost time or memory."""
_MAX_PATCHES: Final = 16_384
_MIN_EPS: Final = 1e-12
"""What is added to a variance, so that no constant row is divided by zero in float32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _TowerConfig:
    hidden_size: int
    intermediate_size: int
    projection_dim: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int
    hidden_act: str = "quick_gelu"
    layer_norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.hidden_act not in _ACTIVATIONS:
            raise ModelError(f"hidden_act is {self.hidden_act!r:.60}; pixvec knows {' and '.join(_ACTIVATIONS)}")
        if self.hidden_size % self.num_attention_heads:
            raise ModelError(
                f"hidden_size {self.hidden_size} is no multiple of num_attention_heads {self.num_attention_heads}"
            )

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read the fields of this class; a key that is missing or null has the default."""
        given: dict[str, Any] = {
            field.name: _number_or_text(field.name, value, str(field.type))
            for field in fields(cls)
            if (value := values.get(field.name)) is not None
        }
        return cls(**given)


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionConfig(_TowerConfig):
    """The image tower, in the words of transformers' ``CLIPVisionConfig``; sizes are in pixels."""

    hidden_size: int = 768
    intermediate_size: int = 3072
    num_attention_heads: int = 12
    num_channels: int = 3
    image_size: int = 224
    patch_size: int = 32

    def __post_init__(self) -> None:
        # Called by name: a slotted dataclass is a new class, which the empty super() does not know.
        _TowerConfig.__post_init__(self)
        if self.num_channels != 3:
            raise ModelError(f"num_channels is {self.num_channels}; pixvec embeds images of 3 channels")
        if self.patch_size > self.image_size:
            raise ModelError(f"patch_size {self.patch_size} is larger than image_size {self.image_size}")
        if (n_patches := (self.image_size // self.patch_size) ** 2) > _MAX_PATCHES:
            raise ModelError(f"image_size and patch_size make {n_patches:,} patches; at most {_MAX_PATCHES:,} are read")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig(_TowerConfig):
    """The text tower, in the words of transformers' ``CLIPTextConfig``."""

    hidden_size: int = 512
    intermediate_size: int = 2048
    num_attention_heads: int = 8
    vocab_size: int = 49408
    max_position_embeddings: int = 77
    eos_token_id: int = 49407


def read_towers(folder: Path) -> tuple[VisionConfig, TextConfig | None]:
    """Read a folder's config: the image tower, and the text tower unless the checkpoint is of images only.

    Raises
    ------
    ModelError
        The config is not CLIP's, or describes a tower that cannot be built.
    """
    path = folder / CONFIG
    config = read_json(path)
    with blaming(path):
        return _towers(config)


def _towers(config: Mapping[str, Any]) -> tuple[VisionConfig, TextConfig | None]:
    match config.get("model_type"):
        case "clip":
            # CLIPModel projects both towers to the top-level dimension, whatever the towers' own configs say.
            shared = {"projection_dim": config.get("projection_dim")}
            vision = VisionConfig.from_json(_tower_values(config, "vision_config") | shared)
            return vision, TextConfig.from_json(_tower_values(config, "text_config") | shared)
        case "clip_vision_model":
            return VisionConfig.from_json(config), None
        case other:
            raise ModelError(f"not a CLIP checkpoint: model_type is {other!r:.60}, not 'clip' or 'clip_vision_model'")


def _tower_values(config: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return one tower's values: those of the `_dict` of 2021 where it is present, defaults included."""
    values = config.get(f"{key}_dict")
    values = config.get(key) if values is None else values
    if not isinstance(values, dict | None):
        raise ModelError(f"{key} is not a JSON object")
    return dict(values or {})


def _number_or_text(name: str, value: Any, type_name: str) -> int | float | str:
    match type_name, value:
        case "int", bool():
            pass
        case "int", int() if 0 < value <= _MAXIMA[name]:
            return value
        case "int", [int() as height, int() as width] if height == width and 0 < height <= _MAXIMA[name]:
            return height
        case "float", int() | float() if _MIN_EPS <= value <= _MAXIMA[name]:
            return value
        case "str", str():
            return value
    expected = _EXPECTED[type_name].format(maximum=_MAXIMA.get(name, 0))
    raise ModelError(f"{name} is {value!r:.60}, which is no {expected}")


_EXPECTED: Final = {
    "int": "positive integer up to {maximum:,}",
    "float": f"number from {_MIN_EPS} to {{maximum}}",
    "str": "text",
}
