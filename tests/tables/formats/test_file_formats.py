"""A file is what its ending says: outputs are written so, and an input that is something else is named."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.cli import WRONG_USE, execute
from pixvec.errors import UsageError
from pixvec.tables import open_table

TEXT = b"id,image_url\n1,https://a.example/1.jpg\n"


def parquet() -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"image_url": ["https://a.example/1.jpg"]}), sink)
    return sink.getvalue()


def arrow() -> bytes:
    table = pa.table({"image_url": ["https://a.example/1.jpg"]})
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    return sink.getvalue()


def workbook(member: str = "xl/workbook.xml") -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr(member, "<workbook/>")
    return sink.getvalue()


def array() -> bytes:
    sink = io.BytesIO()
    np.save(sink, np.zeros((2, 3), np.float32))
    return sink.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("t.csv", parquet(), r"t\.csv is a Parquet file: name it t\.parquet"),
        ("t.jsonl", parquet(), r"a Parquet file: name it t\.parquet"),
        ("T.V2.CSV", parquet(), r"a Parquet file: name it T\.V2\.parquet"),
        ("t.arrow", parquet(), r"a Parquet file: name it t\.parquet"),
        ("t.csv.gz", gzip.compress(parquet()), r"a Parquet file: unpack it, and name it t\.parquet"),
        ("t.csv", arrow(), r"an Arrow file: name it t\.arrow"),
        ("t.parquet", arrow(), r"an Arrow file: name it t\.arrow"),
        ("t.tsv", array(), r"a NumPy array: name it t\.npy"),
        ("t.csv", gzip.compress(TEXT), r"compressed with gzip: name it t\.csv\.gz"),
        ("t.csv.zst", gzip.compress(TEXT), r"compressed with gzip: name it t\.csv\.gz"),
        ("t.parquet", gzip.compress(parquet()), "compressed with gzip: unpack it first"),
        ("t.csv.gz", TEXT, r"is not compressed: name it t\.csv"),
        ("t.parquet", TEXT, r"begins like text, not like \.parquet: name it \.csv, \.tsv or \.jsonl"),
        ("t.csv", workbook(), "an Excel workbook: save it as CSV"),
        ("t.csv", workbook("a.csv"), "a zip archive: unpack it first"),
        ("t.csv", b"\xd0\xcf\x11\xe0" + bytes(600), "an old Office file"),
        ("t.csv", b"SQLite format 3\0", "an SQLite database"),
        ("t.csv", b"\n <!DOCTYPE html><html>", "an HTML page"),
        ("t.csv", b"version https://git-lfs.github.com/spec/v1\noid x\n", "a pointer of Git LFS .*`git lfs pull`"),
        ("t.xlsx", workbook(), r"\.xlsx is not read here \(save the sheet as \.csv\); possible are \.parquet"),
        ("t.json", b"[]", r"\.json is not read here \(with one object on each line it is \.jsonl\)"),
        ("t", TEXT, "no ending says its format; possible are"),
        ("t.gz", TEXT, "no ending says its format; possible are"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_input_that_is_something_else_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=message):
        open_table(tmp_path / name)


def test_one_wrong_file_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(TEXT)
    (tmp_path / "b.csv").write_bytes(parquet())
    with pytest.raises(UsageError, match=r"b\.csv is a Parquet file"):
        open_table(tmp_path)


@pytest.mark.parametrize("name", ["t.arrow", "t.feather", "t.ipc"])
def test_the_endings_of_arrow_are_one_format(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(arrow())
    assert open_table(tmp_path / name).n_rows == 1


@pytest.mark.parametrize("ending", [".xlsx", ".json", ".png", ".graphml", ".gexf", ""])
@pytest.mark.parametrize(
    ("command", "flag"),
    [
        (("embed", "t.parquet"), "-o"),
        (("search", "t.parquet", "a fir"), "-o"),
        (("link", "t.parquet"), "-o"),
        (("link", "t.parquet", "--to", "edges"), "-o"),
        (("dedupe", "t.parquet"), "-o"),
        (("dedupe", "t.parquet"), "--html"),
        (("report", "t.parquet"), "--html"),
        (("run", "r.txt", "t.parquet"), "-o"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_an_output_that_is_not_written_is_refused_with_what_is(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, ...],
    flag: str,
    ending: str,
) -> None:
    written = {"search": {".json"}, "link": {".graphml", ".gexf"}}.get(command[0], set()) - (
        {".graphml", ".gexf"} if "edges" in command else set()
    )
    if ending in written:
        return
    monkeypatch.chdir(tmp_path)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(6, np.float32)), 3)
    failed = pa.nulls(2, pa.string())
    pq.write_table(pa.table({"embedding": vectors, "embedding_error": failed, "embedding_detail": failed}), "t.parquet")
    Path("r.txt").write_text("link_embeddings(ds.embedding) -> (ds.targets, ds.weights)")
    assert execute([*command, flag, f"out{ending}"]) == WRONG_USE
    said = capsys.readouterr().err
    assert (f"{ending} is not written here" if ending else "no ending says its format") in said
    assert (".html" if flag == "--html" else ".parquet") in said
    assert not Path(f"out{ending}").exists()
    if ending in {".graphml", ".gexf"}:
        assert "`pixvec link --to" in said


@pytest.mark.parametrize(("shape", "ending"), [("graphml", ".parquet"), ("gexf", ".graphml"), ("edges", ".npy")])
def test_a_shape_and_an_ending_that_disagree_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shape: str, ending: str
) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(6, np.float32)), 3)
    pq.write_table(pa.table({"v": vectors}), tmp_path / "t.parquet")
    command = ["link", str(tmp_path / "t.parquet"), "--to", shape, "-o", str(tmp_path / f"out{ending}")]
    assert execute(command) == WRONG_USE
    assert f"{ending} is not written here" in capsys.readouterr().err


@pytest.mark.parametrize(
    "ending", [".csv", ".tsv", ".jsonl", ".jsonl.gz", ".csv.zst", ".parquet", ".arrow", ".feather"]
)
def test_edges_are_written_in_every_format_of_tables(tmp_path: Path, ending: str) -> None:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.ones(6, np.float32)), 3)
    pq.write_table(pa.table({"v": vectors}), tmp_path / "t.parquet")
    output = tmp_path / f"edges{ending}"
    assert execute(["link", str(tmp_path / "t.parquet"), "--to", "edges", "--quiet", "-o", str(output)]) == 0
    (chunk,) = open_table(output).chunks(10)
    assert chunk.table.column_names == ["source", "target", "weight"]
    assert [list(map(float, row.values())) for row in chunk.table.to_pylist()] == [[0, 1, 1], [1, 0, 1]]
