"""Running recipes on tables in memory and in files: what the steps make, and what is found before they start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.errors import ModelError, RunError, UsageError
from pixvec.recipe import RecipeError, RecipeOptions
from pixvec.recipe.context import StepContext
from pixvec.tables.result_columns import read_provenance, read_vectors
from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

EMBED = "embed_images(ds.image_url) -> (ds.v)"
RESULTS = ["v", "v_error", "v_detail", "v_image"]


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    """A server with four images."""
    with ImageServer() as server:
        for seed in range(4):
            server.add(f"/{seed}.jpg", body=image_bytes(seed=seed))
        yield server


@pytest.fixture
def photos(site: ImageServer) -> pa.Table:
    """Four images, one that is not there, and a row without a URL."""
    urls = [*(site.url(f"/{seed}.jpg") for seed in range(4)), site.url("/gone.jpg"), None]
    texts = ["a cat", None, "", "a red bicycle", "x " * 500, "a cat"]
    return pa.table({"id": range(6), "image_url": urls, "caption": texts}, metadata={"kept": "as it was"})


@pytest.fixture
def options(site: ImageServer, checkpoint: str) -> dict[str, Any]:
    return {"model": checkpoint, "allow_address": (site.address,), "isolate": "never", "progress": False}


def test_images_get_vectors_and_reasons_in_their_rows(photos: pa.Table, options: dict[str, Any]) -> None:
    table = pixvec.run_recipe(EMBED, photos, **options)
    wanted = pixvec.embed_table(photos, column="image_url", output_column="v", data_urls=False, **options)
    assert table.equals(wanted, check_metadata=True)
    assert table["v_error"].to_pylist() == [None, None, None, None, "http_404", "null_input"]


def test_the_vectors_of_texts_are_those_of_the_model(photos: pa.Table, options: dict[str, Any]) -> None:
    table = pixvec.run_recipe("embed_text_with_model(ds.caption) -> (ds.t)", photos, **options)
    with pixvec.Embedder(model=options["model"]) as embedder:
        wanted = embedder.embed_query(["a cat", "a red bicycle", "x " * 500, "a cat"])
    assert table["t"].is_valid().to_pylist() == [True, False, False, True, True, True]
    np.testing.assert_array_equal(read_vectors(table["t"])[[0, 3, 4, 5]], wanted)
    assert table["t_error"].to_pylist() == [None, "null_input", "null_input", None, None, None]
    facts = read_provenance(table.schema, "t") or {}
    assert (facts["embedded"], facts["dim"]) == ("texts", 32)


@pytest.mark.parametrize(("step", "column"), [("embed_images", "image_url"), ("embed_text_with_model", "caption")])
def test_what_a_step_says_goes_before_what_the_run_says(
    step: str, column: str, photos: pa.Table, options: dict[str, Any]
) -> None:
    recipe = f"{step}(ds.{column}, {{normalize: true}}) -> (ds.a)\n{step}(ds.{column}) -> (ds.b)"
    table = pixvec.run_recipe(recipe, photos, **options, normalize=False)
    facts = [read_provenance(table.schema, name) for name in ("a", "b")]
    assert [fact and fact["normalize"] for fact in facts] == [True, False]
    lengths = np.linalg.norm(read_vectors(table["a"])[table["a"].is_valid().to_numpy()], axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)


def test_a_data_frame_comes_back_as_one(photos: pa.Table, options: dict[str, Any]) -> None:
    frame = photos.to_pandas().set_index(pd.Index(list("abcdef")))
    result = pixvec.run_recipe(EMBED, frame, **options)
    assert list(result.columns) == ["id", "image_url", "caption", *RESULTS]
    assert list(result.index) == list("abcdef")
    assert result.loc["a", "v"].dtype == np.float32
    assert list(frame.columns) == ["id", "image_url", "caption"]


def test_the_bytes_of_images_will_do(options: dict[str, Any]) -> None:
    table = pixvec.run_recipe(EMBED, pa.table({"image_url": [image_bytes(), None, b"no image"]}), **options)
    assert table["v_error"].to_pylist() == [None, "null_input", "not_an_image"]


@pytest.mark.parametrize("is_let_in", [True, False])
def test_files_are_images_where_the_command_lets_them_in(
    is_let_in: bool, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").write_bytes(image_bytes())
    table = pa.table({"image_url": ["a.jpg", str(tmp_path / "a.jpg"), f"file://{tmp_path}/a.jpg"]})
    if is_let_in:
        assert pixvec.run_recipe(EMBED, table, **options, files_under=tmp_path)["v"].null_count == 0
    else:
        with pytest.raises(RecipeError, match="expected a column of url, found a column of text"):
            pixvec.run_recipe(EMBED, table, **options)


def test_a_step_reads_what_another_made(photos: pa.Table, options: dict[str, Any]) -> None:
    recipe = f"{EMBED}\nembed_text_with_model(ds.v_detail) -> (ds.w)"
    table = pixvec.run_recipe(recipe, photos, **options)
    assert table["w"].is_valid().to_pylist() == [False, False, False, False, True, True]


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        ("ds", ["id", "image_url", "caption", *RESULTS]),
        ('ds[["v", "id"]]', ["id", "v"]),
        ('ds[!["caption", "v_image"]]', ["id", "image_url", "v", "v_error", "v_detail"]),
    ],
)
def test_the_end_of_a_recipe_says_what_is_kept(
    kept: str, names: list[str], photos: pa.Table, options: dict[str, Any], tmp_path: Path
) -> None:
    recipe = f"{EMBED}\ncreate_project({kept})"
    pq.write_table(photos, tmp_path / "in.parquet")
    pixvec.run_recipe(recipe, tmp_path / "in.parquet", **options, output=tmp_path / "out.parquet")
    assert pq.read_schema(tmp_path / "out.parquet").names == names
    assert pixvec.run_recipe(recipe, photos, **options).column_names == names


def test_a_recipe_may_make_nothing(photos: pa.Table) -> None:
    assert pixvec.run_recipe("create_project(ds)", photos).equals(photos, check_metadata=True)


def test_recipe_and_table_may_be_files(photos: pa.Table, options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "recipe.txt").write_text(f"\ufeff# made elsewhere\r\n{EMBED}\r\n", encoding="utf-8")
    pq.write_table(photos, tmp_path / "in.parquet")
    table = pixvec.run_recipe(tmp_path / "recipe.txt", str(tmp_path / "in.parquet"), **options)
    assert table.column_names == ["id", "image_url", "caption", *RESULTS]
    assert table.schema.metadata[b"kept"] == b"as it was"


def test_a_text_is_never_taken_for_a_path(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("password")
    with pytest.raises(UsageError, match="is no recipe: for a file, give its path") as caught:
        pixvec.run_recipe(str(tmp_path / "secret"), pa.table({}))
    assert "password" not in str(caught.value)


def test_an_empty_table_gets_empty_columns(options: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("image_url,caption\n")
    recipe = f"{EMBED}\nembed_text_with_model(ds.caption) -> (ds.t)"
    table = pixvec.run_recipe(recipe, tmp_path / "in.csv", **options)
    assert (table.num_rows, table["t"].type) == (0, pa.list_(pa.float32(), 32))


def test_a_file_keeps_every_byte_of_its_other_cells(photos: pa.Table, options: dict[str, Any], tmp_path: Path) -> None:
    rows = [
        f'00{number},{url or ""},"say ""ä""\nand more"\r\n'
        for number, url in enumerate(photos["image_url"].to_pylist())
    ]
    (tmp_path / "in.csv").write_bytes("".join(["id,image_url,note\r\n", *rows]).encode())
    pixvec.run_recipe(EMBED, tmp_path / "in.csv", **options, output=tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_bytes().decode()
    assert text.startswith("id,image_url,note,v,v_error,v_detail,v_image\r\n")
    assert [row.removesuffix("\r\n") in text for row in rows] == [True] * 6


def test_a_model_is_loaded_once(checkpoint: str) -> None:
    context = StepContext(RecipeOptions(model=checkpoint))
    models = [context.model(RecipeOptions(model=checkpoint, decode=decode)) for decode in ("auto", "full")]
    assert models[0] is models[1]


def test_steps_tell_when_they_begin_and_end(photos: pa.Table, options: dict[str, Any]) -> None:
    told: list[str] = []
    pixvec.run_recipe(f"{EMBED}\ncreate_project(ds)", photos, **options, tell=told.append)
    first, summary, second = told
    assert (first, second) == (f"step 1 of 2: {EMBED}", "step 2 of 2: create_project(ds)")
    assert summary.startswith("6 rows: 4 vectors, 2 without\nfailures: http_404 1, null_input 1\n")


def test_each_step_shows_its_progress(photos: pa.Table, options: dict[str, Any]) -> None:
    counts: dict[str, list[int]] = {}
    step = ""

    def tell(line: str) -> None:
        nonlocal step
        step = line if line.startswith("step") else step

    def count(report: pixvec.Report) -> None:
        counts.setdefault(step[:6], []).append(report.n_rows)

    recipe = f"{EMBED}\nembed_text_with_model(ds.caption) -> (ds.t)\nlink_embeddings(ds.t) -> (ds.n, ds.w)"
    pixvec.run_recipe(recipe, photos, **options | {"progress": count, "tell": tell})
    assert {step: told[-1] for step, told in counts.items()} == {"step 1": 6, "step 2": 6, "step 3": 6}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ("embed_images(ds.image_url) -> (ds.id)", "ds already has 'id': expected a new column"),
        ("embed_images(ds.caption) -> (ds.v)", "expected a column of url such as ds.image_url"),
        ("embed_images(ds.image_url, {model: './clip'}) -> (ds.v)", "a recipe may name only when the command does too"),
        ("embed_images(ds.image_url, {model: '~/clip'}) -> (ds.v)", "a recipe may name only when the command does too"),
        ("embed_images(ds.image_url, {allow_private: true}) -> (ds.v)", "not for a recipe to set"),
        ("embed_images(ds.image_url, {restart: true}) -> (ds.v)", "not for a recipe to set"),
    ],
)
def test_what_is_wrong_is_found_before_any_work(
    recipe: str, message: str, photos: pa.Table, options: dict[str, Any], server: ImageServer
) -> None:
    table = photos.set_column(1, "image_url", pa.array([server.url("/a.jpg")] * 6))
    with pytest.raises(RecipeError, match=message):
        pixvec.run_recipe(f"{EMBED.replace('ds.v', 'ds.first')}\n{recipe}", table, **options)
    assert server.requests == []


def test_every_step_is_prepared_before_any_works(photos: pa.Table, options: dict[str, Any], tmp_path: Path) -> None:
    told: list[str] = []
    blind = str(make_checkpoint(tmp_path / "model", vision_only=True))
    recipe = f"{EMBED}\nembed_text_with_model(ds.caption) -> (ds.t)"
    with pytest.raises(ModelError, match=r"embed_text_with_model: .* has no text tower"):
        pixvec.run_recipe(recipe, photos, **options | {"model": blind}, tell=told.append)
    assert told == []


def test_a_recipe_may_name_the_folder_that_the_command_names(photos: pa.Table, options: dict[str, Any]) -> None:
    recipe = f"embed_images(ds.image_url, {{model: '{options['model']}'}}) -> (ds.v)"
    assert pixvec.run_recipe(recipe, photos, **options).column_names[3:] == RESULTS


def test_a_folder_without_a_telling_name_is_a_folder_too(
    photos: pa.Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "openai" / "clip").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError, match="'openai/clip' is a folder"):
        pixvec.run_recipe("embed_images(ds.image_url, {model: 'openai/clip'}) -> (ds.v)", photos)


def test_a_column_of_which_there_are_two_is_named(options: dict[str, Any]) -> None:
    table = pa.Table.from_arrays([pa.array(["http://a.example/"])] * 2, names=["image_url", "image_url"])
    with pytest.raises(UsageError, match="2 columns are called 'image_url'"):
        pixvec.run_recipe(EMBED, table, **options)


@pytest.mark.parametrize(
    ("recipe", "ds", "more", "message"),
    [
        (Path("nowhere.txt"), pa.table({}), {}, "nowhere.txt cannot be read: No such file"),
        (b"embed_images()", pa.table({}), {}, "a recipe is its text, or its file as a pathlib.Path, not bytes"),
        (EMBED, [1, 2], {}, "a table must be"),
        (EMBED, pa.table({}), {"output": "out.csv"}, "`output` is for a ds that is a file"),
        (EMBED, "nowhere.csv", {}, "there is no file nowhere.csv"),
        (EMBED, pa.table({}), {"batch_size": 0}, "`batch_size=0`: expected at least 1"),
    ],
    ids=["path", "recipe", "table", "output", "file", "option"],
)
def test_wrong_use_is_named(recipe: Any, ds: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pixvec.run_recipe(recipe, ds, **more)


def test_a_recipe_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "recipe.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match=r"recipe\.txt is no text in UTF-8"):
        pixvec.run_recipe(tmp_path / "recipe.txt", pa.table({}))


def test_a_table_that_changes_meanwhile_ends_the_run_and_leaves_nothing(
    photos: pa.Table, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"image_url,caption\n{photos['image_url'][0]},a\n")

    def grow(line: str) -> None:
        if line.startswith("step 2"):
            with (tmp_path / "in.csv").open("a") as file:
                file.write(",b\n")

    recipe = f"{EMBED}\nembed_text_with_model(ds.caption) -> (ds.t)"
    with pytest.raises(RunError, match="step 2 of 2, embed_text_with_model: the table had 1 rows, and now has 2"):
        pixvec.run_recipe(recipe, tmp_path / "in.csv", **options, output=tmp_path / "out.csv", tell=grow)
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_a_table_that_is_rewritten_meanwhile_ends_the_run_and_leaves_nothing(
    photos: pa.Table, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"image_url,caption\n{photos['image_url'][0]},a\n")

    def rewrite(line: str) -> None:
        if line.startswith("step 2"):
            (tmp_path / "in.csv").write_text(f"image_url,caption\n{photos['image_url'][1]},a\n")

    with pytest.raises(RunError, match=r"in\.csv changed after the steps had read it"):
        pixvec.run_recipe(
            f"{EMBED}\ncreate_project(ds)", tmp_path / "in.csv", **options, output=tmp_path / "out.csv", tell=rewrite
        )
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_an_output_is_replaced_only_when_asked(photos: pa.Table, options: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(photos, tmp_path / "in.parquet")
    output = tmp_path / "out.parquet"
    output.write_text("precious")
    with pytest.raises(UsageError, match=r"out\.parquet exists: replace it with `restart=True`"):
        pixvec.run_recipe(EMBED, tmp_path / "in.parquet", **options, output=output)
    assert output.read_text() == "precious"
    pixvec.run_recipe(EMBED, tmp_path / "in.parquet", **options, output=output, restart=True)
    assert pq.read_metadata(output).num_rows == 6


def test_what_vectors_were_made_with_stands_beside_a_csv(
    photos: pa.Table, options: dict[str, Any], tmp_path: Path
) -> None:
    pq.write_table(photos, tmp_path / "in.parquet")
    recipe = f"{EMBED}\nembed_text_with_model(ds.caption, {{normalize: false}}) -> (ds.t)"
    pixvec.run_recipe(recipe, tmp_path / "in.parquet", **options, output=tmp_path / "out.csv")
    facts = json.loads((tmp_path / "out.csv.provenance.json").read_text())
    assert {name: column["normalize"] for name, column in facts["columns"].items()} == {"v": True, "t": False}
    assert facts["dim"] == 32
    assert "normalize" not in facts


def test_what_vectors_that_came_along_were_made_with_stays_beside_a_csv(
    photos: pa.Table, options: dict[str, Any], tmp_path: Path
) -> None:
    pq.write_table(photos, tmp_path / "in.parquet")
    pixvec.run_recipe(EMBED, tmp_path / "in.parquet", **options, output=tmp_path / "v.csv")
    pixvec.run_recipe("link_embeddings(ds.v) -> (ds.t, ds.w)", tmp_path / "v.csv", output=tmp_path / "out.csv")
    first, second = (json.loads((tmp_path / f"{name}.csv.provenance.json").read_text()) for name in ("v", "out"))
    assert first["columns"] == second["columns"]
