"""Files of every kind through a whole run: embedded, finished, retried."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli import execute
from pixvec.tables import open_table
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

RESULTS = ["embedding", "embedding_error", "embedding_detail", "embedding_image"]
ENDINGS = [".csv", ".tsv.gz", ".jsonl", ".ndjson.zst", ".parquet", ".arrow"]


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for seed in range(3):
            server.add(f"/{seed}.png", body=image_bytes("PNG", size=(40, 40), seed=seed))
        yield server


@pytest.fixture
def options(checkpoint: str, site: ImageServer) -> dict[str, Any]:
    return {"model": checkpoint, "allow_address": (site.address,), "batch_size": 1, "isolate": "never", "tries": 1}


@pytest.fixture
def lines(site: ImageServer) -> list[str]:
    """Three rows as JSON: an image, a server's bad day, an image."""
    paths = ["/0.png", "/busy.png", "/1.png"]
    return [json.dumps({"id": f"0{row}", "url": site.url(path)}) for row, path in enumerate(paths)]


def read(path: Path) -> list[dict[str, Any]]:
    return [row for chunk in open_table(path).chunks(512) for row in chunk.table.to_pylist()]


def vector_of(cell: Any) -> list[float] | None:
    vector = json.loads(cell or "null") if isinstance(cell, str) else cell
    return None if vector is None else np.array(vector, np.float32).tolist()


@pytest.mark.parametrize("ending", [".csv.gz", ".parquet", ".npy", "/"])
def test_an_output_whose_name_looks_like_a_pattern_is_one_file(
    ending: str, lines: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "d[2]"
    folder.mkdir()
    (folder / "in[1].jsonl").write_text("\n".join(lines) + "\n")
    table, output = folder / "in[1].jsonl", f"{folder}/o[1]{ending}"
    assert pixvec.embed_file(table, output, **options).n_new == 3
    assert pixvec.embed_file(table, output, **options).was_finished
    if ending != ".npy":
        assert pixvec.embed_file(table, output, **options, retry_codes="http_404").n_new == 1
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_each_command_takes_names_that_look_like_patterns(
    lines: list[str], site: ImageServer, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n")
    table = str(tmp_path / "o[1].csv")
    assert pixvec.embed_file(tmp_path / "in.jsonl", table, **options).n_rows == 3
    image = ("--image", site.url("/0.png"), "--allow-address", site.address, "--model", options["model"])
    commands = [
        ["link", table, "-o", f"{tmp_path}/l[1].csv"],
        ["link", table, "-o", f"{tmp_path}/l[1].graphml"],
        ["dedupe", table, "-o", f"{tmp_path}/d[1].parquet", "--html", f"{tmp_path}/d[1].html"],
        ["search", table, *image, "-o", f"{tmp_path}/s[1].csv"],
        ["report", table, "--html", f"{tmp_path}/r[1].html"],
    ]
    for words in commands:
        assert (execute(words), Path(words[words.index("-o") + 1] if "-o" in words else words[-1]).is_file()) == (
            0,
            True,
        )


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_format_goes_in_and_out_and_is_finished_and_retried(
    ending: str, lines: list[str], site: ImageServer, options: dict[str, Any], tmp_path: Path
) -> None:
    site.add("/busy.png", status=503)
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    output = tmp_path / f"out{ending}"
    assert pixvec.embed_file(tmp_path / "in.jsonl", output, **options).n_vectors == 2
    before = output.read_bytes()
    assert pixvec.embed_file(tmp_path / "in.jsonl", output, **options).was_finished
    assert output.read_bytes() == before
    rows = read(output)
    assert [row["id"] for row in rows] == ["00", "01", "02"]
    assert [row["embedding_error"] or None for row in rows] == [None, "http_503", None]
    assert [vector_of(row["embedding"]) is None for row in rows] == [False, True, False]

    site.add("/busy.png", body=image_bytes("PNG", size=(40, 40), seed=2))
    pixvec.embed_file(tmp_path / "in.jsonl", output, retry_failed=True, **options)
    pixvec.embed_file(tmp_path / "in.jsonl", tmp_path / f"anew{ending}", **options)
    assert read(output) == read(tmp_path / f"anew{ending}")


@pytest.mark.parametrize("ending", [*ENDINGS, ".npy"])
def test_every_format_can_be_the_input_of_the_next(
    ending: str, lines: list[str], site: ImageServer, options: dict[str, Any], tmp_path: Path
) -> None:
    site.add("/busy.png", status=404)
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    pixvec.embed_file(tmp_path / "in.jsonl", tmp_path / f"1{ending}", **options)
    if ending == ".npy":
        vectors = np.load(tmp_path / "1.npy")
        assert np.isnan(vectors).all(axis=1).tolist() == [False, True, False]
        assert pixvec.embed_file(tmp_path / "in.jsonl", tmp_path / "1.npy", **options).n_vectors == 2
        with pytest.raises(pixvec.UsageError, match="which of its rows failed"):
            pixvec.embed_file(tmp_path / "in.jsonl", tmp_path / "1.npy", retry_failed=True, **options)
        facts = json.loads((tmp_path / "1.npy.provenance.json").read_text())
        assert facts["dim"] == vectors.shape[1]
    else:
        pixvec.embed_file(tmp_path / f"1{ending}", tmp_path / "2.parquet", output_column="v", **options)
        rows = read(tmp_path / "2.parquet")
        assert list(rows[0]) == ["id", "url", *RESULTS, *(name.replace("embedding", "v") for name in RESULTS)]
        assert [vector_of(row["embedding"]) for row in rows] == [row["v"] for row in rows]


def test_a_file_read_with_options_is_finished_and_retried_with_them(
    site: ImageServer, options: dict[str, Any], tmp_path: Path
) -> None:
    site.add("/busy.png", status=503)
    options = {**options, "delimiter": "§", "encoding": "latin-1", "max_failed": "100%"}
    (tmp_path / "in.csv").write_text(f"né§url\n1§{site.url('/busy.png')}\n", encoding="latin-1")
    pixvec.embed_file(tmp_path / "in.csv", tmp_path / "out.csv", **options)
    assert pixvec.embed_file(tmp_path / "in.csv", tmp_path / "out.csv", **options).was_finished
    site.add("/busy.png", body=image_bytes("PNG", size=(40, 40)))
    assert pixvec.embed_file(tmp_path / "in.csv", tmp_path / "out.csv", retry_failed=True, **options).n_vectors == 1
    assert (tmp_path / "out.csv").read_text(encoding="latin-1").startswith("né§url§embedding§")


def test_a_folder_of_images_is_embedded_and_only_it_is_let_in(options: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "label=cat").mkdir(parents=True)
    (folder / "label=cat" / "a.png").write_bytes(image_bytes("PNG", size=(40, 40)))
    (folder / "b c.jpg").write_bytes(b"no image")
    (tmp_path / "secret.png").write_bytes(image_bytes("PNG", size=(40, 40)))
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    pixvec.embed_file(folder, tmp_path / "out.parquet", **options)
    assert [(row["path"], row["label"], row["embedding_error"]) for row in read(tmp_path / "out.parquet")] == [
        ("b c.jpg", None, "not_an_image"),
        ("label=cat/a.png", "cat", None),
        ("link.png", None, "path_blocked"),
    ]
    assert pixvec.embed_file(folder, tmp_path / "out.parquet", **options).was_finished
    with pytest.raises(pixvec.UsageError, match="leave `files_under` out"):
        pixvec.embed_file(folder, tmp_path / "other.parquet", files_under=tmp_path, **options)


def test_a_folder_of_tables_is_embedded_in_parts_and_as_a_file(
    lines: list[str], options: dict[str, Any], tmp_path: Path
) -> None:
    for number, line in enumerate(lines):
        (tmp_path / "in" / f"day={number}").mkdir(parents=True)
        (tmp_path / "in" / f"day={number}" / "x.jsonl.gz").write_bytes(gzip.compress(line.encode()))
    for output in ("out.jsonl", "out/"):
        pixvec.embed_file(tmp_path / "in", f"{tmp_path}/{output}", part_rows=2, **options)
    in_file, in_folder = read(tmp_path / "out.jsonl"), read(tmp_path / "out")
    assert [row["day"] for row in in_file] == [row["day"] for row in in_folder] == ["0", "1", "2"]
    assert [row["embedding"] for row in in_folder] == [vector_of(row["embedding"]) for row in in_file]
    assert pixvec.embed_file(tmp_path / "in", tmp_path / "out.jsonl", **options).was_finished


def test_the_images_in_a_table_are_embedded(options: dict[str, Any], tmp_path: Path) -> None:
    cells = [{"bytes": image_bytes("PNG", size=(40, 40)), "path": "x.png"}, None, {"bytes": None, "path": "/etc/hosts"}]
    pyarrow.feather.write_feather(pa.table({"image": cells}), tmp_path / "in.feather")
    pixvec.embed_file(tmp_path / "in.feather", tmp_path / "out.parquet", **options)
    table = pq.read_table(tmp_path / "out.parquet")
    assert table["image"].to_pylist() == cells
    assert table["embedding_error"].to_pylist() == [None, "null_input", "invalid_url"]


def test_cells_keep_their_text_in_a_typed_file(site: ImageServer, options: dict[str, Any], tmp_path: Path) -> None:
    cells = {"zip": "00123", "long": "12345678901234567890", "day": "2024-02-30", "price": "1.10", "no": "NULL"}
    text = ",".join(cells) + f',url,note\n{",".join(cells.values())},{site.url("/0.png")},"a\nb ""c"""\n'
    (tmp_path / "in.csv").write_text(text)
    pixvec.embed_file(tmp_path / "in.csv", tmp_path / "out.parquet", column="url", **options)
    table = pq.read_table(tmp_path / "out.parquet").select([*cells, "note"])
    assert set(table.schema.types) == {pa.string()}
    assert table.to_pylist() == [{**cells, "note": 'a\nb "c"'}]


@pytest.mark.parametrize("output", ["out.parquet", "out.jsonl", "out/"])
def test_columns_of_one_name_are_an_error_before_work_where_the_output_goes_by_name(
    output: str, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("url,a,a\nhttps://a.example/1.png,1,2\n")
    with pytest.raises(pixvec.UsageError, match="several columns are called 'a'"):
        pixvec.embed_file(tmp_path / "in.csv", f"{tmp_path}/{output}", **options)


@pytest.mark.parametrize("ending", [".csv", ".arrow"])
def test_columns_of_one_name_are_kept_where_the_output_has_room_for_them(
    ending: str, site: ImageServer, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(f"url,a,a\n{site.url('/0.png')},1,2\n")
    pixvec.embed_file(tmp_path / "in.csv", tmp_path / f"out{ending}", **options)
    table = next(open_table(tmp_path / f"out{ending}").chunks(9)).table
    assert [table.column(place).to_pylist() for place in (1, 2)] == [["1"], ["2"]]


@pytest.mark.parametrize("output", ["out.parquet", "out/"])
def test_a_type_that_parquet_lacks_is_an_error_before_work(
    output: str, options: dict[str, Any], tmp_path: Path
) -> None:
    spans = pa.array([(1, 2, 3)], pa.month_day_nano_interval())
    pyarrow.feather.write_feather(pa.table({"url": ["https://a.example/1.png"], "span": spans}), tmp_path / "in.arrow")
    with pytest.raises(pixvec.UsageError, match="column 'span' is month_day_nano_interval, which Parquet cannot hold"):
        pixvec.embed_file(tmp_path / "in.arrow", f"{tmp_path}/{output}", **options)


@pytest.mark.parametrize("name", [b"\xe9.parquet", b"\xe9.csv", b"\xe9/"], ids=["parquet", "csv", "folder"])
def test_an_output_whose_path_is_no_text_is_an_error_before_work(
    name: bytes, options: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text("url\nhttps://a.example/1.png\n")
    with pytest.raises(pixvec.UsageError, match="cannot be written: its path is not UTF-8"):
        pixvec.embed_file(tmp_path / "in.csv", f"{tmp_path}/{os.fsdecode(name)}", **options)
