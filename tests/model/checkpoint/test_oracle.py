"""Checkpoints that pixvec writes and reads, held against torch and transformers."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pixvec.model import checkpoint
from pixvec.testing.checkpoints import Dialect, WeightsFormat, make_checkpoint
from pixvec.testing.weight_files import FloatType

pytestmark = pytest.mark.oracle
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    transformers.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def assert_equal_tensors(state_dict: Any, weights: checkpoint.Weights) -> None:
    for name, tensor in state_dict.items():
        np.testing.assert_array_equal(tensor.float().numpy(), weights.take(name, tuple(tensor.shape)), err_msg=name)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_torch_reads_the_bin_that_pixvec_writes(tmp_path: Path, dtype: FloatType) -> None:
    folder = make_checkpoint(tmp_path, weights_format="bin", dtype=dtype, dialect="openai-2021")
    state_dict = torch.load(folder / "pytorch_model.bin", weights_only=True)
    positions = [state_dict.pop(f"{tower}_model.embeddings.position_ids") for tower in ("text", "vision")]
    assert [torch.int64] * 2 == [tensor.dtype for tensor in positions]
    assert {dtype} == {str(tensor.dtype).removeprefix("torch.") for tensor in state_dict.values()}
    assert_equal_tensors(state_dict, checkpoint.load(str(folder)).weights)


@pytest.mark.parametrize("weights_format", ["safetensors", "sharded", "bin"])
@pytest.mark.parametrize("dialect", ["openai-2021", "transformers-4", "transformers-5"])
def test_transformers_loads_the_same_model(tmp_path: Path, dialect: Dialect, weights_format: WeightsFormat) -> None:
    folder = make_checkpoint(tmp_path, dialect=dialect, weights_format=weights_format)
    model = transformers.CLIPModel.from_pretrained(folder)
    loaded = checkpoint.load(str(folder))
    assert loaded.text
    assert_equal_tensors(model.state_dict(), loaded.weights)
    for tower, theirs in ((loaded.vision, model.config.vision_config), (loaded.text, model.config.text_config)):
        names = [name for name in tower.__slots__ if name != "projection_dim"]
        assert {name: getattr(theirs, name) for name in names} == {name: getattr(tower, name) for name in names}


@pytest.mark.parametrize("dialect", ["openai-2021", "transformers-4", "transformers-5"])
def test_the_processor_is_read_as_transformers_reads_it(tmp_path: Path, dialect: Dialect) -> None:
    folder = make_checkpoint(tmp_path, dialect=dialect)
    theirs = transformers.CLIPImageProcessorPil.from_pretrained(folder)
    ours = checkpoint.load(str(folder)).processor
    assert theirs.size["shortest_edge"] == ours.resize
    assert (theirs.crop_size["height"], theirs.crop_size["width"]) == ours.center_crop
    assert (theirs.resample, theirs.rescale_factor) == (ours.resample, ours.rescale_factor)
    assert (tuple(theirs.image_mean), tuple(theirs.image_std)) == (ours.mean, ours.std)


@pytest.mark.parametrize("kind", ["CLIPModel", "CLIPVisionModelWithProjection"])
@pytest.mark.parametrize("container", ["safetensors", "bin", "bin-of-parameters"])
def test_what_transformers_saves_loads(tmp_path: Path, kind: str, container: str) -> None:
    vision_only = kind != "CLIPModel"
    model = getattr(transformers, kind).from_pretrained(make_checkpoint(tmp_path / "made", vision_only=vision_only))
    model.save_pretrained(tmp_path / "saved")
    make_checkpoint(tmp_path / "saved", vision_only=vision_only, weights_format="bin")
    if container == "safetensors":
        model.save_pretrained(tmp_path / "saved")
    else:
        state_dict = model.state_dict(keep_vars=container == "bin-of-parameters")
        (tmp_path / "saved" / "model.safetensors").unlink()
        torch.save(state_dict, tmp_path / "saved" / "pytorch_model.bin")
    assert_equal_tensors(model.state_dict(), checkpoint.load(str(tmp_path / "saved")).weights)


def test_the_tokenizer_marks_start_and_end_and_lowercases(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    folder = make_checkpoint(tmp_path, tokenizer="tokenizer.json")
    make_checkpoint(tmp_path, tokenizer="vocab.json")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "CLIPTokenizer"}))
    ids = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode("A Cat on\n the mat!").ids
    assert [ids[0], ids[-1]] == [598, 599]
    vocabulary = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    assert vocabulary("a cat on the mat!").input_ids == ids
