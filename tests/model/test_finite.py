"""No vector that is not finite, whatever weights, settings or input brought it about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer

import pixvec
from pixvec.cli import WRONG_USE, execute
from pixvec.cli.embed import embed
from pixvec.errors import ModelError
from pixvec.testing.checkpoints import PRESETS, make_checkpoint, make_weights
from pixvec.testing.images import encode
from pixvec.testing.weight_files import write_safetensors

TINY = PRESETS["tiny"]
GREY, WHITE, BLACK = (encode(Image.new("L", (40, 40), level), "PNG") for level in (128, 255, 0))
Weights = dict[str, NDArray[Any]]


def make_model(folder: Path, change: Callable[[Weights], None], **settings: Any) -> str:
    """Write a checkpoint whose weights, and settings of the image processor, are changed."""
    make_checkpoint(folder)
    weights = make_weights(TINY.vision, TINY.text)
    change(weights)
    write_safetensors(folder / "model.safetensors", weights)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return str(folder)


def with_nan(weights: Weights) -> None:
    weights["vision_model.encoder.layers.1.mlp.fc1.weight"][3, 5] = np.nan
    weights["text_model.encoder.layers.1.mlp.fc1.weight"][3, 5] = np.nan


def with_infinity(weights: Weights) -> None:
    weights["vision_model.encoder.layers.0.layer_norm1.bias"][0] = np.inf
    weights["text_model.encoder.layers.0.layer_norm1.bias"][0] = np.inf


def beyond_float32(weights: Weights) -> None:
    for tower in ("visual", "text"):
        weights[f"{tower}_projection.weight"] *= np.float32(3e38)


def unchanged(_: Weights) -> None:
    pass


def make_model_that_overflows_at(folder: Path, image: bytes, others: list[bytes]) -> str:
    """Scale one number of all vectors so that it is beyond float32 for one image, and not for others."""
    model = make_model(folder, unchanged)
    at, *elsewhere = np.abs(
        pixvec.embed_images(np.array([image, *others], dtype=object), model=model, normalize=False, isolate="never")
    )
    place = int(np.argmax(np.where(at > 1.5, at / np.max(elsewhere, axis=0), 0)))

    def scale(weights: Weights) -> None:
        weights["visual_projection.weight"][place] *= np.float32(3.4e38 / at[place] * 1.06)

    return make_model(folder, scale)


@pytest.mark.parametrize("change", [with_nan, with_infinity, beyond_float32])
def test_a_model_that_comes_to_no_vector_is_refused(tmp_path: Path, change: Callable[[Weights], None]) -> None:
    model = make_model(tmp_path / "model", change)
    for normalize in (True, False):
        with pytest.raises(ModelError, match=r"not finite, whatever it is given: its weights are damaged"):
            pixvec.embed_images([GREY], model=model, normalize=normalize, isolate="never")
        with pytest.raises(ModelError, match="not finite, whatever it is given"):
            pixvec.embed_texts(["a cat"], model=model, normalize=normalize)


def test_no_row_is_charged_for_a_model_that_comes_to_no_vector(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.png").write_bytes(GREY)
    (tmp_path / "photos.csv").write_text("path\na.png\n")
    arguments = ["embed", str(tmp_path / "photos.csv"), "-o", str(tmp_path / "out.csv"), "-c", "path"]
    arguments += ["--files-under", str(tmp_path), "--isolate", "never", "--keep-going"]
    assert execute([*arguments, "--model", make_model(tmp_path / "model", with_nan)]) == WRONG_USE
    printed = capsys.readouterr().err
    assert ("not finite, whatever it is given" in printed, "bug" in printed) == (True, False)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"image_std": [1e-300] * 3},
        {"image_mean": [1e300] * 3},
        {"rescale_factor": 1e300},
        {"rescale_factor": 1e-300},
        {"image_mean": [float("nan")] * 3},
        {"size": 10**9, "crop_size": 10**9},
    ],
    ids=json.dumps,
)
def test_settings_out_of_proportion_are_refused_at_load(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"preprocessor_config\.json"):
        pixvec.Embedder(model=make_model(tmp_path / "model", unchanged, **settings))


def test_an_image_that_comes_to_no_vector_is_named_and_its_neighbours_kept(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(WHITE)
    (tmp_path / "b.png").write_bytes(BLACK)
    table = tmp_path / "photos.csv"
    table.write_text("path\na.png\nb.png\na.png\n")
    model = make_model_that_overflows_at(tmp_path / "model", BLACK, [WHITE, GREY])
    arguments = [
        str(table),
        "-o",
        str(tmp_path / "out.parquet"),
        "-c",
        "path",
        "--files-under",
        str(tmp_path),
        "--isolate",
        "never",
    ]
    broken = CliRunner().invoke(embed, [*arguments, "--model", model])
    assert "met at row 1 (counted from 0)" in " ".join(getattr(broken.exception, "__notes__", []))
    done = CliRunner().invoke(embed, [*arguments, "--model", model, "--keep-going"])
    assert done.exit_code != 0
    written = pq.read_table(tmp_path / "out.parquet")
    assert written["embedding_error"].to_pylist() == [None, "internal_error", None]
    assert np.isfinite(np.stack([v for v in written["embedding"].to_pylist() if v is not None])).all()


def test_a_text_that_comes_to_no_vector_is_named_and_its_neighbours_kept(tmp_path: Path) -> None:
    def without_dogs(weights: Weights) -> None:
        tokenizer = Tokenizer.from_file(str(tmp_path / "model" / "tokenizer.json"))
        dogs = {*tokenizer.encode("dogs").ids} - {*tokenizer.encode("a photo of cats").ids}
        weights["text_model.embeddings.token_embedding.weight"][sorted(dogs)] = np.nan

    model = make_model(tmp_path / "model", without_dogs)
    with pytest.raises(ArithmeticError, match="not finite") as caught:
        pixvec.embed_texts(["cats", "dogs"], model=model)
    assert caught.value.__notes__ == ["pixvec: this is a bug, met at row 1 (counted from 0)"]
    with pixvec.Embedder(model=model) as embedder, pytest.raises(ModelError, match="for text 1 "):
        embedder.embed_query(["cats", "dogs"])
    pq.write_table(pa.table({"text": ["cats", "dogs", "cats"]}), tmp_path / "in.parquet")
    done = CliRunner().invoke(
        embed,
        [
            *(str(tmp_path / "in.parquet"), "-o", str(tmp_path / "out.parquet")),
            *("--texts", "text", "--model", model, "--keep-going"),
        ],
    )
    assert done.exit_code != 0
    assert pq.read_table(tmp_path / "out.parquet")["embedding_error"].to_pylist() == [None, "internal_error", None]
