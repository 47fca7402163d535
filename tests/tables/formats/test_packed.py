"""Kinds of files beside CSV, JSON Lines and Parquet: TSV, Arrow, packed text, other encodings, arrays."""

from __future__ import annotations

import datetime as dt
import decimal
import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from pixvec.errors import UsageError
from pixvec.tables import ReadOptions, create_table, keeps_metadata, open_table
from pixvec.tables.result_columns import ResultOptions, read_provenance, result_schema, result_table
from pixvec.values import Row

RESULTS = result_schema(2, ResultOptions(image_info=False), provenance={"model": "demo"})
ROWS = (Row(vector=np.array([1, 0], np.float32)), Row(error="timeout", detail="too slow"))
TABLE = pa.table({"id": [1, 2, 3], "url": ["a", None, "c"], "kind": pa.array(["x", "y", "x"]).dictionary_encode()})
TEXT = "id,url\n1,a\n2,b\n"


def embed(path: Path, name: str, options: ReadOptions | None = None, n_rows: int = 2) -> Path:
    """Pass a file through; its rows have a vector and a reason in turns."""
    source = open_table(path, options)
    out = path.with_name(name)
    with create_table(out, source, RESULTS, ending=name) as writer:
        for chunk in source.chunks(n_rows):
            writer.write(chunk, result_table((ROWS * n_rows)[: chunk.table.num_rows], RESULTS))
    return out


def read(path: Path, options: ReadOptions | None = None) -> pa.Table:
    source = open_table(path, options)
    return pa.concat_tables([source.schema.empty_table(), *(chunk.table for chunk in source.chunks(9_999))])


@pytest.mark.parametrize("name", ["t.csv.gz", "t.csv.zst", "t.TSV.GZ", "t.jsonl.gz", "t.ndjson.zst"])
def test_packed_text_is_unpacked_and_packed(tmp_path: Path, name: str) -> None:
    (tmp_path / "in.csv").write_text(TEXT)
    once = embed(tmp_path / "in.csv", name)
    assert once.read_bytes()[:2] in {b"\x1f\x8b", b"\x28\xb5"}
    assert read(once).select(["id", "url", "embedding_error"]).to_pylist() == [
        {"id": "1", "url": "a", "embedding_error": read(once)["embedding_error"][0].as_py()},
        {"id": "2", "url": "b", "embedding_error": "timeout"},
    ]
    assert not keeps_metadata(once)


def test_what_is_packed_says_the_same_as_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(TEXT)
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(TEXT[:9].encode()) + gzip.compress(TEXT[9:].encode()))
    plain, packed = embed(tmp_path / "in.csv", "out.csv"), embed(tmp_path / "in.csv.gz", "out.csv.gz")
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert embed(tmp_path / "in.csv.gz", "again.csv.gz").read_bytes() == packed.read_bytes()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv.gz", TEXT.encode(), "is not compressed: name it a.csv"),
        ("a.csv.zst", TEXT.encode(), "is not compressed: name it a.csv"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n', mtime=0)[:-6], "cannot be unpacked"),
        ("a.parquet.gz", b"", "only text is packed once more"),
        ("a.arrow", b"\x00\x01", "cannot be read as Arrow"),
        ("a.feather", b"FEA1....", "first version of Feather"),
        ("a.npy", b"\x00\x01", "cannot be read as an array"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_a_usage_error(
    tmp_path: Path, name: str, data: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        open_table(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "target", "text", "expected"),
    [
        ("in.tsv", "out.tsv", 'id\turl\r\n"1"\ta,b\r\n', '"1"\ta,b\t"[1,0]"\t\t\r\n'.replace('"[1,0]"', "[1,0]")),
        ("in.tsv", "out.csv", 'id\turl\n"1"\ta,b\n', '1,"a,b","[1,0]",,\n'),
        ("in.csv", "out.tsv", 'id;url\n"1;2"\ta\tb\n'.replace("\ta\tb", ";a\tb"), '1;2\t"a\tb"\t[1,0]\t\t\n'),
        ("in.csv", "out.csv", 'id;url\n"1";a\n', '"1";a;[1,0];;\n'),
    ],
    ids=["TSV to TSV", "TSV to CSV", "CSV to TSV", "CSV to CSV"],
)
def test_a_dialect_is_kept_where_the_kind_is(tmp_path: Path, name: str, target: str, text: str, expected: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    assert embed(tmp_path / name, target).read_bytes().decode().partition("\n")[2] == expected


def test_the_delimiter_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("a,b:url\n1,2:x\n")
    assert read(tmp_path / "in.csv", ReadOptions(delimiter=":")).to_pylist() == [{"a,b": "1,2", "url": "x"}]
    (tmp_path / "in.csv").write_text("a,b,c\td,e,f\n1\t2\n")
    assert read(tmp_path / "in.csv", ReadOptions(delimiter="tab")).to_pylist() == [{"a,b,c": "1", "d,e,f": "2"}]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16-le", "shift_jis", "UTF8"])
def test_the_encoding_can_be_said_and_is_kept(tmp_path: Path, encoding: str) -> None:
    text = "id,url\n1,\uff8a\n" if encoding == "shift_jis" else "id,url\n1,café\n"
    (tmp_path / "in.csv").write_bytes(text.encode(encoding))
    options = ReadOptions(encoding=encoding)
    assert read(tmp_path / "in.csv", options)["url"].to_pylist() == [text[9:-1]]
    assert (
        embed(tmp_path / "in.csv", "out.csv", options)
        .read_bytes()
        .startswith(text[:-1].partition("\n")[0].encode(encoding))
    )


@pytest.mark.parametrize(
    ("data", "encoding", "line"),
    [
        (b"id,url\r\n1,a\r\n2,\x81\r\n", "cp1252", 3),
        ("id,url\n1,a\n".encode("utf-16-le") + b"\x00\xd8\x00\x00", "utf-16-le", 3),
        (b"id,url\n" + b"1,a\n" * 600_000 + b"\xff\n", None, 600_002),
        (b"id,url\n1,\xe4\xb8", None, 2),
        (b"id,url\n1,a\n", "utf-16", 1),
    ],
    ids=["a byte without meaning", "half a pair", "late", "cut off", "no mark"],
)
def test_bytes_that_are_no_text_are_an_error_with_the_line(
    tmp_path: Path, data: bytes, encoding: str | None, line: int
) -> None:
    (tmp_path / "in.csv").write_bytes(data)
    with pytest.raises(UsageError, match=rf"in\.csv, line {line}: not .*`encoding`"):
        read(tmp_path / "in.csv", ReadOptions(encoding=encoding))


@pytest.mark.parametrize(
    "options",
    [{"delimiter": "::"}, {"delimiter": '"'}, {"delimiter": "\n"}, {"encoding": "utf-99"}, {"encoding": "base64"}],
    ids=str,
)
def test_an_option_that_cannot_be_is_a_usage_error(tmp_path: Path, options: dict[str, str]) -> None:
    (tmp_path / "in.csv").write_text(TEXT)
    with pytest.raises(UsageError, match=next(iter(options))):
        open_table(tmp_path / "in.csv", ReadOptions(**options))  # type: ignore[arg-type]


def test_types_are_inferred_only_where_every_cell_turns_back_into_the_same_text(tmp_path: Path) -> None:
    columns: dict[str, tuple[list[str], pa.DataType]] = {
        "id": (["1", "", "-20"], pa.int64()),
        "zip": (["00123", "1", "2"], pa.string()),
        "long": (["1", "2", "12345678901234567890"], pa.string()),
        "price": (["0.5", "1e-07", "3"], pa.string()),
        "size": (["0.5", "2.25", ""], pa.float64()),
        "late": (["1", "2", "x"], pa.string()),
        "day": (["2024-02-29", "", "1999-12-31"], pa.date32()),
        "time": (["2024-02-29 10:00:00", "", "1999-12-31 23:59:59"], pa.timestamp("s")),
        "yes": (["true", "false", ""], pa.bool_()),
        "odd": (["True", "False", ""], pa.string()),
        "none": (["", "", ""], pa.string()),
    }
    frame = pd.DataFrame({name: cells for name, (cells, _) in columns.items()})
    frame.to_csv(tmp_path / "in.csv", index=False)
    options = ReadOptions(infer_types=True)
    table = read(tmp_path / "in.csv", options)
    assert {field.name: field.type for field in table.schema} == {name: type_ for name, (_, type_) in columns.items()}
    assert table["id"].to_pylist() == [1, None, -20]
    assert embed(tmp_path / "in.csv", "out.tsv", options).read_text() == embed(tmp_path / "in.csv", "o.tsv").read_text()


@pytest.mark.parametrize("name", ["t.arrow", "t.feather", "t.ipc"])
def test_arrow_keeps_types_and_metadata(tmp_path: Path, name: str) -> None:
    table = TABLE.replace_schema_metadata({"made by": "someone"})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=1)
    out = embed(embed(tmp_path / "in.parquet", name).rename(tmp_path / f"in{name[1:]}"), "out.parquet")
    assert pq.ParquetFile(out).read().select([0, 1, 2]).equals(table, check_metadata=True)
    arrow = pyarrow.feather.read_table(tmp_path / f"in{name[1:]}", memory_map=False)
    assert read_provenance(arrow.schema, "embedding") == {"model": "demo"}
    assert arrow["embedding"].to_pylist() == [[1.0, 0.0], None, [1.0, 0.0]]


@pytest.mark.parametrize("packing", ["lz4", "zstd", "uncompressed"])
def test_what_feather_writes_is_read_in_chunks(tmp_path: Path, packing: str) -> None:
    pyarrow.feather.write_feather(TABLE, tmp_path / "in.feather", compression=packing, chunksize=2)
    chunks = [chunk.table for chunk in open_table(tmp_path / "in.feather").chunks(2, columns=["url", "id"])]
    assert [chunk.num_rows for chunk in chunks] == [2, 1]
    assert pa.concat_tables(chunks).equals(TABLE.select(["id", "url"]))
    assert open_table(tmp_path / "in.feather").n_rows == 3


def test_a_stored_stream_is_read_too(tmp_path: Path) -> None:
    with pa.ipc.new_stream(str(tmp_path / "in.arrow"), TABLE.schema) as stream:
        for _ in range(3):
            stream.write_table(TABLE, max_chunksize=1)
    assert read(tmp_path / "in.arrow").equals(pa.concat_tables([TABLE] * 3))


DAY = dt.datetime(2020, 2, 29, 1, 2, 3)
RARE = {
    "dense union": pa.UnionArray.from_dense(
        pa.array([0, 1, 0], pa.int8()), pa.array([0, 0, 1], pa.int32()), [pa.array([1, 2]), pa.array(["x"])]
    ),
    "sparse union": pa.UnionArray.from_sparse(
        pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["x", "y", "z"])]
    ),
    "categories and times in a struct": pa.StructArray.from_arrays(
        [pa.array(["a", "b", "a"]).dictionary_encode(), pa.array([DAY] * 3, pa.timestamp("ns", "Europe/Berlin"))],
        ["category", "time"],
    ),
    "decimal32": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal(-2)], pa.decimal32(5, 2)),
    "decimal256": pa.array([decimal.Decimal("1.5"), None, decimal.Decimal(-2)], pa.decimal256(50, 2)),
    "bool8": pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, None, 0], pa.int8())),
    "time32": pa.array([DAY.time(), None, DAY.time()], pa.time32("s")),
    "interval": pa.array([(1, 2, 3), None, (4, 5, 6)], pa.month_day_nano_interval()),
    "list view": pa.array([[1], [2, 3], None], pa.list_view(pa.int64())),
    "string view": pa.array(["a", "b", None], pa.string_view()),
    "map": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([1, 3], pa.int32()), pa.array(["a", "b"])),
    "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None, b"1" * 16], pa.binary(16))),
}


@pytest.mark.parametrize("kind", RARE)
def test_rare_types_pass_from_arrow_to_arrow(tmp_path: Path, kind: str) -> None:
    table = pa.table({"cell": RARE[kind]})
    with pa.ipc.new_file(str(tmp_path / "in.arrow"), table.schema) as file:
        for _ in range(2):
            file.write_table(table)
    out = pyarrow.feather.read_table(embed(tmp_path / "in.arrow", "out.arrow", n_rows=3), memory_map=False)
    assert out["cell"].type == RARE[kind].type
    assert out["cell"].to_pylist() == RARE[kind].to_pylist() * 2


def test_categories_that_come_late_join_the_dictionary(tmp_path: Path) -> None:
    kinds = [
        pa.table({"k": pa.array([f"k{n % 50}" for n in range(start, start + 20)]).dictionary_encode()})
        for start in range(90)
    ]
    with pa.ipc.new_stream(str(tmp_path / "in.arrow"), kinds[0].schema) as stream:
        for table in kinds:
            stream.write_table(table)
    out = embed(tmp_path / "in.arrow", "out.arrow", n_rows=20)
    expected = [cell for table in kinds for cell in table["k"].to_pylist()]
    assert pyarrow.feather.read_table(out, memory_map=False)["k"].to_pylist() == expected


def test_an_array_holds_the_vectors_alone(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "in.parquet")
    vectors = np.load(embed(tmp_path / "in.parquet", "out.npy"))
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.array([[1, 0], [np.nan] * 2, [1, 0]], np.float32))
    assert read(tmp_path / "out.npy").to_pylist() == [
        {"embedding": [1.0, 0.0]},
        {"embedding": None},
        {"embedding": [1.0, 0.0]},
    ]
    assert not keeps_metadata(tmp_path / "out.npy")


def test_an_array_holds_no_other_columns(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "in.parquet")
    with pytest.raises(UsageError, match="nothing but vectors"):
        create_table(tmp_path / "out.npy", open_table(tmp_path / "in.parquet"), TABLE.schema, ending=".npy")
    np.save(tmp_path / "bad.npy", np.zeros(3))
    with pytest.raises(UsageError, match="holds no vectors"):
        open_table(tmp_path / "bad.npy")
