"""`link_embeddings` in recipes: whatever holds vectors, each row linked to its nearest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pixvec
from pixvec.errors import RunError
from pixvec.recipe import RecipeError
from pixvec.tables.result_columns import PROVENANCE_KEY

LINK = "link_embeddings(ds.embedding) -> (ds.targets, ds.weights)"
VECTORS: list[list[float] | None] = [[1, 0], [2, 0], None, [1, 1], [-1, 0], [0, 0]]
TARGETS = [[1, 3], [0, 3], None, [0, 1], [], []]


def table(cells: Any, type_: pa.DataType | None = None) -> pa.Table:
    return pa.table({"embedding": pa.array(cells, type_)})


@pytest.mark.parametrize(
    "ds",
    [
        table(VECTORS, pa.list_(pa.float32(), 2)),
        table(VECTORS, pa.list_(pa.float64())),
        table(VECTORS, pa.large_list(pa.int64())),
        table([vector and str(vector) for vector in VECTORS]),
        pd.DataFrame({"embedding": [vector and np.array(vector, np.float32) for vector in VECTORS]}),
        pd.DataFrame({"embedding": VECTORS}),
    ],
    ids=["fixed", "list", "whole numbers", "JSON", "arrays", "lists"],
)
def test_rows_are_linked_to_their_nearest(ds: Any) -> None:
    result = pixvec.run_recipe(LINK, ds)
    targets, weights = (
        (result["targets"].to_pylist(), result["weights"].to_pylist())
        if isinstance(result, pa.Table)
        else (list(result["targets"]), list(result["weights"]))
    )
    assert targets == TARGETS
    assert weights[0] == [1.0, pytest.approx(0.5**0.5)]
    assert weights[2] is None


def test_links_have_the_types_of_row_numbers_and_cosines(tmp_path: Path) -> None:
    pq.write_table(table(VECTORS, pa.list_(pa.float32(), 2)), tmp_path / "in.parquet")
    pixvec.run_recipe(LINK, tmp_path / "in.parquet", output=tmp_path / "out.parquet")
    schema = pq.read_schema(tmp_path / "out.parquet")
    assert schema.field("targets").type == pa.list_(pa.int64())
    assert schema.field("weights").type == pa.list_(pa.float32())


def test_vectors_and_links_may_be_cells_of_text(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('id,embedding\n007,"[1, 0]"\n008,\n009,"[1.0, 1e0]"\n')
    pixvec.run_recipe(LINK, tmp_path / "in.csv", output=tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines()[:3] == [
        "id,embedding,targets,weights",
        '007,"[1, 0]",[2],[0.70710677]',
        "008,,,",
    ]


@pytest.mark.parametrize(
    ("params", "n_links"),
    [("{n_nearest: 1}", 3), ("{similarity_min: -1}", 12), ("{similarity_min: 0.9}", 2), ("{similarity_min_q: 0.9}", 2)],
)
def test_parameters_decide_which_links_there_are(params: str, n_links: int) -> None:
    recipe = LINK.replace(")", f", {params})", 1)
    result = pixvec.run_recipe(recipe, table(VECTORS, pa.list_(pa.float32(), 2)))
    assert sum(map(len, result["targets"].drop_null().to_pylist())) == n_links


@pytest.mark.parametrize("name", ["similarity_min", "similarity_min_q"])
def test_a_parameter_out_of_range_is_shown_at_its_place(name: str) -> None:
    recipe = LINK.replace(")", f", {{{name}: 1.5}})", 1)
    with pytest.raises(RecipeError) as caught:
        pixvec.run_recipe(recipe, table(VECTORS))
    (problem,) = caught.value.problems
    assert problem.source_line[problem.column - 1 :].startswith("1.5")


@pytest.mark.parametrize("vectors", [[], [None, None], [[1.0, 0.0]]], ids=["no rows", "no vectors", "one vector"])
def test_few_vectors_have_few_links(vectors: list[Any]) -> None:
    result = pixvec.run_recipe(LINK, table(vectors, pa.list_(pa.float32(), 2)))
    assert result["targets"].to_pylist() == [vector and [] for vector in vectors]


@pytest.mark.parametrize("ds", [pa.table({"embedding": pa.nulls(2)}), pd.DataFrame({"embedding": [None, None]})])
def test_a_column_of_nothing_but_nulls_has_no_links(ds: Any) -> None:
    assert list(pixvec.run_recipe(LINK, ds)["targets"].to_numpy()) == [None, None]


def test_vectors_of_several_lengths_end_the_step_and_leave_nothing(tmp_path: Path) -> None:
    pq.write_table(table([[1.0, 0.0], [1.0]]), tmp_path / "in.parquet")
    with pytest.raises(RunError, match=r"step 1 of 1, link_embeddings: column 'embedding': row 1 .* has 1 numbers"):
        pixvec.run_recipe(LINK, tmp_path / "in.parquet", output=tmp_path / "out.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["in.parquet"]


def test_vectors_of_several_models_are_not_linked(tmp_path: Path) -> None:
    for model in ("demo", "other"):
        metadata = {PROVENANCE_KEY: json.dumps({"model": model, "weights_sha256": model})}
        schema = pa.schema([pa.field("embedding", pa.list_(pa.float32(), 2), metadata=metadata)])
        pq.write_table(table(VECTORS).cast(schema), tmp_path / f"{model}.parquet")
    with pytest.raises(RecipeError, match=r"column 17: .* of several models, 'demo' in .* and 'other' in"):
        pixvec.run_recipe(LINK, tmp_path)


@pytest.mark.parametrize("cells", [["a cat"], [1.5], [["a"]]], ids=["text", "number", "texts"])
def test_a_column_of_something_else_is_refused(cells: list[Any]) -> None:
    with pytest.raises(RecipeError, match=r"expected a column of list\[number\], found a column of"):
        pixvec.run_recipe(LINK, table(cells))
