import json
from pathlib import Path
from typing import Any

import pytest

from pixvec.errors import ModelError
from pixvec.model.checkpoint.config import TextConfig, VisionConfig, read_towers


def read(folder: Path, config: dict[str, Any]) -> tuple[VisionConfig, TextConfig | None]:
    (folder / "config.json").write_text(json.dumps(config))
    return read_towers(folder)


def test_a_bare_config_has_the_defaults_of_base_patch32(tmp_path: Path) -> None:
    vision, text = read(tmp_path, {"model_type": "clip"})
    assert (VisionConfig(), TextConfig()) == (vision, text)
    assert (
        vision.hidden_size,
        vision.num_attention_heads,
        vision.image_size,
        vision.patch_size,
        vision.projection_dim,
    ) == (768, 12, 224, 32, 512)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"vision_config": {"patch_size": 16}}, VisionConfig(patch_size=16)),
        ({"vision_config": {"patch_size": None}}, VisionConfig()),
        ({"vision_config": {"image_size": [336, 336]}}, VisionConfig(image_size=336)),
        ({"vision_config_dict": None, "vision_config": {"patch_size": 16}}, VisionConfig(patch_size=16)),
        ({"vision_config_dict": {"patch_size": 16}, "vision_config": {"patch_size": 14}}, VisionConfig(patch_size=16)),
        ({"vision_config_dict": {}, "vision_config": {"patch_size": 14}}, VisionConfig()),
        ({"projection_dim": 768, "vision_config": {"projection_dim": 9}}, VisionConfig(projection_dim=768)),
        ({"vision_config": {"projection_dim": 9}}, VisionConfig(projection_dim=512)),
        ({"model_type": "clip_vision_model", "projection_dim": 9}, VisionConfig(projection_dim=9)),
        (
            {"vision_config": {"hidden_act": "gelu", "layer_norm_eps": 1}},
            VisionConfig(hidden_act="gelu", layer_norm_eps=1),
        ),
    ],
    ids=["sparse", "null", "square", "null-dict", "dict-wins", "dict-wins-empty", "top", "top-missing", "flat", "gelu"],
)
def test_where_values_come_from(tmp_path: Path, config: dict[str, Any], expected: Any) -> None:
    assert expected == read(tmp_path, {"model_type": "clip"} | config)[0]


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": "siglip"}, "not a CLIP checkpoint: model_type is 'siglip'"),
        ({"model_type": "clip_text_model"}, "not a CLIP checkpoint"),
        ({"model_type": None}, "model_type is None"),
        ({"vision_config": {"hidden_act": "relu"}}, "hidden_act is 'relu'"),
        ({"vision_config": {"hidden_size": "768"}}, "hidden_size is '768', which is no positive integer"),
        ({"vision_config": {"hidden_size": True}}, "hidden_size is True"),
        ({"vision_config": {"hidden_size": -1}}, "hidden_size is -1"),
        ({"vision_config": {"hidden_size": 100}}, "no multiple of num_attention_heads"),
        ({"vision_config": {"num_channels": 1}}, "num_channels is 1"),
        ({"vision_config": {"patch_size": 256}}, "larger than image_size"),
        ({"vision_config": {"image_size": [1, 2]}}, "image_size is"),
        ({"vision_config": {"layer_norm_eps": float("inf")}}, "layer_norm_eps is inf"),
        ({"vision_config": []}, "vision_config is not a JSON object"),
        ({"text_config": {"eos_token_id": [1, 2]}}, "eos_token_id is"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_a_config_that_cannot_be_built_is_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        read(tmp_path, {"model_type": "clip"} | config)
    assert str(caught.value).startswith(str(tmp_path / "config.json"))


@pytest.mark.parametrize("text", ["", "[]", "{", "\xff", "[" * 100_000], ids=["empty", "list", "half", "bytes", "deep"])
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match="is not"):
        read_towers(tmp_path)
