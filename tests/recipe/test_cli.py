"""`pixvec run` and `pixvec steps`, as a user runs them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
import pytest

from pixvec.cli import execute
from pixvec.options import options_of
from pixvec.recipe import STEPS, RecipeOptions, describe
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

Finished = subprocess.CompletedProcess[str]
RECIPE = "embed_images(ds.image_url) -> (ds.v)\nlink_embeddings(ds.v) -> (ds.targets, ds.weights)\n"


class Pixvec(Protocol):
    """Runs `pixvec` in this process, as starting one for each test takes long."""

    def __call__(self, *arguments: str | Path) -> Finished: ...


class Run(Protocol):
    """Runs the recipe on the table."""

    def __call__(self, *flags: str) -> Finished: ...


@pytest.fixture
def pixvec(capsys: pytest.CaptureFixture[str]) -> Pixvec:
    def run(*arguments: str | Path) -> Finished:
        return Finished(arguments, execute(list(map(str, arguments))), *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        server.add("/a.jpg", body=image_bytes())
        yield server


@pytest.fixture
def folder(tmp_path: Path, site: ImageServer) -> Path:
    """A recipe, and a table with an image and a dead link."""
    (tmp_path / "recipe.txt").write_text(RECIPE)
    (tmp_path / "photos.csv").write_text(f"id,image_url\n1,{site.url('/a.jpg')}\n2,{site.url('/gone.jpg')}\n")
    return tmp_path


@pytest.fixture
def run(pixvec: Pixvec, folder: Path, site: ImageServer) -> Run:
    def run(*flags: str) -> Finished:
        files = (folder / "recipe.txt", folder / "photos.csv", "-o", folder / "out.parquet")
        return pixvec("run", *files, "--model", "demo", "--allow-address", site.address, *flags)

    return run


def test_a_recipe_is_run_step_by_step(run: Run, folder: Path) -> None:
    finished = run()
    told = finished.stderr.splitlines()
    assert (finished.returncode, finished.stdout) == (0, "")
    assert told[0] == "step 1 of 2: embed_images(ds.image_url) -> (ds.v)"
    assert told[-3:] == [
        "step 2 of 2: link_embeddings(ds.v) -> (ds.targets, ds.weights)",
        "2 rows: 1 vectors, 0 links between them",
        f"wrote {folder / 'out.parquet'}",
    ]
    names = ["id", "image_url", "v", "v_error", "v_detail", "v_image", "targets", "weights"]
    assert pq.read_schema(folder / "out.parquet").names == names


def test_quiet_says_nothing(run: Run) -> None:
    finished = run("--quiet")
    assert (finished.returncode, finished.stdout, finished.stderr) == (0, "", "")


def test_a_wrong_recipe_is_shown_with_carets(run: Run, folder: Path) -> None:
    (folder / "recipe.txt").write_text("embed_images(ds.image_ulr, {modle: 1}) -> (ds.v)")
    finished = run()
    assert finished.returncode == 2
    assert finished.stderr.splitlines() == [
        f"pixvec: {folder / 'recipe.txt'} cannot be run",
        "line 1, column 14: ds has no column 'image_ulr'; did you mean 'image_url'?",
        "    embed_images(ds.image_ulr, {modle: 1}) -> (ds.v)",
        "                 ^^^^^^^^^^^^",
        "line 1, column 29: embed_images has no parameter 'modle'; did you mean 'model'?",
        "    embed_images(ds.image_ulr, {modle: 1}) -> (ds.v)",
        "                                ^^^^^",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["photos.csv", "recipe.txt"]


def test_a_step_that_fails_is_named(run: Run, folder: Path) -> None:
    (folder / "recipe.txt").write_text("link_embeddings(ds.v) -> (ds.targets, ds.weights)")
    (folder / "photos.csv").write_text('v\n"[1, 2]"\n"[1]"\n')
    finished = run()
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1].startswith("pixvec: step 1 of 1, link_embeddings: column 'v': row 1")
    assert sorted(path.name for path in folder.iterdir()) == ["photos.csv", "recipe.txt"]


@pytest.mark.parametrize(
    ("name", "message"),
    [("recipe.txt", "recipe.txt cannot be read: No such file"), ("photos.csv", "there is no file")],
)
def test_a_missing_file_is_named(name: str, message: str, run: Run, folder: Path) -> None:
    (folder / name).unlink()
    finished = run()
    assert (finished.returncode, len(finished.stderr.splitlines())) == (2, 1)
    assert message in finished.stderr


def test_every_option_is_a_flag_with_its_help(pixvec: Pixvec) -> None:
    text = " ".join(pixvec("run", "--help").stdout.split())
    for known in options_of(RecipeOptions):
        assert "--" + known.name.replace("_", "-") in text
        assert str(known.help) in text


def test_steps_are_listed(pixvec: Pixvec) -> None:
    listed = pixvec("steps").stdout.splitlines()
    assert [line.split()[0] for line in listed] == list(STEPS)
    assert [line.split(maxsplit=1)[1] for line in listed] == [step.help for step in STEPS.values()]


def test_a_step_is_explained(pixvec: Pixvec) -> None:
    assert pixvec("steps", "embed_images").stdout == describe(STEPS["embed_images"]) + "\n"


def test_the_nearest_step_is_named(pixvec: Pixvec) -> None:
    finished = pixvec("steps", "embed_image")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert finished.stderr == "pixvec: there is no step 'embed_image'; did you mean 'embed_images'?\n"


@pytest.mark.parametrize(("flags", "status"), [((), 3), (("--max-failed", "1"), 3), (("--max-failed", "100%"), 0)])
def test_a_recipe_whose_rows_all_failed_is_no_success(
    flags: tuple[str, ...], status: int, pixvec: Pixvec, folder: Path
) -> None:
    files = (folder / "recipe.txt", folder / "photos.csv", "-o", folder / "out.parquet")
    finished = pixvec("run", *files, "--model", "demo", *flags)
    assert finished.returncode == status
    assert pq.read_table(folder / "out.parquet")["v_error"].to_pylist() == ["address_blocked"] * 2
    said = (
        f"{folder / 'out.parquet'} is written, but none of its 2 rows has a vector, which only --max-failed 100% allows"
    )
    assert (said in finished.stderr) == (status == 3)


def test_more_rows_of_a_recipe_failed_than_may(run: Run, folder: Path) -> None:
    finished = run("--max-failed", "0")
    assert finished.returncode == 3
    assert "1 of 2 rows have no vector, more than --max-failed 0 allows" in finished.stderr
    assert run("--max-failed", "50%", "--restart").returncode == 0


def test_a_recipe_on_a_column_without_cells_is_no_failure(pixvec: Pixvec, folder: Path) -> None:
    (folder / "photos.csv").write_text("id,image_url\n1,\n2,\n")
    assert (
        pixvec(
            "run", folder / "recipe.txt", folder / "photos.csv", "-o", folder / "out.csv", "--model", "demo"
        ).returncode
        == 0
    )


def test_a_csv_without_a_header_is_told_from_a_wrong_name(run: Run, folder: Path) -> None:
    (folder / "photos.csv").write_text("1,https://a.example/1.jpg\n2,https://a.example/2.jpg\n")
    finished = run()
    assert finished.returncode == 2
    assert (
        "ds has no column 'image_url'; a column is called 'https://a.example/1.jpg': the first line" in finished.stderr
    )
    assert "read it with --no-header\n" in finished.stderr
