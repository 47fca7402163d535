"""What Python and notebooks show: short, escaped, and never what makes a browser fetch or run a stranger's thing."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

import pixvec
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer


def test_embeddings_say_how_many_and_why_not(checkpoint: str) -> None:
    with pixvec.Embedder(model=checkpoint, isolate="never") as embedder:
        column = embedder.embed([image_bytes(), None, b"no image", None] * 100)
    assert repr(column) == (
        "<pixvec.Embeddings of 400 rows, dim 32, 300 without a vector (null_input 200, not_an_image 100)>"
    )
    shown = column._repr_html_()
    assert "<th>null_input</th><td>200</td>" in shown
    assert len(shown) < 500


def test_a_report_is_short(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('image_url\nhttp://127.0.0.1:8080/a.jpg\n""\n')
    report = pixvec.embed_file(tmp_path / "in.csv", tmp_path / "o.csv", model="demo", max_failed="100%", quiet=True)
    assert repr(report) == "<pixvec.Report of 2 rows, 2 without a vector (address_blocked 1, null_input 1)>"
    assert "failures: address_blocked 1, null_input 1" in report._repr_html_()


def test_an_embedder_says_its_model_and_what_differs_from_the_defaults(checkpoint: str) -> None:
    with pixvec.Embedder(model=checkpoint, precision="fp32", header=("a.example: X-Key: secret",)) as embedder:
        assert repr(embedder) == f"Embedder(model={checkpoint!r}, precision='fp32')"
    with pixvec.Embedder(model=checkpoint, precision="fp32", batch_size=5, allow_private=True) as embedder:
        assert repr(embedder) == f"Embedder(model={checkpoint!r}, precision='fp32', batch_size=5, allow_private=True)"


def test_rows_are_shown_as_thumbnails_in_a_frame_that_loads_and_runs_nothing(server: ImageServer) -> None:
    urls = [server.add("/a.jpg", body=image_bytes()), server.url("/<script>alert(1)</script>.jpg"), None]
    table = pd.DataFrame({"image_url": urls, "similarity": [0.5, 0.25, 0.0]})
    shown = pixvec.show(table, allow_address=(server.address,))
    assert repr(shown) == "<pixvec.Gallery of 3 rows>"
    framed = shown._repr_html_()
    assert framed.startswith('<iframe sandbox="" ')
    assert framed.count("<") == 2
    page = html.unescape(framed)
    assert page.count('src="data:image/webp;base64,') == 1
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert 'src="http' not in page
    assert "similarity 0.5000" in page


def test_what_was_found_can_be_shown() -> None:
    frame = pixvec.embed_table(
        pd.DataFrame({"image": [image_bytes(), image_bytes(seed=1)]}), column="image", model="demo"
    )
    found = pixvec.search(frame, "a house", k=1)
    assert pixvec.show(found, column="image").html.count("data:image/webp") == 1


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table with thumbnails, whose images are on no server any more."""
    folder = tmp_path_factory.mktemp("kept")
    with ImageServer() as server:
        urls = [server.add(f"/{seed}.jpg", body=image_bytes(seed=seed)) for seed in range(3)]
        (folder / "in.csv").write_text("\n".join(["image_url", *urls]) + "\n")
        options: dict[str, Any] = {"model": "demo", "allow_address": server.address, "isolate": "never", "quiet": True}
        pixvec.embed_file(folder / "in.csv", folder / "t.parquet", thumbnails=96, **options)
    return folder / "t.parquet"


@pytest.mark.parametrize(
    "take",
    [
        lambda path: pixvec.search(path, "a house", k=2),
        lambda path: pixvec.search(pq.read_table(path).to_pandas(), "a house", k=2, model="demo"),
        lambda path: pl.from_arrow(pq.read_table(path)).head(2),
        lambda path: pq.read_table(path).slice(1).drop_columns(["embedding"]),
    ],
    ids=["found in the file", "pandas", "polars", "without vectors"],
)
@pytest.mark.filterwarnings("ignore:nothing says:pixvec.PixvecWarning")
def test_thumbnails_that_were_kept_are_shown_without_a_server(take: Callable[[Path], object], kept: Path) -> None:
    shown = pixvec.show(take(kept), source=kept, isolate="never")
    assert shown.html.count("data:image/webp") == 2


def test_the_first_rows_of_a_file_are_shown(kept: Path) -> None:
    shown = pixvec.show(kept, n_rows=2, isolate="never")
    assert (shown.n_rows, shown.html.count("data:image/webp")) == (2, 2)


def test_files_beside_the_table_are_shown_as_on_pages(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(image_bytes())
    table = tmp_path / "photos.parquet"
    pixvec.embed_file(tmp_path / "photos", table, model="demo", isolate="never", quiet=True)
    found = pixvec.search(table, "a house", isolate="never")
    assert pixvec.show(found, source=table, isolate="never").html.count("data:image/webp") == 1
    assert pixvec.show(found, isolate="never").html.count("data:image/webp") == 0
    assert "'path' are paths: show these files with `files_under=FOLDER`" in caplog.text


def test_a_table_without_images_is_refused() -> None:
    with pytest.raises(pixvec.UsageError, match="no column of images was found: name it with `column`"):
        pixvec.show(pd.DataFrame({"a": ["x"]}))


def test_images_of_arrays_are_shown_and_failures_say_why() -> None:
    images = pd.DataFrame({"image": [np.zeros((9, 9, 3), np.uint8), np.zeros(3)]})
    page = pixvec.show(images, column="image").html
    assert page.count("data:image/webp") == 1
    assert "unsupported_format" in page


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_bar_in_a_notebook_neither_warns_nor_breaks(checkpoint: str, tmp_path: Path) -> None:
    cell = f"""
import warnings
warnings.simplefilter("error")
import pixvec
len(pixvec.embed_images([{image_bytes()!r}], model={checkpoint!r}, isolate="never", progress=True)[0])"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=100, kernel_name="python3", resources=where).execute()
    assert [output.get("data", {}).get("text/plain") for output in notebook.cells[0].outputs] == ["32"]
