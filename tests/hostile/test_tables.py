"""A table may be anybody's: what its bytes say wrongly is one clear line, and never the end of the process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli import execute

N = 20
LENGTH = 30
"""Of each URL, in bytes."""
COLUMNS: dict[str, pa.Array] = {
    "image_url": pa.array([f"http://a.test/{row:012}.jpg"[:LENGTH] for row in range(N)]),
    "large": pa.array(["a", None] * (N // 2), pa.large_string()),
    "view": pa.array([f"longer than what fits in a view {row}" for row in range(N)], pa.string_view()),
    "category": pa.array(["a", "b"] * (N // 2)).dictionary_encode(),
    "list": pa.array([["a", "b"]] * N),
    "struct": pa.array([{"x": "a", "y": [b"b"]}] * N),
    "map": pa.array([[("k", 1)]] * N, pa.map_(pa.string(), pa.int64())),
    "embedding": pa.array([[1.0, 2.0]] * N, pa.list_(pa.float32(), 2)),
    "price": pa.array([1] * N, pa.decimal128(5, 2)),
    "at": pa.array([1] * N, pa.timestamp("us", "Europe/Berlin")),
}


def write_arrow(path: Path, columns: dict[str, pa.Array], *, changed: tuple[bytes, bytes] | None = None) -> Path:
    """Write an Arrow file, and change the first place of some bytes in it."""
    table = pa.table(columns)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    if changed is not None:
        body = path.read_bytes()
        assert changed[0] in body
        path.write_bytes(body.replace(*changed, 1))
    return path


def offsets(*numbers: int) -> bytes:
    return np.array(numbers, "<i4").tobytes()


BROKEN = (offsets(0, LENGTH, 2 * LENGTH), offsets(0, 2**31 - 1, 2 * LENGTH))
"""An offset of the URLs that leads out of the file."""


@pytest.mark.parametrize(
    "words",
    [
        ["embed", "IN", "-o", "OUT.parquet", "--model", "demo", "-c", "image_url"],
        ["embed", "IN", "-o", "OUT.csv", "--model", "demo", "--texts", "image_url"],
        ["plan", "IN", "--model", "demo"],
        ["link", "IN", "-o", "OUT.csv"],
        ["search", "IN", "a cat", "--model", "demo", "--format", "json"],
        ["dedupe", "IN", "-o", "OUT.csv"],
        ["report", "IN"],
        ["run", "RECIPE", "IN", "-o", "OUT.csv"],
    ],
    ids=lambda words: f"{words[0]}{' texts' if '--texts' in words else ''}",
)
def test_every_command_refuses_a_file_whose_offsets_lead_out_of_it(
    words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = ("embedding", "embedding_error", "embedding_detail") if "report" in words else ("vector", "n", "image_url")
    columns = dict(zip(names, (COLUMNS["embedding"], pa.nulls(N, pa.string()), COLUMNS["image_url"]), strict=True))
    path = write_arrow(tmp_path / "in.arrow", columns, changed=BROKEN)
    recipe = tmp_path / "recipe.txt"
    recipe.write_text("link_embeddings(ds.vector) -> (ds.targets, ds.weights)\n")
    named = {"IN": str(path), "RECIPE": str(recipe)}
    assert execute([named.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in words]) in {1, 2}
    said = capfd.readouterr().err
    assert f"in.arrow cannot be read as Arrow: column {names[-1]!r} is damaged in row 0 (counted from 0)" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_text_that_is_not_utf_8_is_told_with_its_row(ending: str, tmp_path: Path) -> None:
    cells = [b"http://a.test/%d.jpg" % row for row in range(700)]
    cells[650] += b"\xff"
    texts = pa.array(cells).view(pa.string())
    path = tmp_path / f"in{ending}"
    if ending == ".parquet":
        pq.write_table(pa.table({"image_url": texts}), path)
    else:
        write_arrow(path, {"image_url": texts})
    with pytest.raises(pixvec.UsageError, match=r"in\..* column 'image_url' is damaged in row 650 .*UTF8") as caught:
        pixvec.embed_file(path, tmp_path / "out.csv", model="demo")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [".parquet", ".arrow"])
def test_a_name_that_is_not_utf_8_is_told(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"in{ending}"
    if ending == ".parquet":
        pq.write_table(pa.table({"s": [{"name_of_a_field": 1}]}), path, store_schema=False)
    else:
        write_arrow(path, {"s": pa.array([{"name_of_a_field": 1}])})
    path.write_bytes(path.read_bytes().replace(b"name_of_a_field", b"name\xffof_a_field"))
    with pytest.raises(pixvec.UsageError, match=r"in\..* cannot be read as .*\b(utf-8|UTF-8)\b"):
        pixvec.embed_file(path, tmp_path / "out.csv", model="demo")


def test_a_decimal_of_an_endless_scale_is_told(tmp_path: Path) -> None:
    cells = pa.array([1], pa.decimal128(5, 2))
    buffers = cells.buffers()
    wild = pa.Array.from_buffers(pa.decimal128(5, 2**31 - 1), 1, buffers)
    path = write_arrow(tmp_path / "in.arrow", {"image_url": pa.array(["x"]), "price": wild})
    with pytest.raises(pixvec.UsageError, match=r"column 'price' is a decimal of scale 2,147,483,647"):
        pixvec.embed_file(path, tmp_path / "out.jsonl", model="demo")


def broken_files(body: bytes, n: int) -> Iterator[bytes]:
    """Change a byte at some places, in turn to each of some values; or cut the file off there."""
    places = random.Random(0).sample(range(8, len(body) - 8), n)
    for number, place in enumerate(places):
        if number % 5 == 4:
            yield body[:place]
        else:
            byte = (0, 0x7F, 0xFF, body[place] ^ 1)[number % 5]
            yield body[:place] + bytes([byte]) + body[place + 1 :]


@pytest.mark.parametrize("kind", ["arrow", "compressed", "stream", "parquet", "plain"])
def test_a_file_with_any_byte_changed_is_written_anew_or_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"in.{'parquet' if kind in {'parquet', 'plain'} else 'arrow'}"
    table = pa.table(COLUMNS)
    if path.suffix == ".parquet":
        pq.write_table(table, path, **({"use_dictionary": False, "compression": "none"} if kind == "plain" else {}))
    else:
        new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
        options = pa.ipc.IpcWriteOptions(compression="zstd" if kind == "compressed" else None)
        with pa.OSFile(str(path), "wb") as file, new(file, table.schema, options=options) as writer:
            writer.write_table(table)
    body = path.read_bytes()
    outcomes = []
    for broken in broken_files(body, 24):
        path.write_bytes(broken)
        outcomes.append(execute(["dedupe", str(path), "-o", str(tmp_path / "out.jsonl"), "--restart"]))
    assert set(outcomes) <= {0, 2}
    path.write_bytes(body)
    assert execute(["dedupe", str(path), "-o", str(tmp_path / "out.jsonl"), "--restart"]) == 0


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("nested", [False, True], ids=["plain", "nested"])
def test_times_that_python_has_no_word_for_are_written_as_arrow_prints_them(
    nested: bool, ending: str, tmp_path: Path
) -> None:
    times = pa.array([0, 2**60], pa.int64()).view(pa.timestamp("us"))
    cells = pa.StructArray.from_arrays([times], ["at"]) if nested else times
    path = write_arrow(tmp_path / "in.arrow", {"at": cells, "embedding": COLUMNS["embedding"][:2]})
    assert execute(["dedupe", str(path), "-o", str(tmp_path / f"out.{ending}")]) == 0
    said = (tmp_path / f"out.{ending}").read_text()
    assert "1970-01-01 00:00:00" in said
    assert "out of range" in said


def test_a_time_zone_that_nobody_knows_is_passed_on_and_not_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    times = pa.array([0, 1], pa.int64()).view(pa.timestamp("us", "No/Where"))
    path = write_arrow(tmp_path / "in.arrow", {"at": times, "embedding": COLUMNS["embedding"][:2]})
    assert execute(["dedupe", str(path), "-o", str(tmp_path / "out.parquet")]) == 0
    assert execute(["dedupe", str(path), "-o", str(tmp_path / "out.jsonl")]) == 2
    assert "cannot be written as text: Cannot locate or parse timezone 'No/Where'" in capfd.readouterr().err


def test_a_dictionary_that_many_batches_share_is_validated_once(tmp_path: Path) -> None:
    words = pa.array([f"word {number}" for number in range(200)])
    batches = [
        pa.record_batch(
            {
                "word": pa.DictionaryArray.from_arrays(pa.array([number], pa.int32()), words),
                "vector": COLUMNS["embedding"][:1],
            }
        )
        for number in (0, 1, 199)
    ]
    path = tmp_path / "in.arrow"
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    assert execute(["dedupe", str(path), "-o", str(tmp_path / "out.csv")]) == 0
    body = path.read_bytes()
    last = body.rindex(offsets(199) + b"\0" * 4)
    path.write_bytes(body[:last] + offsets(200) + body[last + 4 :])
    with pytest.raises(pixvec.PixvecError, match="column 'word' is damaged in rows 2 to 2"):
        pixvec.embed_file(path, tmp_path / "out.parquet", model="demo", texts="word")


@pytest.mark.parametrize(
    "shape",
    [
        "(20, 0)",
        "(-1, 4)",
        "(9223372036854775807, 4)",
        "(1" + "0" * 30 + ", 4)",
        "(20.0, 4)",
        "(True, 4)",
        "(20, 4",
        "",
    ],
)
def test_an_array_of_an_impossible_shape_is_told(shape: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    facts = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    path = tmp_path / "in.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00\x76\x00" + facts.encode() + bytes(320))
    assert execute(["link", str(path), "-o", str(tmp_path / "out.csv")]) == 2
    said = capfd.readouterr().err
    assert "in.npy" in said
    assert "Traceback" not in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("stated", [N + 1, N - 1, 2**60])
def test_a_number_of_rows_that_is_not_true_is_told(stated: int, tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"embedding": COLUMNS["embedding"]}), path, store_schema=False)
    body = path.read_bytes()
    footer = body[-8 - int.from_bytes(body[-8:-4], "little") : -8]
    # The third field of the footer, an i64, comes before its list of row groups.
    place = footer.index(varint(N) + b"\x19\x1c")
    footer = footer[:place] + varint(stated) + footer[place + 1 :]
    start = body[: len(body) - 8 - int.from_bytes(body[-8:-4], "little")]
    path.write_bytes(start + footer + len(footer).to_bytes(4, "little") + b"PAR1")
    assert pq.read_metadata(path).num_rows == stated
    with pytest.raises(pixvec.UsageError, match=r"rows and holds 20|do not fit into memory"):
        pixvec.dedupe(path, vectors="embedding")


def varint(number: int) -> bytes:
    """Write a number as Thrift's compact protocol does."""
    number *= 2
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])
