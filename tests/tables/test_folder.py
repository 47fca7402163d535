"""Several files as one table: folders, patterns, folders of images."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from pixvec.errors import UsageError
from pixvec.tables import (
    ReadOptions,
    check_output,
    content_sha256,
    create_table,
    find_url_column,
    images_folder,
    open_table,
)
from pixvec.tables.result_columns import PROVENANCE_KEY, ResultOptions, read_provenance, result_schema, result_table
from pixvec.values import Row

RESULTS = result_schema(2, ResultOptions(image_info=False), provenance={})
FAILED = Row(error="timeout", detail="too slow")
NEW_CSV = (",embedding,embedding_error,embedding_detail", ",,timeout,too slow")
NEW_JSON = '"embedding": null, "embedding_error": "timeout", "embedding_detail": "too slow"'


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files of text into a folder of their own."""
    for name, text in files.items():
        path = folder / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
    return folder / "in"


def read(place: Path, options: ReadOptions | None = None) -> pa.Table:
    source = open_table(place, options)
    return pa.concat_tables([source.schema.empty_table(), *(chunk.table for chunk in source.chunks(2))])


def embed(place: Path, out: Path) -> str:
    """Pass a table through, each of its rows failing."""
    source = open_table(place)
    with create_table(out, source, RESULTS, ending=out.name) as writer:
        for chunk in source.chunks(2):
            writer.write(chunk, result_table([FAILED] * chunk.table.num_rows, RESULTS))
    return out.read_bytes().decode()


def test_files_are_read_by_path_in_byte_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    names = [
        "a.csv",
        "B.csv",
        "c/1.csv",
        "c.csv",
        "é.csv",
        ".h.csv",
        "_s.csv",
        ".d/x.csv",
        "_t/x.csv",
        "READ.ME",
        "a.csv.log.jsonl",
    ]
    folder = write(tmp_path, {name: f"url\n{name}\n" for name in names})
    assert read(folder)["url"].to_pylist() == ["B.csv", "a.csv", "c.csv", "c/1.csv", "é.csv"]
    assert read(tmp_path / "i*" / "*.csv")["url"].to_pylist() == ["B.csv", "a.csv", "c.csv", "é.csv"]
    assert read(tmp_path / "in" / "**" / "[1a].csv")["url"].to_pylist() == ["a.csv", "c/1.csv"]


def test_a_file_whose_name_looks_like_a_pattern_is_a_file(tmp_path: Path) -> None:
    folder = write(tmp_path, {"a[1].csv": "url\n1\n", "a1.csv": "url\n2\n"})
    assert read(folder / "a[1].csv")["url"].to_pylist() == ["1"]


def test_a_folder_whose_name_looks_like_a_pattern_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, cell in (("in[1]", "mine"), ("in1", "another's")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").write_text(f"url\n{cell}\n")
    assert read(tmp_path / "in[1]" / "*.csv")["url"].to_pylist() == ["mine"]
    with pytest.raises(UsageError, match="would be one of the files"):
        check_output(tmp_path / "in[1]" / "*.csv", tmp_path / "in[1]" / "out.csv")
    check_output(tmp_path / "in[1]" / "*.csv", tmp_path / "in1" / "out.csv")
    monkeypatch.chdir(tmp_path / "in[1]")
    with pytest.raises(UsageError, match="would be one of the files"):
        check_output("*.csv", "out.csv")


def test_a_link_that_leads_nowhere_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].csv").symlink_to("nowhere.csv")
    (tmp_path / "a1.csv").write_text("url\n1\n")
    with pytest.raises(UsageError, match="there is no file"):
        open_table(tmp_path / "a[1].csv")


def test_columns_go_by_name_and_are_null_where_a_file_lacks_them(tmp_path: Path) -> None:
    folder = write(tmp_path, {"1.csv": "id,url\n1,a\n", "2.csv": "url;more;id\nb;x;2\n", "3.csv": "more\ny\nz\n"})
    assert read(folder).to_pylist() == [
        {"id": "1", "url": "a", "more": None},
        {"id": "2", "url": "b", "more": "x"},
        {"id": None, "url": None, "more": "y"},
        {"id": None, "url": None, "more": "z"},
    ]
    assert [chunk.table.to_pydict() for chunk in open_table(folder).chunks(9, columns=["url"])] == [
        {"url": ["a"]},
        {"url": ["b"]},
        {"url": [None, None]},
    ]


def test_parts_of_a_table_have_its_types_and_provenance(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    metadata = {PROVENANCE_KEY: json.dumps({"model": "demo"})}
    schema = pa.schema([pa.field("n", pa.int16(), metadata=metadata), ("k", pa.list_(pa.string()))])
    tables = [pa.table({"n": [1, 2, 3], "k": [["a"], None, []]}, schema), pa.table({"n": [4], "k": [["b"]]}, schema)]
    for number, table in enumerate(tables):
        pq.write_table(table, tmp_path / "in" / f"{number}.parquet")
    source = open_table(tmp_path / "in")
    assert (source.schema, source.n_rows) == (schema, 4)
    assert read_provenance(source.schema, "n") == {"model": "demo"}
    assert read(tmp_path / "in").equals(pa.concat_tables(tables))
    assert embed(tmp_path / "in", tmp_path / "out.tsv").splitlines()[1] == '1\t"[""a""]"\t\ttimeout\ttoo slow'


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"weights_sha256": "a", "precision": "bf16"}, {"weights_sha256": "a"}),
        ({"weights_sha256": "b", "precision": "fp32"}, None),
    ],
    ids=["one model", "two models"],
)
def test_a_merged_column_says_what_its_files_agree_in(
    other: dict[str, str], expected: dict[str, str] | None, tmp_path: Path
) -> None:
    for number, facts in enumerate([{"weights_sha256": "a", "precision": "fp32"}, other]):
        field = pa.field("v", pa.list_(pa.float32(), 1), metadata={PROVENANCE_KEY: json.dumps(facts)})
        pq.write_table(pa.table({"v": [[1.0]]}, pa.schema([field])), tmp_path / f"{number}.parquet")
    assert read_provenance(open_table(tmp_path).schema, "v") == expected


def test_a_clash_of_types_names_file_and_column(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, cells in {"a": [None], "b": [1], "c": ["x"]}.items():
        pyarrow.feather.write_feather(pa.table({"n": cells}), tmp_path / "in" / f"{name}.arrow")
    with pytest.raises(UsageError, match=r"c\.arrow: column 'n' is string, and int64 in .*b\.arrow"):
        open_table(tmp_path / "in")
    (tmp_path / "in" / "c.arrow").unlink()
    assert read(tmp_path / "in").to_pydict() == {"n": [None, 1]}


def test_types_of_json_lines_are_settled_over_all_files(tmp_path: Path) -> None:
    folder = write(tmp_path, {"1.jsonl": '{"n": 1}\n', "2.jsonl": '{"n": 2.5, "m": [true]}\n'})
    assert open_table(folder).schema == pa.schema([("n", pa.float64()), ("m", pa.list_(pa.bool_()))])
    assert read(folder).to_pylist() == [{"n": 1.0, "m": None}, {"n": 2.5, "m": [True]}]


def test_inferred_types_must_hold_in_all_files(tmp_path: Path) -> None:
    folder = write(tmp_path, {"1.csv": "n,m\n1,1\n", "2.csv": "n,m\n007,2\n"})
    assert open_table(folder, ReadOptions(infer_types=True)).schema == pa.schema(
        [("n", pa.string()), ("m", pa.int64())]
    )


def test_what_folders_say_becomes_columns_of_text(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        {
            "year=2024/kind=a%20b/1.csv": "url\na\n",
            "year=2025/kind=__HIVE_DEFAULT_PARTITION__/more/2.csv": "url\nb\n",
        },
    )
    assert read(folder).to_pylist() == [
        {"url": "a", "year": "2024", "kind": "a b"},
        {"url": "b", "year": "2025", "kind": None},
    ]
    assert read(tmp_path / "in" / "year=*" / "**" / "*.csv").column_names == ["url", "year", "kind"]


@pytest.mark.parametrize("raw", [b"caf\xe9", b"caf%E9"], ids=["bytes", "escaped"])
def test_what_a_folder_says_that_is_no_text_stays_escaped(tmp_path: Path, raw: bytes) -> None:
    try:
        folder = write(tmp_path, {f"{os.fsdecode(raw)}=1/k={os.fsdecode(raw)}/1.csv": "url\na\n"})
    except OSError:
        pytest.skip("this file system takes no names that are not text")
    assert read(folder).to_pylist() == [{"url": "a", "caf%E9": "1", "k": "caf%E9"}]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"a.csv": "u\n", "b.tsv": "u\n", "c.jpg": ""},
            "several kinds, a.csv and c.jpg|several kinds, a.csv and b.tsv",
        ),
        ({"a.txt": "u\n"}, "holds no files that are read"),
        ({".a.csv": "u\n"}, "there are no files"),
        (
            {"x=1/a.csv": "u\n", "b.csv": "u\n"},
            r"b\.csv is in folders that say nothing, and .*a\.csv in some that say x",
        ),
        ({"x=1/a.csv": "x\n2\n"}, r"a\.csv has several columns 'x'"),
        ({"a.csv": "x,x\n2,3\n"}, r"a\.csv has several columns 'x'"),
        ({"a.csv": "x\n2\n", "b.csv": ""}, r"b\.csv is empty"),
    ],
    ids=["kinds", "no tables", "hidden", "keys", "key and column", "repeated", "empty"],
)
def test_files_that_do_not_go_together_are_a_usage_error(tmp_path: Path, files: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_table(write(tmp_path, files))


def test_csv_files_of_one_dialect_keep_every_byte_of_other_cells(tmp_path: Path) -> None:
    folder = write(tmp_path, {"k=a;b/1.csv": '\ufeff"id";url\r\n"1";', "k=c/2.csv": "id;url\r\n\"2\";b\n3;'c'\n"})
    header, cells = (text.replace(",", ";") for text in NEW_CSV)
    assert embed(folder, tmp_path / "out.csv") == (
        f'\ufeff"id";url;k{header}\n"1";;"a;b"{cells}\n"2";b;c{cells}\n3;\'c\';c{cells}\n'
    )


def test_csv_files_of_several_dialects_are_written_in_the_usual_one(tmp_path: Path) -> None:
    folder = write(tmp_path, {"1.csv": 'id;url\n"1";a,b', "2.csv": 'url,id\n"b",2\n'})
    header, cells = NEW_CSV
    assert embed(folder, tmp_path / "out.csv") == f'id,url{header}\n1,"a,b"{cells}\n2,b{cells}\n'


def test_lines_of_json_files_keep_their_very_text(tmp_path: Path) -> None:
    folder = write(tmp_path, {"k=1/1.jsonl": '{"a":1.0}', "k=é/2.jsonl": '{ "b": 2 }\r\n'})
    assert (
        embed(folder, tmp_path / "out.jsonl")
        == f'{{"a":1.0, "k": "1", {NEW_JSON}}}\n{{ "b": 2, "k": "é", {NEW_JSON} }}\r\n'
    )


def test_a_folder_of_images_is_a_table_of_their_paths(tmp_path: Path) -> None:
    names = ["b.JPG", "a b.png", "label=cat/1.webp", "notes.txt", ".x.png", "c: 5%.gif", " d.gif", "%41.gif"]
    folder = write(tmp_path, dict.fromkeys(names, ""))
    source = open_table(folder)
    assert read(folder).to_pylist() == [
        {"path": "file:%20d.gif", "label": None},
        {"path": "%41.gif", "label": None},
        {"path": "a b.png", "label": None},
        {"path": "b.JPG", "label": None},
        {"path": "file:c%3A%205%25.gif", "label": None},
        {"path": "label=cat/1.webp", "label": "cat"},
    ]
    assert find_url_column(source, looks_like_url=lambda _: False) == "path"
    assert images_folder(folder) == folder
    assert images_folder(folder / "*.JPG") == folder
    assert read(folder / "*.JPG").to_pylist() == [{"path": "b.JPG"}]
    assert images_folder(tmp_path / "no.csv") is None


@pytest.mark.parametrize("output", ["in/out.csv", "in/sub/out.csv"])
def test_an_output_must_not_join_the_files_that_are_read(tmp_path: Path, output: str) -> None:
    folder = write(tmp_path, {"1.csv": "url\n", "sub/2.csv": "url\n"})
    for place in (folder, folder / "**" / "*.csv"):
        with pytest.raises(UsageError, match="would be one of the files"):
            check_output(place, tmp_path / output)
    check_output(folder / "1*.csv", folder / "out.csv")


def test_the_hash_of_a_folder_is_of_names_and_bytes(tmp_path: Path) -> None:
    folder = write(tmp_path, {"1.csv": "url\n", "2.csv": "url\na\n"})
    hashes = [content_sha256(folder), content_sha256(folder)]
    (folder / "2.csv").write_text("url\nb\n")
    hashes.append(content_sha256(folder))
    (folder / "2.csv").rename(folder / "3.csv")
    hashes.append(content_sha256(folder))
    assert [hashes.index(value) for value in hashes] == [0, 0, 2, 3]
