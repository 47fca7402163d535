"""What a call tells while it runs: how far it is, of how many rows, and how long it will take."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli.console import progress_line
from pixvec.pipeline.report import Report
from pixvec.tables import expected_rows, open_table
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

N_ROWS = 1_500
NOTE_BYTES = 3_000


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        server.add("/a.jpg", body=image_bytes())
        yield server


@pytest.fixture(scope="module")
def table(site: ImageServer) -> pa.Table:
    """Rows of one image, in files of several megabytes that compression makes half as large."""
    random = Random(0)
    notes = [random.randbytes(NOTE_BYTES // 2).hex() for _ in range(N_ROWS)]
    return pa.table({"image_url": [site.url("/a.jpg")] * N_ROWS, "note": notes})


def as_csv(table: pa.Table) -> bytes:
    rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
    return "".join(f"{url},{note}\n" for url, note in [("image_url", "note"), *rows]).encode()


def write_csv(table: pa.Table, path: Path) -> Path:
    (path / "in.csv").write_bytes(as_csv(table))
    return path / "in.csv"


def write_gzip(table: pa.Table, path: Path) -> Path:
    (path / "in.csv.gz").write_bytes(gzip.compress(as_csv(table), 1))
    return path / "in.csv.gz"


def write_zstd(table: pa.Table, path: Path) -> Path:
    (path / "in.csv.zst").write_bytes(pa.compress(as_csv(table), "zstd", asbytes=True))
    return path / "in.csv.zst"


def write_folder(table: pa.Table, path: Path) -> Path:
    (path / "in").mkdir()
    for start in range(0, N_ROWS, 500):
        (path / "in" / f"{start:04}.csv").write_bytes(as_csv(table.slice(start, 500)))
    return path / "in"


def write_stream(table: pa.Table, path: Path) -> Path:
    with pa.OSFile(f"{path}/in.arrow", "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table, max_chunksize=100)
    return path / "in.arrow"


def write_parquet(table: pa.Table, path: Path) -> Path:
    pq.write_table(table, path / "in.parquet")
    return path / "in.parquet"


WRITERS = pytest.mark.parametrize(
    "write", [write_csv, write_gzip, write_zstd, write_folder, write_stream, write_parquet]
)


@WRITERS
def test_how_many_rows_there_are_is_estimated_by_bytes_while_they_are_read(
    write: Callable[[pa.Table, Path], Path], table: pa.Table, tmp_path: Path
) -> None:
    reader = open_table(write(table, tmp_path))
    estimates = [expected_rows(reader) for _ in reader.chunks(100)]
    assert all(estimate == pytest.approx(N_ROWS, rel=0.15) for estimate in estimates if estimate is not None)
    assert estimates.count(None) < len(estimates) / 2
    assert expected_rows(reader) == N_ROWS


@WRITERS
def test_progress_tells_how_many_rows_there_will_be(
    write: Callable[[pa.Table, Path], Path], table: pa.Table, site: ImageServer, checkpoint: str, tmp_path: Path
) -> None:
    told: list[tuple[int, int | None]] = []
    options: dict[str, Any] = {"model": checkpoint, "allow_address": (site.address,), "isolate": "never"}
    pixvec.embed_file(
        write(table, tmp_path),
        tmp_path / "out.npy",
        limit=1_200,
        progress=lambda report: told.append((report.n_rows, report.n_expected)),
        **options,
    )
    assert told[-1] == (1_200, 1_200)
    assert all(n_rows <= expected <= 1_200 for n_rows, expected in told if expected is not None)


def test_a_column_in_memory_knows_its_rows(checkpoint: str) -> None:
    told: list[int | None] = []
    with pixvec.Embedder(model=checkpoint) as embedder:
        embedder.embed([None] * 7, progress=lambda report: told.append(report.n_expected))
    assert set(told) == {7}


@pytest.mark.parametrize(
    ("n_expected", "n_resumed", "line"),
    [
        (2_000, 0, "10 s: 500 rows, 25.0 % of 2,000, 100 without a vector, 50.0 rows/s, 30 s left"),
        (500, 0, "10 s: 500 rows, 100 % of 500, 100 without a vector, 50.0 rows/s, 0 s left"),
        (2_000, 400, "10 s: 500 rows, 25.0 % of 2,000, 100 without a vector, 10.0 rows/s, 2 min 30 s left"),
        (2_000, 500, "10 s: 500 rows, 25.0 % of 2,000, 100 without a vector, 0.0 rows/s"),
        (None, 0, "10 s: 500 rows, 100 without a vector, 50.0 rows/s"),
    ],
    ids=["in progress", "at its end", "resumed", "nothing new", "unknown"],
)
def test_a_line_of_progress(n_expected: int | None, n_resumed: int, line: str) -> None:
    report = Report(n_rows=500, n_vectors=400, n_resumed=n_resumed, n_expected=n_expected, started=0.0, ended=10.0)
    assert progress_line(report) == line
