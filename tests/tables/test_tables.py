from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.errors import UsageError
from pixvec.tables import check_output, create_table, find_url_column, open_frame, open_table
from pixvec.tables.result_columns import ResultOptions, result_schema, result_table
from pixvec.values import Row

RESULTS = result_schema(2, ResultOptions(), provenance={})
URL = "https://a.example/1.jpg"


def looks_like_url(cell: str) -> bool:
    return cell.startswith("https://")


def find(columns: dict[str, object], name: str | None = None) -> str:
    return find_url_column(open_frame(pa.table(columns)), name, looks_like_url=looks_like_url)


@pytest.mark.parametrize("out", [".csv", ".parquet"])
@pytest.mark.parametrize("in_", [".csv", ".parquet"])
def test_an_empty_table_gives_an_empty_table_with_the_new_columns(tmp_path: Path, in_: str, out: str) -> None:
    path = tmp_path / f"in{in_}"
    if in_ == ".csv":
        path.write_text("id,url\n")
    else:
        pq.write_table(pa.table({"id": ["1"], "url": [URL]}).slice(0, 0), path)
    create_table(tmp_path / f"out{out}", open_table(path), RESULTS, ending=out).close()
    read = open_table(tmp_path / f"out{out}")
    assert read.schema.names == ["id", "url", *RESULTS.names]
    assert list(read.chunks(5)) == []


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_chunks_have_the_size_asked_for_and_only_the_columns_asked_for(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"in{ending}"
    if ending == ".csv":
        path.write_text("id,url\n" + "".join(f"{i},u{i}\n" for i in range(25)))
    else:
        ids = [str(i) for i in range(25)]
        pq.write_table(pa.table({"id": ids, "url": [f"u{i}" for i in ids]}), path, row_group_size=7)
    chunks = [chunk.table for chunk in open_table(path).chunks(10, columns=["url"])]
    assert [chunk.num_rows for chunk in chunks] == [10, 10, 5]
    assert pa.concat_tables(chunks).to_pydict() == {"url": [f"u{i}" for i in range(25)]}


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"id": ["1"], "where": [URL]}, "where"),
        ({"page": [URL], "Image_URL": [URL]}, "Image_URL"),
        ({"n": [1], "where": [None]} | {"there": pa.array([URL]).dictionary_encode()}, "there"),
        ({"where": pa.array([URL] * 4 + ["no"] + [None, ""] * 9, pa.large_string())}, "where"),
        ({"where": [URL] * 1_000 + ["no"] * 9_000}, "where"),
        ({"where": [None] * 5_000 + [URL]}, "where"),
        ({"where": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([URL]))}, "where"),
        ({"id": ["x"], "image": [{"bytes": b"", "path": "a.png"}]}, "image"),
    ],
    ids=["the only one", "the usual name", "dictionary", "80 %", "first 1,000 cells", "late cells", "runs", "images"],
)
def test_the_column_of_urls_is_found(columns: dict[str, object], expected: str) -> None:
    assert find(columns) == expected


def test_a_given_name_needs_no_urls_in_it() -> None:
    assert find({"id": ["1"], "url": [URL]}, "id") == "id"


@pytest.mark.parametrize(
    ("columns", "name", "message"),
    [
        ({"page": [URL], "site": [URL]}, None, "several columns hold URLs: 'page', 'site'; choose one with `column`"),
        ({"img": [URL], "src": [URL]}, None, "several columns hold URLs: 'img', 'src'"),
        ({"id": [1], "name": ["x"]}, None, "none of the columns 'id', 'name' holds URLs; name one with `column`"),
        ({"url": [URL] * 3 + ["no"]}, None, "none of the columns"),
        ({}, None, "the table has no columns"),
        ({}, "url", "there is no column 'url'; there are none"),
        ({"id": [1], "url": [URL]}, "Url", "there is no column 'Url'; did you mean 'url'?"),
    ],
    ids=["several", "several usual names", "none", "under 80 %", "no columns", "no such column of none", "given name"],
)
def test_a_column_that_cannot_be_told_is_an_error_that_names_columns(
    columns: dict[str, object], name: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        find(columns, name)


def test_repeated_names_are_an_error_only_where_they_matter() -> None:
    table = pa.Table.from_arrays([pa.array([URL]), pa.array(["x"]), pa.array(["y"])], names=["url", "a", "a"])
    assert find_url_column(open_frame(table), looks_like_url=looks_like_url) == "url"
    with pytest.raises(UsageError, match="2 columns are called 'a'"):
        find_url_column(open_frame(table), "a", looks_like_url=looks_like_url)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.csv", "there is no file"),
        ("", "files of several kinds, a.csv and a.parquet"),
        ("no*.csv", r"no file matches .*no\*\.csv"),
        ("a.txt", r"\.txt is not read here .*; possible are \.parquet"),
        ("a.parquet", r"begins like text, not like \.parquet"),
    ],
    ids=["missing", "folder", "pattern", "ending", "not Parquet"],
)
def test_an_input_that_cannot_be_read_is_a_usage_error(tmp_path: Path, name: str, message: str) -> None:
    for ending in ("txt", "csv", "parquet"):
        (tmp_path / f"a.{ending}").write_text("url\n")
    with pytest.raises(UsageError, match=message):
        open_table(tmp_path / name)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("in.csv", "is the input"),
        ("link.csv", "is the input"),
        ("out.xlsx", r"\.xlsx is not written here .*; possible are \.parquet"),
        ("missing/out.csv", "there is no folder"),
        ("folder.csv", "is a folder"),
    ],
    ids=["same", "same through a link", "ending", "no folder", "a folder"],
)
def test_an_output_that_cannot_be_written_is_a_usage_error(tmp_path: Path, output: str, message: str) -> None:
    (tmp_path / "in.csv").write_text("url\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "in.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(UsageError, match=message):
        check_output(tmp_path / "in.csv", tmp_path / output)


def test_a_good_output_passes(tmp_path: Path) -> None:
    check_output(tmp_path / "in.csv", tmp_path / "out.PARQUET")


def test_dropped_columns_make_room_for_new_ones(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b'"embedding";url;"embedding_error"\r\n[1];"a";\r\n')
    source = open_table(tmp_path / "in.csv")
    dropped = ["embedding", "embedding_error"]
    with create_table(tmp_path / "out.csv", source, RESULTS, ending=".csv", dropped=dropped) as writer:
        for chunk in source.chunks(10):
            writer.write(chunk, result_table([Row(error="timeout", detail="too slow")], RESULTS))
    header = b"url;embedding;embedding_error;embedding_detail;embedding_image\r\n"
    assert (tmp_path / "out.csv").read_bytes() == header + b'"a";;timeout;too slow;\r\n'
