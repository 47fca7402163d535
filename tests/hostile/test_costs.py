"""What a stranger's table or recipe costs has bounds, and grows with its size and not with the square of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.cli import execute
from pixvec.recipe import STEPS
from pixvec.recipe.context import MAX_LINKS, RecipeOptions, StepContext
from pixvec.recipe.dataset import open_in_memory

N_WIDE = 300_000
MOST = 5_000
URL = "http://a.test/a.jpg"


def names(n: int) -> list[str]:
    return ["image_url", *(f"c{number}" for number in range(n - 1))]


def write_csv(path: Path, n: int) -> None:
    path.write_text(f"{','.join(names(n))}\n{URL}{',1' * (n - 1)}\n")


def write_json(path: Path, n: int) -> None:
    path.write_text(json.dumps(dict.fromkeys(names(n), "1") | {"image_url": URL}) + "\n")


def write_parquet(path: Path, n: int) -> None:
    pq.write_table(pa.table([[URL], *([["1"]] * (n - 1))], names=names(n)), path)


def write_arrow(path: Path, n: int) -> None:
    table = pa.table([[URL], *([["1"]] * (n - 1))], names=names(n))
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


@pytest.mark.parametrize(
    ("ending", "write", "n"),
    [
        (".csv", write_csv, N_WIDE),
        (".jsonl", write_json, N_WIDE),
        (".parquet", write_parquet, MOST + 1),
        (".arrow", write_arrow, MOST + 1),
    ],
)
def test_a_table_that_is_too_wide_is_refused_early(
    ending: str, write: Callable[[Path, int], None], n: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / f"in{ending}", n)
    assert execute(["plan", str(tmp_path / f"in{ending}"), "--model", "demo"]) == 2
    assert f"in{ending} has {n:,} columns, and at most 5,000 are read" in capfd.readouterr().err


def test_files_that_are_too_wide_together_are_refused(tmp_path: Path) -> None:
    for start in (0, 3_000):
        columns = [f"c{number}" for number in range(start, start + 3_000)]
        (tmp_path / f"{start}.csv").write_text(f"{','.join(columns)}\n{',' * 2_999}\n")
    with pytest.raises(pixvec.UsageError, match="has 6,000 columns"):
        pixvec.dedupe(tmp_path, vectors="c0")


def test_lines_that_each_bring_new_keys_are_refused_where_there_are_too_many(tmp_path: Path) -> None:
    lines = (json.dumps({f"{row}.{key}": 1 for key in range(100)}) for row in range(1_000))
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    with pytest.raises(pixvec.UsageError, match="has 5,100 columns"):
        pixvec.embed_file(tmp_path / "in.jsonl", tmp_path / "out.jsonl", model="demo")


def test_a_message_names_some_of_many_columns(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text(f"{','.join(names(MOST)[1:])}\n{',1' * (MOST - 2)}\n")
    assert execute(["plan", str(tmp_path / "in.csv"), "--model", "demo"]) == 2
    said = capfd.readouterr().err
    assert "more holds URLs" in said
    assert len(said) < 1_000


def test_every_number_that_a_recipe_may_set_has_a_range() -> None:
    numbers = [it for step in STEPS.values() for it in step.parameters if it.type in {"integer", "number"}]
    assert len(numbers) > 4
    for parameter in numbers:
        assert parameter.minimum is not None
        assert parameter.maximum is not None
        assert parameter.accepts(parameter.default)
        assert not any(parameter.accepts(number) for number in (float("inf"), float("nan"), 10**400, -(10**400)))


@pytest.mark.parametrize("params", ["{n_nearest: 10001}", "{n_trees: 1000001}", "{search_k_mult: 1000001}"])
def test_a_number_beyond_its_range_is_refused_before_any_work(params: str) -> None:
    vectors = pa.table({"v": pa.array([[1.0, 0.0]] * 3)})
    with pytest.raises(pixvec.UsageError, match="at most"):
        pixvec.run_recipe(f"link_embeddings(ds.v, {params}) -> (ds.targets, ds.weights)", vectors)


def test_links_of_all_steps_of_a_recipe_together_are_bounded() -> None:
    session = StepContext(RecipeOptions())
    assert session.links_left == MAX_LINKS
    session.links_left = 100
    step = STEPS["link_embeddings"].prepare(session, {"n_nearest": 9})
    vectors = pa.table({"v": pa.FixedSizeListArray.from_arrays(pa.array(np.eye(10, dtype=np.float32).ravel() + 1), 10)})
    step(open_in_memory(vectors).column("v"))
    with pytest.raises(pixvec.UsageError, match=r"would be 90 links, and the recipe may still make 10: take `n_near"):
        step(open_in_memory(vectors).column("v"))
