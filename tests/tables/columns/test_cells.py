"""What a cell may be: each way to hold an image gives the vector of its file, and each other thing its reason."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

import pixvec
from pixvec.testing.images import draw, encode, image_bytes
from pixvec.testing.server import ImageServer


@pytest.fixture(scope="module")
def embedder(checkpoint: str) -> Iterator[pixvec.Embedder]:
    with pixvec.Embedder(model=checkpoint, isolate="never") as embedder:
        yield embedder


def vectors(embedder: pixvec.Embedder, cells: Any) -> list[bytes | None]:
    """Give the bits of each vector, None where there is none."""
    column = embedder.embed(cells)
    return [None if error else vector.tobytes() for vector, error in zip(column.vectors, column.errors, strict=True)]


def reason(embedder: pixvec.Embedder, cell: object) -> tuple[str | None, str]:
    column = embedder.embed([cell])
    return column.errors[0], column.details[0] or ""


@pytest.mark.parametrize(
    "hold",
    [bytearray, memoryview, io.BytesIO, lambda body: {"bytes": bytearray(body), "path": None}],
    ids=["bytearray", "memoryview", "BytesIO", "struct"],
)
def test_bytes_may_be_held_in_any_way(hold: Any, embedder: pixvec.Embedder) -> None:
    body = image_bytes()
    assert vectors(embedder, [hold(body)]) == vectors(embedder, [body])


def test_an_open_file_is_read_from_its_start(embedder: pixvec.Embedder, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(image_bytes())
    written = io.BytesIO()
    draw().save(written, "PNG")
    with (tmp_path / "a.jpg").open("rb") as file:
        file.read(100)
        expected = vectors(embedder, [image_bytes(), written.getvalue()])
        assert vectors(embedder, [file, written]) == expected


def test_a_file_that_cannot_be_read_is_its_rows_reason(embedder: pixvec.Embedder, tmp_path: Path) -> None:
    closed = io.BytesIO(image_bytes())
    closed.close()
    assert reason(embedder, closed) == ("file_error", "the open file cannot be read (ValueError)")
    assert reason(embedder, io.StringIO("text")) == ("file_error", "the open file gives text: open it with mode 'rb'")


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_an_array_is_the_image_of_its_pixels(mode: str, embedder: pixvec.Embedder) -> None:
    image = draw(mode=mode)
    array = np.asarray(image)
    stacked = [array[..., np.newaxis]] if mode == "L" else [array[:, ::-1][:, ::-1]]
    assert vectors(embedder, [array, *stacked]) == vectors(embedder, [encode(image, "PNG")] * 2)


def test_a_stack_of_images_is_a_column(checkpoint: str) -> None:
    stack = np.stack([np.asarray(draw(seed=seed)) for seed in range(3)])
    embedded = pixvec.embed_images(stack, model=checkpoint, isolate="never")
    listed = pixvec.embed_images(list(stack), model=checkpoint, isolate="never")
    assert isinstance(embedded, np.ndarray)
    assert np.array_equal(embedded, np.stack(listed))


@pytest.mark.parametrize(
    ("array", "shown"),
    [
        (np.zeros((4, 5, 3), np.float32), r"an array of float32 in the shape (4, 5, 3)"),
        (np.zeros((4, 5), np.uint16), r"an array of uint16 in the shape (4, 5)"),
        (np.zeros((3, 40, 50), np.uint8), r"an array of uint8 in the shape (3, 40, 50)"),
        (np.zeros((4, 5, 2), np.uint8), r"an array of uint8 in the shape (4, 5, 2)"),
        (np.zeros((0, 5, 3), np.uint8), r"an array of uint8 in the shape (0, 5, 3)"),
        (np.zeros(5, np.uint8), r"an array of uint8 in the shape (5,)"),
        (np.zeros((4, 5), bool), r"an array of bool in the shape (4, 5)"),
    ],
    ids=["float", "16 bits", "channels first", "two channels", "empty", "1-D", "mask"],
)
def test_an_array_of_another_kind_is_unsupported(array: Any, shown: str, embedder: pixvec.Embedder) -> None:
    code, detail = reason(embedder, array)
    assert (code, detail.split(";")[0]) == ("unsupported_format", shown)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3)])
def test_one_bare_array_is_no_column(shape: tuple[int, ...], checkpoint: str) -> None:
    with pytest.raises(pixvec.UsageError, match="put it in a list"):
        pixvec.embed_images(np.zeros(shape, np.uint8), model=checkpoint)


@pytest.mark.parametrize("hold", [io.BytesIO, bytearray, memoryview], ids=["BytesIO", "bytearray", "memoryview"])
def test_one_bare_image_is_no_column(hold: Any, embedder: pixvec.Embedder, checkpoint: str) -> None:
    with pytest.raises(pixvec.UsageError, match="put it in a list"):
        pixvec.embed_images(hold(image_bytes()), model=checkpoint)
    with pytest.raises(pixvec.UsageError, match="put it in a list"):
        embedder.embed(hold(image_bytes()))


def test_a_bare_file_is_an_image_and_not_its_lines(embedder: pixvec.Embedder, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(image_bytes())
    with (tmp_path / "a.jpg").open("rb") as file, pytest.raises(pixvec.UsageError, match="put it in a list"):
        embedder.embed(file)


URLS = ["http://a.example/1.jpg", "http://a.example/2.jpg"]


@pytest.mark.parametrize(
    "cell",
    [
        *("|".join(URLS), " | ".join(URLS), ",".join(URLS), ", ".join(URLS), "; ".join(URLS), " ".join(URLS)),
        json.dumps(URLS),
    ],
)
def test_the_line_that_is_shown_makes_a_row_of_each_url(cell: str, embedder: pixvec.Embedder) -> None:
    code, detail = reason(embedder, cell)
    assert code == "invalid_url"
    series = pd.Series([cell])
    assert eval(detail.split("`")[1], {"json": json, "series": series}).tolist() == URLS


@pytest.mark.parametrize(
    ("column", "hint"),
    [
        ([URLS], "[url for urls in column for url in urls]"),
        (pd.Series([URLS], name="image_url"), "df.explode('image_url')"),
        (pd.Series([np.array(URLS, object)], name="image_url"), "df.explode('image_url')"),
        (pl.Series("image_url", [URLS]), "df.explode('image_url')"),
        (pa.array([URLS]), "unnest(NAME)"),
        (datasets.Dataset.from_dict({"u": [URLS]})["u"], "[url for urls in column for url in urls]"),
    ],
    ids=["list", "pandas", "pandas, from Parquet", "polars", "pyarrow", "datasets"],
)
def test_several_urls_in_a_cell_are_told_from_a_bad_one(column: Any, hint: str, embedder: pixvec.Embedder) -> None:
    embedded = embedder.embed(column)
    assert embedded.errors == ["invalid_url"]
    assert embedded.details[0] is not None
    assert embedded.details[0].startswith("a list of 2, not one URL")
    assert hint in embedded.details[0]


def test_a_column_of_lists_is_refused_before_any_work_where_its_type_says_so(checkpoint: str, tmp_path: Path) -> None:
    table = pa.table({"image_url": [URLS]})
    pq.write_table(table, tmp_path / "in.parquet")
    with pytest.raises(pixvec.UsageError, match=r"'image_url' .*unnest\(image_url\)"):
        pixvec.embed_file(tmp_path / "in.parquet", tmp_path / "out.parquet", column="image_url", model=checkpoint)
    with pytest.raises(pixvec.UsageError, match=r"'image_url' .*unnest"):
        pixvec.embed_table(table, column="image_url", model=checkpoint)


def test_a_binary_column_may_hold_the_text_of_urls(checkpoint: str, server: ImageServer, tmp_path: Path) -> None:
    url = server.add("/a.jpg", body=image_bytes())
    options: dict[str, Any] = {"model": checkpoint, "isolate": "never", "allow_address": server.address}
    expected = pixvec.embed_images([image_bytes()], **options)[0].tobytes()
    for cell in (url.encode(), bytearray(url.encode())):
        assert pixvec.embed_images([cell], **options)[0].tobytes() == expected
    pq.write_table(pa.table({"u": [url.encode()]}), tmp_path / "in.parquet")
    pixvec.embed_file(tmp_path / "in.parquet", tmp_path / "out.parquet", column="u", **options)
    assert pq.read_table(tmp_path / "out.parquet")["embedding_error"].to_pylist() == [None]


# Pillow images --------------------------------------------------------------------------------------------------------


def test_every_order_of_16_bits_is_the_same_image(embedder: pixvec.Embedder) -> None:
    grey = np.asarray(draw(mode="L")).astype(np.uint16) * 257
    images = [Image.fromarray(grey.astype("<u2"))]
    for mode, order in (("I;16B", ">u2"), ("I;16L", "<u2"), ("I;16N", "=u2")):
        images.append(Image.frombytes(mode, images[0].size, grey.astype(order).tobytes(), "raw", mode))
    assert vectors(embedder, images) == vectors(embedder, [encode(images[0], "PNG")] * 4)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_an_image_of_numbers_without_black_and_white_is_unsupported_as_its_file_is(
    mode: str, embedder: pixvec.Embedder, checkpoint: str
) -> None:
    image = Image.new(mode, (9, 9), 1)
    file = io.BytesIO()
    image.save(file, "TIFF")
    with pixvec.Embedder(model=checkpoint, isolate="never", formats="+tiff") as reads_tiff:
        assert reason(embedder, image)[0] == reason(reads_tiff, file)[0] == "unsupported_format"
    assert "convert it to L or I;16" in reason(embedder, image)[1]


@pytest.mark.parametrize("tag", [(0x011A, float("nan")), (0x9204, -5)], ids=["NaN", "negative"])
def test_exif_that_cannot_be_written_again_costs_nothing(tag: tuple[int, Any], embedder: pixvec.Embedder) -> None:
    image, file = draw(), io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(file, "JPEG", quality=100, exif=exif)
    opened = Image.open(io.BytesIO(file.getvalue()))
    opened.load()
    opened.getexif()[tag[0]] = tag[1]
    turned = ImageOps.exif_transpose(Image.open(file))
    assert vectors(embedder, [opened]) == vectors(embedder, [turned])


def test_exif_is_believed_and_who_turns_an_image_by_hand_takes_its_orientation_off(embedder: pixvec.Embedder) -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6
    draw().save(file, "PNG", exif=exif)
    opened = Image.open(file)
    converted, turned_by_pillow, by_hand = (
        opened.convert("RGB"),
        ImageOps.exif_transpose(opened),
        opened.rotate(-90, expand=True),
    )
    mended = by_hand.copy()
    del mended.getexif()[0x0112]
    seen = vectors(embedder, [file.getvalue(), converted, turned_by_pillow, mended, by_hand])
    assert len(set(seen[:4])) == 1
    assert seen[4] != seen[0]


def test_alpha_comes_along_however_it_is_held(embedder: pixvec.Embedder) -> None:
    image = draw(mode="RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    clear = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    white = Image.new("RGB", (9, 9), "white")
    held = [
        clear,
        clear.convert("RGBa"),
        clear.convert("LA"),
        clear.convert("LA").convert("La"),
        clear.convert("PA"),
        white,
    ]
    assert len(set(vectors(embedder, held))) == 1
    image.info["transparency"] = (0, 0, 0)  # means nothing beside an alpha channel
    assert reason(embedder, image)[0] is None
