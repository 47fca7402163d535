"""A file appears whole or not at all, and takes the place of another only when asked."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.errors import RunError, UsageError
from pixvec.run.output_file import appearing, write_with_columns
from pixvec.tables import open_frame


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    with appearing(tmp_path / "o.txt", restart=False) as file:
        file.write(b"whole")
        assert not (tmp_path / "o.txt").exists()
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") == "whole"
    assert names(tmp_path) == ["o.txt"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "o.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ZeroDivisionError), appearing(tmp_path / "o.txt", restart=True) as file:
        file.write(bytes(1 // 0))
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") == "mine"
    assert names(tmp_path) == ["o.txt"]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with appearing(tmp_path / "o.txt", restart=False) as file:
        with pytest.raises(UsageError, match="another run is writing"), appearing(tmp_path / "o.txt", restart=True):
            pass
        file.write(b"first")
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") == "first"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(tmp_path / "o.txt")
    with appearing(tmp_path / "link.txt", restart=False) as file:
        file.write(b"whole")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "o.txt").read_text(encoding="utf-8") == "whole"


@pytest.mark.parametrize("n_added", [2, 4])
def test_a_table_that_changed_meanwhile_is_not_written(tmp_path: Path, n_added: int) -> None:
    source = open_frame(pa.table({"a": [1, 2, 3]}))
    with pytest.raises(RunError, match="has other rows than when it was read first"):
        write_with_columns(source, pa.table({"b": [0] * n_added}), tmp_path / "o.parquet", restart=False)
    assert names(tmp_path) == []


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl.zst", "parquet", "arrow"])
def test_a_full_disk_is_one_line_whatever_the_format(tmp_path: Path, ending: str) -> None:
    table = pa.table({"a": np.random.default_rng(0).random(20_000)})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(RunError, match=rf"o\.{ending} cannot be written: File too large"):
            write_with_columns(open_frame(table), pa.table({}), tmp_path / f"o.{ending}", restart=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


def test_columns_stand_at_the_end(tmp_path: Path) -> None:
    table = pa.table({"a": list(range(2_000)), "b": ["x"] * 2_000})
    added = pa.table({"c": list(range(2_000))})
    write_with_columns(open_frame(table), added, tmp_path / "o.parquet", restart=False, dropped=["b"])
    assert pq.read_table(tmp_path / "o.parquet") == pa.table({"a": table["a"], "c": added["c"]})
