"""The links of a table come out in each shape, and real readers of that shape read what was linked."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.errors import UsageError
from pixvec.similarity.export import LinkFileOptions, link_file
from pixvec.similarity.links import Links
from pixvec.similarity.vectors import read_vector_column
from pixvec.tables import open_table
from pixvec.tables.result_columns import PROVENANCE_KEY, read_provenance

N, DIM = 30, 8
FACTS = {"model": "demo", "weights_sha256": "ab"}
HOSTILE = 'a\x00b\x1b[31m\ud83d\ude00 <x> & "q" \u202e {{7*7}}'.encode("utf-16", "surrogatepass").decode("utf-16")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Thirty rows, of which the fourth has no vector."""
    vectors = np.random.default_rng(0).normal(size=(N, DIM)).astype(np.float32)
    rows = [None if row == 3 else vector for row, vector in enumerate(vectors)]
    field = pa.field("v", pa.list_(pa.float32(), DIM), metadata={PROVENANCE_KEY: json.dumps(FACTS)})
    titles = pa.array([None, HOSTILE, *(f"row {row}" for row in range(2, N))])
    schema = pa.schema([pa.field("title", pa.string()), field])
    pq.write_table(pa.Table.from_arrays([titles, pa.array(rows, field.type)], schema=schema), tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def linked(table: Path, name: str, **options: Any) -> tuple[Path, Links]:
    output = table.parent / name
    return output, link_file(table, output, LinkFileOptions(n_nearest=4, **options))


def edges_of(links: Links) -> dict[tuple[int, int], float]:
    sources = np.repeat(np.arange(N), np.diff(links.starts)).tolist()
    return dict(zip(zip(sources, links.targets.tolist(), strict=True), links.weights.tolist(), strict=True))


def test_a_parquet_table_gets_targets_and_weights_and_keeps_its_columns(table: Path) -> None:
    output, links = linked(table, "o.parquet")
    before, after = pq.read_table(table), pq.read_table(output)
    assert after.column_names == ["title", "v", "targets", "weights"]
    assert after.select(["title", "v"]) == before
    assert read_provenance(after.schema, "v") == FACTS
    assert after["targets"].to_pylist()[3] is after["weights"].to_pylist()[3] is None
    assert [after["targets"][0].as_py(), after["weights"][0].as_py()] == [
        links.targets[: links.starts[1]].tolist(),
        links.weights[: links.starts[1]].tolist(),
    ]
    assert after.schema.field("targets").type == pa.list_(pa.int64())
    assert after.schema.field("weights").type == pa.list_(pa.float32())


def test_a_csv_table_holds_them_as_json_and_says_beside_it_what_vectors_are_made_with(table: Path) -> None:
    output, links = linked(table, "o.csv", output_columns="near,how")
    with output.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert json.loads(rows[0]["near"]) == links.targets[: links.starts[1]].tolist()
    assert [rows[3]["near"], rows[3]["how"]] == ["", ""]
    provenance = read_vector_column(open_table(output), "v", path=output).provenance
    assert provenance is not None
    assert FACTS.items() <= provenance.items()


@pytest.mark.parametrize("name", ["e.parquet", "e.csv"])
def test_a_list_of_edges_holds_every_link(table: Path, name: str) -> None:
    output, links = linked(table, name, to="edges")
    frame = pd.read_parquet(output) if name.endswith("parquet") else pd.read_csv(output)
    assert frame.columns.tolist() == ["source", "target", "weight"]
    found = {(source, target): weight for source, target, weight in frame.itertuples(index=False)}
    assert found == pytest.approx(edges_of(links))


@pytest.mark.parametrize(("name", "read"), [("g.graphml", nx.read_graphml), ("g.gexf", nx.read_gexf)])
def test_networkx_reads_the_graph(table: Path, name: str, read: Any) -> None:
    output, links = linked(table, name, attribute=("title",))
    graph = read(output, node_type=int)
    assert graph.is_directed()
    assert set(graph.nodes) == set(range(N))
    assert {(source, target): edge["weight"] for source, target, edge in graph.edges(data=True)} == pytest.approx(
        edges_of(links)
    )
    assert graph.nodes[2]["title"] == graph.nodes[2]["label"] == "row 2"
    assert "title" not in graph.nodes[0]
    assert graph.nodes[0]["label"] == "0"


@pytest.mark.parametrize(("name", "read"), [("g.graphml", nx.read_graphml), ("g.gexf", nx.read_gexf)])
def test_text_that_xml_cannot_hold_does_not_break_the_file(table: Path, name: str, read: Any) -> None:
    output, _ = linked(table, name, attribute=("title",))
    expected = HOSTILE.replace("\x00", "\ufffd").replace("\x1b", "\ufffd")
    assert read(output, node_type=int).nodes[1]["title"] == expected


@pytest.mark.parametrize("name", ["g.graphml", "g.gexf"])
def test_a_graph_without_attributes_has_numbers_for_nodes(table: Path, name: str) -> None:
    output, _ = linked(table, name)
    assert "row 2" not in output.read_text(encoding="utf-8")


def test_a_column_called_label_is_the_label(table: Path) -> None:
    renamed = pq.read_table(table).rename_columns(["label", "v"])
    pq.write_table(renamed, table)
    output, _ = linked(table, "g.graphml", attribute=("label",))
    assert nx.read_graphml(output).nodes["2"] == {"label": "row 2"}


def test_embedding_atlas_finds_every_link_and_no_other(table: Path) -> None:
    """Its metrics stack the rows and leave out a row's own id; so does this."""
    output, links = linked(table, "n.parquet", to="neighbors")
    rows = pd.read_parquet(output)["neighbors"]
    ids = np.stack([np.array(row["ids"]) for row in rows])
    distances = np.stack([np.array(row["distances"]) for row in rows])
    assert (ids.shape, distances.shape) == ((N, 5), (N, 5))
    assert (np.diff(distances, axis=1) >= 0).all()
    sources = np.repeat(np.arange(N), 5).reshape(N, 5)
    others = ids != sources
    found = zip(sources[others].tolist(), ids[others].tolist(), strict=True)
    assert dict(zip(found, (1 - distances[others]).tolist(), strict=True)) == pytest.approx(edges_of(links), abs=1e-6)
    assert not distances[~others].any()


def test_embedding_atlas_itself_reads_its_shape(table: Path) -> None:
    pytest.importorskip("umap", reason="embedding-atlas is not installed")
    metrics = pytest.importorskip("embedding_atlas.graph_metrics", reason="embedding-atlas is not installed")
    output, links = linked(table, "n.parquet", to="neighbors")
    incoming, outgoing, _ = metrics.compute_degree_columns(pd.read_parquet(output), neighbors="neighbors")
    assert outgoing.tolist() == np.diff(links.starts).tolist()
    assert incoming.tolist() == np.bincount(links.targets, minlength=N).tolist()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("o.graphml", {"attribute": ("nope",)}, "`attribute='nope'`: there is no column 'nope'; expected one of"),
        ("o.parquet", {"output_columns": "a"}, "expected 2 names, as targets,weights"),
        ("o.parquet", {"output_columns": "a,a"}, "expected 2 names"),
        ("o.gexf", {"output_columns": "a,b"}, "expected 0 names, none with gexf"),
        ("o.parquet", {"output_columns": "v,w"}, "already has 'v'"),
        ("o.parquet", {"vectors": "title"}, "'title' holds no vectors"),
        ("o.xyz", {}, r"\.xyz is not written here; possible are .*\.graphml, \.gexf"),
        ("t.parquet", {"restart": True}, "is the input"),
        ("nowhere/o.gexf", {}, "there is no folder"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_written_is_said_before_any_work(
    table: Path, name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        linked(table, name, **options)
    assert [path.name for path in table.parent.iterdir()] == ["t.parquet"]


@pytest.mark.parametrize("name", ["o.parquet", "o.graphml"])
def test_an_output_that_exists_is_replaced_only_when_asked(table: Path, name: str) -> None:
    table.with_name(name).write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="exists: replace it with `restart=True`"):
        linked(table, name)
    assert table.with_name(name).read_text(encoding="utf-8") == "mine"
    output, _ = linked(table, name, restart=True)
    assert output.stat().st_size > 100
    assert sorted(path.name for path in table.parent.iterdir()) == sorted([name, "t.parquet"])


@pytest.mark.parametrize("n_rows", [0, 1, 3])
@pytest.mark.parametrize("name", ["o.parquet", "o.graphml", "o.gexf"])
def test_fewer_rows_than_neighbours_have_the_links_that_there_are(table: Path, name: str, n_rows: int) -> None:
    pq.write_table(pq.read_table(table).slice(0, n_rows), table)
    _, links = linked(table, name, similarity_min=-1)
    assert len(links.targets) == n_rows * (n_rows - 1)
