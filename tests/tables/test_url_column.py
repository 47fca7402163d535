"""Which column is taken for the images, in Python, on the command line and in recipes, and that it is said."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pixvec
from pixvec.errors import UsageError
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

QUICK: dict[str, Any] = {"isolate": "never", "batch_size": 1}


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for seed in range(4):
            server.add(f"/{seed}.jpg", body=image_bytes(seed=seed))
        server.add("/logo.jpg", body=image_bytes(seed=9))
        yield server


@pytest.fixture
def embed_table(checkpoint: str, site: ImageServer) -> Any:
    return lambda table, **options: pixvec.embed_table(
        table, model=checkpoint, allow_address=(site.address,), **QUICK, **options
    )


def shops(site: ImageServer, *others: object) -> dict[str, list[object]]:
    """Give a column of one logo, and one of an image and other cells."""
    return {"brand_logo": [site.url("/logo.jpg")] * (1 + len(others)), "image_url": [site.url("/1.jpg"), *others]}


NO_URLS = {
    "n/a": "n/a",
    "nan": "nan",
    "backslash N": r"\N",
    "empty": "",
    "blank": "  ",
    "null": None,
    "relative path": "img/a.jpg",
    "JSON list": '["https://a.example/1.jpg", "https://a.example/2.jpg"]',
    "data": "data:image/gif;base64,R0lGODlhAQABAAAAACw=",
}


@pytest.mark.parametrize(
    ("frame", "cell"),
    [*((pd.DataFrame, cell) for cell in NO_URLS.values()), (pl.DataFrame, "n/a"), (pa.table, "n/a")],
    ids=[*NO_URLS, "polars", "pyarrow"],
)
def test_a_usual_name_with_one_url_wins_over_a_column_full_of_urls(
    embed_table: Any, site: ImageServer, frame: Any, cell: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pixvec")
    out = embed_table(frame(shops(site, cell, cell, cell)), data_urls=False)
    assert pa.table(out)["embedding"].is_valid().to_pylist() == [True, False, False, False]
    assert caplog.messages[0] == "reading images from column 'image_url'"


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("name", ["image_url", "urls"])
def test_several_urls_in_a_cell_are_named_with_the_way_out(
    embed_table: Any, site: ImageServer, frame: Any, name: str
) -> None:
    table = frame({"id": ["1"], name: [[site.url("/1.jpg"), site.url("/2.jpg")]]})
    with pytest.raises(
        UsageError, match=rf"'{name}' has several texts in a cell: .*table\.explode\('{name}'\).*DuckDB"
    ):
        embed_table(table)


def test_several_urls_in_cells_of_a_usual_name_are_not_passed_over(embed_table: Any, site: ImageServer) -> None:
    table = {"brand_logo": [site.url("/logo.jpg")], "image_url": [[site.url("/1.jpg"), site.url("/2.jpg")]]}
    for frame in (pd.DataFrame(table), pl.DataFrame(table), pa.table(table)):
        with pytest.raises(UsageError, match="'image_url' has several texts in a cell"):
            embed_table(frame)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
@pytest.mark.parametrize("kind", ["bytes", "struct"])
def test_images_under_a_usual_name_win_over_urls_under_another(
    embed_table: Any, site: ImageServer, frame: Any, kind: str
) -> None:
    body = image_bytes(seed=1)
    cell = body if kind == "bytes" else {"bytes": body, "path": None}
    out = pa.table(embed_table(frame({"license_url": [site.url("/nothing")], "image": [cell]})))
    assert out["embedding"].null_count == 0


def test_a_usual_name_without_a_url_is_told_when_another_is_taken(
    embed_table: Any, site: ImageServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="pixvec")
    embed_table(pd.DataFrame({"photo": ["a", "b"], "where": [site.url("/1.jpg"), site.url("/2.jpg")]}))
    assert caplog.messages[0] == ("reading images from column 'where'; no URL is among the first cells of 'photo'")


def test_two_usual_names_are_an_error_that_names_both(embed_table: Any, site: ImageServer) -> None:
    url = [site.url("/1.jpg")]
    with pytest.raises(UsageError, match="several columns hold URLs: 'image_url', 'thumbnail'"):
        embed_table(pd.DataFrame({"image_url": url, "page": url, "thumbnail": url}))


def test_a_name_that_is_a_url_was_a_row(embed_table: Any, site: ImageServer) -> None:
    frame = pd.DataFrame({site.url("/0.jpg"): [site.url("/1.jpg")]})
    with pytest.raises(UsageError, match="without a header was probably read as its header"):
        embed_table(frame)
    assert embed_table(frame, column=site.url("/0.jpg"))["embedding_error"].tolist() == [None]


def test_the_command_line_says_which_column_it_takes(checkpoint: str, site: ImageServer, tmp_path: Path) -> None:
    table = pa.table(shops(site, "n/a")).to_pandas()
    table.to_csv(tmp_path / "shops.csv", index=False)
    command = ["embed", tmp_path / "shops.csv", "-o", tmp_path / "out.csv", "--model", checkpoint]
    flags = ["--allow-address", site.address, "--isolate", "never"]
    line = [sys.executable, "-m", "pixvec", *map(str, command), *flags]
    ended = subprocess.run(line, capture_output=True, text=True, check=True, timeout=60)
    first, second, *_ = ended.stderr.splitlines()
    assert first == "pixvec: reading images from column 'image_url'"
    assert second == "column: image_url"


def test_a_recipe_takes_a_column_of_a_usual_name_with_few_urls(
    checkpoint: str, site: ImageServer, tmp_path: Path
) -> None:
    table = pa.table(shops(site, "n/a", "n/a"))
    made = pixvec.run_recipe(
        "embed_images(ds.image_url) -> (ds.v)", table, model=checkpoint, allow_address=(site.address,), **QUICK
    )
    assert made["v"].is_valid().to_pylist() == [True, False, False]
