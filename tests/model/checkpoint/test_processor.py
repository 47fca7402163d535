import json
from pathlib import Path
from typing import Any

import pytest

from pixvec.errors import ModelError
from pixvec.model.checkpoint.processor import ProcessorConfig, read_processor


def read(folder: Path, settings: dict[str, Any], *, image_size: int = 224) -> ProcessorConfig:
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return read_processor(folder, image_size=image_size)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ProcessorConfig()),
        ({"size": None, "resample": None, "do_resize": None}, ProcessorConfig()),
        ({"size": 256}, ProcessorConfig(resize=256)),
        ({"size": {"shortest_edge": 256}}, ProcessorConfig(resize=256)),
        ({"size": {"height": 256, "width": 300}}, ProcessorConfig(resize=(256, 300))),
        ({"size": [256, 300]}, ProcessorConfig(resize=(256, 300))),
        ({"size": 256, "default_to_square": True}, ProcessorConfig(resize=(256, 256))),
        ({"do_resize": False}, ProcessorConfig(resize=None)),
        (
            {"size": {"height": 224, "width": 224}, "do_center_crop": False},
            ProcessorConfig(resize=(224, 224), center_crop=None),
        ),
        ({"do_rescale": False}, ProcessorConfig(rescale_factor=None)),
        ({"rescale_factor": 1}, ProcessorConfig(rescale_factor=1.0)),
        ({"do_normalize": False}, ProcessorConfig(mean=None, std=None)),
        ({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]}, ProcessorConfig(mean=(0, 0, 0), std=(1, 1, 1))),
        ({"resample": 2}, ProcessorConfig(resample=2)),
        ({"feature_extractor_type": "CLIPFeatureExtractor", "crop_size": 224}, ProcessorConfig()),
        ({"image_processor_type": "CLIPImageProcessorFast"}, ProcessorConfig()),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_settings_of_every_dialect(tmp_path: Path, settings: dict[str, Any], expected: Any) -> None:
    assert expected == read(tmp_path, settings)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"image_processor_type": "SiglipImageProcessor"}, "'SiglipImageProcessor', not CLIP's"),
        ({"crop_size": 336}, "the settings make crops of 336 by 336, and the model takes 224 by 224"),
        ({"do_center_crop": False}, "crops of any size"),
        ({"size": {"shortest_edge": 224, "longest_edge": 300}}, "size is"),
        ({"size": "224"}, "size is '224'"),
        ({"size": True}, "size is True"),
        ({"crop_size": {"height": 0, "width": 224}}, "crop_size is"),
        ({"resample": 9}, "resample is 9"),
        ({"resample": "bicubic"}, "resample is 'bicubic'"),
        ({"rescale_factor": 0}, "rescale_factor is 0"),
        ({"image_mean": 0.5}, "image_mean is 0.5"),
        ({"image_mean": [0, 0, None]}, "image_mean is"),
        ({"image_std": [1, 0, 1]}, "pixels are divided by it"),
        ({"do_pad": True}, "do_pad is on"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_settings_that_cannot_be_followed_are_refused(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught:
        read(tmp_path, settings)
    assert str(caught.value).startswith(str(tmp_path / "preprocessor_config.json"))


@pytest.mark.parametrize(
    ("newer", "resize"),
    [({"image_processor": {"size": 256}}, 256), ({"processor_class": "CLIPProcessor"}, 300)],
    ids=["newer-has-settings", "newer-has-none"],
)
def test_the_newer_file_wins_where_it_has_settings(tmp_path: Path, newer: dict[str, Any], resize: int) -> None:
    (tmp_path / "processor_config.json").write_text(json.dumps(newer))
    assert resize == read(tmp_path, {"size": 300}).resize
