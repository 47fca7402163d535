import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixvec.errors import ModelError
from pixvec.model import checkpoint
from pixvec.testing.checkpoints import PRESETS, Dialect, WeightsFormat, make_checkpoint, make_weights
from pixvec.testing.weight_files import FloatType

TINY = PRESETS["tiny"]
DIALECTS = ("openai-2021", "transformers-4", "transformers-5")
FORMATS = ("safetensors", "sharded", "bin")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same_towers(tmp_path: Path, dialect: Dialect) -> None:
    loaded = checkpoint.load(str(make_checkpoint(tmp_path, dialect=dialect)))
    eos_token_id = 2 if dialect == "openai-2021" else TINY.text.eos_token_id
    assert TINY.vision == loaded.vision
    assert replace(TINY.text, eos_token_id=eos_token_id) == loaded.text
    assert checkpoint.ProcessorConfig(resize=32, center_crop=(32, 32)) == loaded.processor


@pytest.mark.parametrize("weights_format", FORMATS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 2e-3), ("bfloat16", 1e-2)])
def test_every_format_gives_the_same_tensors(
    tmp_path: Path, weights_format: WeightsFormat, dtype: FloatType, tolerance: float
) -> None:
    folder = make_checkpoint(tmp_path, weights_format=weights_format, dtype=dtype, dialect="openai-2021")
    weights = checkpoint.load(str(folder)).weights
    for name, expected in make_weights(TINY.vision, TINY.text).items():
        taken = weights.take(name, expected.shape)
        assert taken.dtype == np.float32
        np.testing.assert_allclose(taken, expected, atol=tolerance, err_msg=name)


@pytest.mark.parametrize("weights_format", FORMATS)
def test_float32_tensors_are_writeable_views_that_outlive_the_weights(
    tmp_path: Path, weights_format: WeightsFormat
) -> None:
    weights = checkpoint.load(str(make_checkpoint(tmp_path, weights_format=weights_format))).weights
    taken = weights.take("visual_projection.weight", (32, 64))
    again = weights.take("visual_projection.weight", (32, 64))
    del weights
    assert np.shares_memory(taken, again)
    assert taken.flags.aligned
    assert taken.flags.writeable
    assert np.isfinite(taken).all()


def test_writing_to_a_tensor_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    folder = make_checkpoint(tmp_path)
    before = (folder / "model.safetensors").read_bytes()
    checkpoint.load(str(folder)).weights.take("visual_projection.weight", (32, 64))[:] = 0
    assert before == (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("name", "shape", "said"),
    [
        ("nothing", (1,), "'nothing': is missing"),
        ("visual_projection.weight", (64, 32), r"\(32, 64\), and the config asks for \(64, 32\)"),
        ("vision_model.embeddings.position_ids", (1, 17), "stored as int64"),
    ],
    ids=["missing", "shape", "integers"],
)
def test_a_tensor_that_cannot_be_taken_is_named(tmp_path: Path, name: str, shape: tuple[int, ...], said: str) -> None:
    weights = checkpoint.load(str(make_checkpoint(tmp_path, dialect="openai-2021"))).weights
    with pytest.raises(ModelError, match=said):
        weights.take(name, shape)


def test_a_vision_only_checkpoint_has_no_text_tower(tmp_path: Path) -> None:
    loaded = checkpoint.load(str(make_checkpoint(tmp_path, vision_only=True)))
    assert (TINY.vision, None, ()) == (loaded.vision, loaded.text, loaded.tokenizer_files)


@pytest.mark.parametrize(
    ("tokenizer", "names"),
    [("tokenizer.json", ["tokenizer.json"]), ("vocab.json", ["vocab.json", "merges.txt"]), (None, [])],
    ids=str,
)
def test_tokenizer_files_are_found(tmp_path: Path, tokenizer: Any, names: list[str]) -> None:
    loaded = checkpoint.load(str(make_checkpoint(tmp_path, tokenizer=tokenizer)))
    assert names == [path.name for path in loaded.tokenizer_files]


def test_safetensors_win_over_a_bin_beside_them(tmp_path: Path) -> None:
    make_checkpoint(tmp_path, weights_format="bin")
    make_checkpoint(tmp_path, weights_format="safetensors")
    assert (tmp_path / "model.safetensors",) == checkpoint.load(str(tmp_path)).weights.paths


def test_a_file_is_no_model_and_the_hub_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="there is no folder 'model'; it is a file"):
        checkpoint.load("model")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./gone", "there is no folder './gone'"),
        ("/gone", "there is no folder '/gone'"),
        ("~/gone", "there is no folder"),
        ("", "there is no folder ''"),
        ("a/b/c", "neither a folder nor a repository id"),
        ("openai/clip@", "neither a folder nor a repository id"),
        ("hello world", "neither a folder nor a repository id"),
    ],
)
def test_a_name_of_nothing_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=said):
        checkpoint.load(name)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("config.json", "config.json: cannot be read"),
        ("preprocessor_config.json", "no image processor settings"),
        ("model.safetensors", "holds none of model.safetensors"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, name: str, said: str) -> None:
    (make_checkpoint(tmp_path) / name).unlink()
    with pytest.raises(ModelError, match=said):
        checkpoint.load(str(tmp_path))


@pytest.mark.parametrize(
    "shard", ["../model.safetensors", "/etc/passwd", "model.txt", "a\\u0000.bin", 5, "gone.safetensors"]
)
def test_an_index_that_names_a_stray_shard_is_refused(tmp_path: Path, shard: str | int) -> None:
    index = make_checkpoint(tmp_path, weights_format="sharded") / "model.safetensors.index.json"
    index.write_text(f'{{"weight_map": {{"a": {shard if isinstance(shard, int) else chr(34) + shard + chr(34)}}}}}')
    with pytest.raises(ModelError, match=r"cannot be the name of a shard|gone.safetensors: cannot be read"):
        checkpoint.load(str(tmp_path))


def test_a_checkpoint_without_projection_is_refused(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"visual_projection.weight", b"visual_projection.weird_"))
    with pytest.raises(ModelError, match=r"with a projection: no tensor visual_projection.weight"):
        checkpoint.load(str(tmp_path))


def test_a_git_lfs_pointer_is_named_as_such(tmp_path: Path) -> None:
    make_checkpoint(tmp_path)
    Path(tmp_path, "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n")
    with pytest.raises(ModelError, match="git lfs pull"):
        checkpoint.load(str(tmp_path))


def test_configs_pickle(tmp_path: Path) -> None:
    loaded = checkpoint.load(str(make_checkpoint(tmp_path)))
    facts = (loaded.vision, loaded.text, loaded.processor)
    assert facts == pickle.loads(pickle.dumps(facts))


def test_a_name_that_no_file_can_have_is_one_clear_line() -> None:
    with pytest.raises(ModelError, match="cannot be a model: File name too long"):
        checkpoint.load("a" * 300)


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("config.json", {"vision_config": {"layer_norm_eps": 10**400}}),
        ("preprocessor_config.json", {"rescale_factor": 10**400}),
    ],
    ids=["config", "processor"],
)
def test_a_number_beyond_all_floats_is_named(file: str, changed: dict[str, Any], tmp_path: Path) -> None:
    path = make_checkpoint(tmp_path) / file
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(ModelError, match=r"layer_norm_eps|rescale_factor"):
        checkpoint.load(str(tmp_path))
