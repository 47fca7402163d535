from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixvec.errors import UsageError
from pixvec.tables import ReadOptions, create_table, open_table
from pixvec.tables.formats.csv import BLOCK_CHARS
from pixvec.tables.result_columns import ResultOptions, result_schema, result_table
from pixvec.values import ImageFacts, Row

RESULTS = result_schema(2, ResultOptions(), provenance={})
FAILED = Row(error="timeout", detail="too slow")
NEW_HEADER = b",embedding,embedding_error,embedding_detail,embedding_image"
NEW_CELLS = b",,timeout,too slow,"

cells = st.text(st.sampled_from("ab \",;\t|\r\n'é😀0") | st.characters(codec="utf-8"), max_size=12)
# Text after a quoted line break is left out: it may look like rows that a stray quote swallowed.
raw_fields = st.from_regex(r'"([^"]|"")*"|"([^",\r\n]|"")*"a[a"]*|([^",\r\n\0][^,\r\n\0]*)?', fullmatch=True)
tables = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), max_size=12))


def read_rows(data: bytes, path: Path, n_rows: int = 2) -> list[list[str]]:
    path.write_bytes(data)
    return [list(row.values()) for chunk in open_table(path).chunks(n_rows) for row in chunk.table.to_pylist()]


def embed(data: bytes, folder: Path, n_rows: int = 2) -> bytes:
    """Pass a CSV file through, each of its rows failing."""
    (folder / "in.csv").write_bytes(data)
    source = open_table(folder / "in.csv")
    with create_table(folder / "out.csv", source, RESULTS, ending=".csv") as writer:
        for chunk in source.chunks(n_rows):
            writer.write(chunk, result_table([FAILED] * chunk.table.num_rows, RESULTS))
    return (folder / "out.csv").read_bytes()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"id,url\n00123,\n 1.0,NULL\n", [["00123", ""], [" 1.0", "NULL"]]),
        (b'\xef\xbb\xbf"id",url\r\n1,a\r\n', [["1", "a"]]),
        (b'id,url\n"1\n2","a ""b"""\n', [["1\n2", 'a "b"']]),
        (b'id,url\n5" screen,a"b"\n"5"" s"c"reen",a\n', [['5" screen', 'a"b"'], ['5" sc"reen"', "a"]]),
        (b"id;url\n1,5;a\n", [["1,5", "a"]]),
        (b'"a,b,c"\turl\n1,5\ta\n', [["1,5", "a"]]),
        (b"id|url\n1|a", [["1", "a"]]),
        (b"id,url\r1,a\r2,b\r", [["1", "a"], ["2", "b"]]),
        (b"url\na\n\nb\n", [["a"], [""], ["b"]]),
        (b"url\n", []),
        (b"url", []),
        (b"sep=;\r\nid;url\r\n1,5;a\r\n", [["1,5", "a"]]),
        (b'\xef\xbb\xbf"SEP=|"\nid|url\n1,5;|a\n', [["1,5;", "a"]]),
        (b"sep=\t\nid\turl\n1,5\ta\n", [["1,5", "a"]]),
        (b"id,url\n1,", [["1", ""]]),
    ],
    ids=[
        *("text stays", "bom", "line break in quotes", "quotes inside", "semicolons", "tabs", "bars, no last break"),
        *("carriage returns", "empty line of one column", "header only", "bare header"),
        *("delimiter is said", "said in quotes after a bom", "a tab is said", "last cell empty"),
    ],
)
def test_cells_are_read_as_text(tmp_path: Path, data: bytes, expected: list[list[str]]) -> None:
    assert read_rows(data, tmp_path / "in.csv") == expected


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b'id,url\n"1\n2",a\n3\n', "line 4: cells: 1, columns in the header: 2"),
        (b"id,url\r\n1,a\r\n2,b,c\r\n", "line 3: cells: 3, columns in the header: 2"),
        (b"id,url\n1,a\n2,caf\xe9\n", "line 3: not UTF-8"),
        ("id,url\n".encode("utf-16"), "line 1: not UTF-8"),
        (b'id,url\n1,a\n2,"b\n3,c\n', "line 3: a quoted cell .* has no closing quote"),
    ],
    ids=["empty", "bom only", "short record", "long record", "latin-1", "utf-16", "open quote"],
)
def test_a_broken_file_is_an_error_with_the_line(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_rows(data, tmp_path / "in.csv")


def test_records_cross_the_blocks_they_are_read_in(tmp_path: Path) -> None:
    huge = "x" * (2 * BLOCK_CHARS)
    filler = "y" * (BLOCK_CHARS - len("id,url\r\n1,\r"))
    data = f'id,url\r\n1,{filler}\r\n2,"{huge}""\n"\r\n'.encode()
    assert read_rows(data, tmp_path / "in.csv") == [["1", filler], ["2", f'{huge}"\n']]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"id,url\n1,a\n", b"id,url" + NEW_HEADER + b"\n1,a" + NEW_CELLS + b"\n"),
        (b'"id",url\r\n"1",a', b'"id",url' + NEW_HEADER + b'\r\n"1",a' + NEW_CELLS),
        (b"\xef\xbb\xbfurl\n\n", b"\xef\xbb\xbfurl" + NEW_HEADER + b"\n" + NEW_CELLS + b"\n"),
        (
            b"a|url\n1|b\r\n",
            b"a|url" + NEW_HEADER.replace(b",", b"|") + b"\n1|b|" + NEW_CELLS[1:].replace(b",", b"|") + b"\r\n",
        ),
        (
            b"sep=;\r\nid;url\r\n1;a\r\n",
            b"sep=;\r\nid;url" + NEW_HEADER.replace(b",", b";") + b"\r\n1;a" + NEW_CELLS.replace(b",", b";") + b"\r\n",
        ),
    ],
    ids=["plain", "quotes, no last break", "bom, empty line", "bars, mixed breaks", "delimiter is said"],
)
def test_csv_to_csv_keeps_every_byte_of_other_cells(tmp_path: Path, data: bytes, expected: bytes) -> None:
    assert embed(data, tmp_path) == expected


# Minimal quoting with "\n" is left out: before Python 3.13 the csv module then leaves a lone "\r" in a cell unquoted.
@given(rows=tables, dialect=st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL)]))
def test_what_the_csv_module_writes_passes_through(rows: list[list[str]], dialect: tuple[str, int]) -> None:
    breaks, quoting = dialect
    file = io.StringIO()
    names = [f"c{index}" for index in range(len(rows[0]) if rows else 1)]
    csv.writer(file, lineterminator=breaks, quoting=quoting).writerows([names, *rows])  # type: ignore[arg-type]
    data = file.getvalue().encode()
    with TemporaryDirectory() as folder:
        assert read_rows(data, Path(folder) / "in.csv") == rows
        out = embed(data, Path(folder))
    new_rows = [[*row, "", "timeout", "too slow", ""] for row in rows]
    assert list(csv.reader(io.StringIO(out.decode(), newline="")))[1:] == new_rows
    assert out.replace(NEW_HEADER, b"", 1).replace(NEW_CELLS, b"") == data


@given(records=st.lists(st.tuples(raw_fields, raw_fields, st.sampled_from(["\n", "\r\n", "\r"]))))
def test_any_way_of_quoting_is_read_as_the_csv_module_reads_it(records: list[tuple[str, str, str]]) -> None:
    text = "a,b\n" + "".join(f"{first},{second}{ending}" for first, second, ending in records)
    with TemporaryDirectory() as folder:
        rows = read_rows(text.encode(), Path(folder) / "in.csv")
        out = embed(text.encode(), Path(folder))
    assert rows == list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert out.replace(NEW_HEADER, b"", 1).replace(NEW_CELLS, b"") == text.encode()


def test_vectors_and_facts_are_json(tmp_path: Path) -> None:
    vector = np.array([1 / 3, -1e-10], np.float32)
    row = Row(vector=vector, image=ImageFacts(b"\xab" * 32, "PNG", 2, 3, 1, 77))
    (tmp_path / "in.csv").write_text("url\na\n")
    source = open_table(tmp_path / "in.csv")
    with create_table(tmp_path / "out.csv", source, RESULTS, ending=".csv") as writer:
        writer.write(next(source.chunks(1)), result_table([row], RESULTS))
    with (tmp_path / "out.csv").open(newline="") as file:
        (read,) = csv.DictReader(file)
    assert read["embedding"] == "[0.33333334,-1e-10]"
    np.testing.assert_array_equal(np.array(json.loads(read["embedding"]), np.float32), vector)
    assert json.loads(read["embedding_image"])["sha256"] == "ab" * 32
    assert read["embedding_error"] == read["embedding_detail"] == ""


def test_typed_columns_become_text(tmp_path: Path) -> None:
    table = pa.table(
        {
            "when": pa.array([0, None], pa.date32()),
            "tags": pa.array([["é", "b"], None], pa.list_(pa.string())),
            "raw": [b"\x00\xff", None],
            "kind": pa.array(["x,y", None]).dictionary_encode(),
            "key": pa.array([bytes(16), None], pa.uuid()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    source = open_table(tmp_path / "in.parquet")
    with create_table(tmp_path / "out.csv", source, RESULTS, ending=".csv") as writer:
        writer.write(next(source.chunks(2)), result_table([FAILED] * 2, RESULTS))
    cells = '1970-01-01,"[""é"", ""b""]",00ff,"x,y",00000000-0000-0000-0000-000000000000'
    expected = f"when,tags,raw,kind,key\n{cells}\n,,,,\n".encode()
    out = (tmp_path / "out.csv").read_bytes()
    assert out.replace(NEW_HEADER, b"").replace(NEW_CELLS, b"") == expected


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("a,b\n1,2\n\n3,4\n\n", [["1", "2"], ["3", "4"]]),
        ("a,b\r\n\r\n1,2", [["1", "2"]]),
        ("a\n\n1\n", [[""], ["1"]]),
        ('a\n""\n', [[""]]),
    ],
    ids=["between and after", "before", "one column", "quoted"],
)
def test_a_blank_line_is_a_row_only_where_there_is_one_column(text: str, rows: list[list[str]], tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(text.encode())
    tables = [chunk.table for chunk in open_table(path).chunks(512)]
    assert [list(row.values()) for table in tables for row in table.to_pylist()] == rows


STRAY = "if the quote is text like any other, switch quoting off with `no_quoting=True`"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.tsv", 't\turl\nx\tu0\n"we love this\tu1\nnice\tu2\n"so good\tu3\n', "line 3: a quoted cell spans 3 lines"),
        ("t.tsv", 't\turl\n"we love this\tu1\nnice\tu2\nso good"\tu3\n', "line 2: a quoted cell spans 3 lines"),
        ("t.tsv", 't\turl\n"we love\tu1\nnice\tx\tu2\n"so good\tu3\n', "line 2: .*text follows its closing quote"),
        ("t.tsv", 't\turl\n"we love this\tu1\nnice\tu2\n', "line 2: .* has no closing quote"),
        ("t.csv", 't,url\n"we love this,u1\n"so good,u2\nz,u3\n', "line 2: a quoted cell spans 2 lines"),
        ("t.csv", 'i,t,url\n1,"we love,u1\n2,x,y,"u2\n', "line 2: .* spans 2 lines from here, and cells: 2, columns"),
    ],
    ids=["opens twice", "closes at a cell's end", "uneven lines", "never closes", "commas", "too few cells"],
)
def test_a_stray_quote_that_swallows_rows_is_named_with_the_way_out(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message) as raised:
        list(open_table(tmp_path / name).chunks(512))
    assert str(raised.value).endswith(STRAY)
    read = open_table(tmp_path / name, ReadOptions(no_quoting=True))
    if "x" not in text.split("\n", 2)[2]:  # else lines have too many cells however one reads them
        assert sum(chunk.table.num_rows for chunk in read.chunks(512)) == text.count("\n") - 1


@pytest.mark.parametrize(
    ("name", "text", "rows"),
    [
        ("t.tsv", 't\turl\n"one\ntwo"\tu\n', [["one\ntwo", "u"]]),
        ("t.csv", 't,url\n"one, two\nthree, four",u\n', [["one, two\nthree, four", "u"]]),
        ("t.csv", 'url,t\nu,"one\ntwo, three"\n', [["u", "one\ntwo, three"]]),
        ("t.csv", 't,url\n"one\ntwo"more,u\n', [["one\ntwomore", "u"]]),
    ],
    ids=["tabs", "commas in all lines", "as many commas as columns", "text after the quote"],
)
def test_line_breaks_in_quotes_stay_cells(tmp_path: Path, name: str, text: str, rows: list[list[str]]) -> None:
    (tmp_path / name).write_text(text)
    read = [list(row.values()) for chunk in open_table(tmp_path / name).chunks(9) for row in chunk.table.to_pylist()]
    assert read == rows


def test_without_quoting_quotes_are_text_and_come_out_as_such(tmp_path: Path) -> None:
    (tmp_path / "in.tsv").write_bytes('t\turl\n"caf\xe9\tu1\n5" wide\tu2\n'.encode("latin-1"))
    source = open_table(tmp_path / "in.tsv", ReadOptions(no_quoting=True, encoding="latin-1"))
    with create_table(tmp_path / "out.tsv", source, RESULTS, ending=".tsv") as writer:
        for chunk in source.chunks(2):
            writer.write(chunk, result_table([FAILED] * chunk.table.num_rows, RESULTS))
    with (tmp_path / "out.tsv").open(encoding="latin-1", newline="") as file:
        rows = [row[:2] for row in csv.reader(file, delimiter="\t")]
    assert rows == [["t", "url"], ['"caf\xe9', "u1"], ['5" wide', "u2"]]


@pytest.mark.parametrize("data", [b"", b"sep=;\n"])
def test_an_empty_file_without_a_header_is_not_asked_for_one(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "in.csv").write_bytes(data)
    with pytest.raises(UsageError, match="is empty: it has no line that names its columns, or holds a row"):
        open_table(tmp_path / "in.csv", ReadOptions(no_header=True))


@pytest.mark.parametrize("breaks", ["\n", "\r\n"])
def test_a_file_without_a_header_gets_one_and_keeps_its_cells(tmp_path: Path, breaks: str) -> None:
    data = breaks.join(['"00",u0', "01,u1"]).encode()
    (tmp_path / "in.csv").write_bytes(data)
    source = open_table(tmp_path / "in.csv", ReadOptions(no_header=True))
    assert source.schema.names == ["column_1", "column_2"]
    with create_table(tmp_path / "out.csv", source, RESULTS, ending=".csv") as writer:
        for chunk in source.chunks(1):
            writer.write(chunk, result_table([FAILED] * chunk.table.num_rows, RESULTS))
    out = (tmp_path / "out.csv").read_bytes()
    header = b"column_1,column_2" + NEW_HEADER + breaks.encode()
    assert out.replace(NEW_CELLS, b"") == header + data
