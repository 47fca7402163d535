"""A table file's vectors in; out, the links between its rows in the shapes that other tools read.

In a table's columns, as a list of edges, as Embedding Atlas has neighbours, or as GraphML or GEXF for Gephi and others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.options import option
from pixvec.run.output_file import appearing, check_new_columns, check_place, write_with_columns
from pixvec.similarity.export.atlas import atlas_neighbors
from pixvec.similarity.export.edges import edge_table
from pixvec.similarity.export.gexf import write_gexf
from pixvec.similarity.export.graphml import write_graphml
from pixvec.similarity.export.nodes import Nodes
from pixvec.similarity.links import LinkOptions, Links, link_vectors
from pixvec.similarity.vectors import VectorColumn, find_vector_column, provenance_beside, read_vector_column
from pixvec.tables import TABLE_ENDINGS, TableReader, check_output, check_output_ending, open_frame, open_table

__all__ = ["LinkFileOptions", "link_file"]

Shape: TypeAlias = Literal["columns", "edges", "neighbors", "graphml", "gexf"]
OnProgress: TypeAlias = Callable[[int, int], None]

_COLUMNS: Final[dict[str, tuple[str, ...]]] = {"columns": ("targets", "weights"), "neighbors": ("neighbors",)}
"""The new columns of the shapes that are the table with more columns."""
_GRAPHS: Final = {"graphml": write_graphml, "gexf": write_gexf}


@dataclass(frozen=True, kw_only=True)
class LinkFileOptions(LinkOptions):
    """Which links are made, and how they are written."""

    to: Shape | None = option(
        None,
        "columns: the table with targets and weights; edges: a table of source, target, weight; neighbors: the table "
        "with neighbours as Embedding Atlas reads them; graphml, gexf: for Gephi. By the output's ending if not given",
    )
    vectors: str | None = option(None, "the column of vectors; found by its cells when not given")
    attribute: Sequence[str] = option((), "a column to keep with the nodes of a graph; the first is their label")
    output_columns: str | None = option(None, "names of the new columns, as: targets,weights")
    replace_column: bool = option(False, "drop columns of these names that the table already has, instead of stopping")
    restart: bool = option(False, "replace an output that exists")


def link_file(
    input: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: LinkFileOptions,
    on_progress: OnProgress | None = None,
) -> Links:
    """Link the rows of a table file, and write the links to another file, which appears whole or not at all.

    Parameters
    ----------
    input
        A table file with a column of vectors.
    output
        What is written; its ending says what, where `options` don't.
    on_progress
        As `link_vectors` has it.

    Raises
    ------
    UsageError
        Before any work: when a file, a column or an option is not as it must be.
    RunError
        When the output cannot be written.
    """
    job = _Job(Path(input), Path(output), options)
    links = link_vectors(job.column.vectors, options, on_progress=on_progress)
    job.write(links)
    return links


class _Job:
    """A table to link, read and checked, and what is to be written."""

    def __init__(self, input: Path, output: Path, options: LinkFileOptions) -> None:
        self._input, self._output, self._options = input, output, options
        self._shape = options.to or _shape(output)
        self._endings = _endings(self._shape)
        self._reader = open_table(input)
        self._names = _new_names(self._shape, options)
        self._check()
        self._dropped = check_new_columns(
            self._reader.schema.names, self._names, replace=options.replace_column, rename="output_columns"
        )
        self._nodes = Nodes(self._reader, options.attribute)
        self.column = _read(self._reader, options, input)

    def write(self, links: Links) -> None:
        """Write links of the rows, in the shape that was asked for."""
        if self._shape in _COLUMNS:
            added = pa.Table.from_arrays(_columns(self._shape, links), list(self._names))
            facts = provenance_beside(self._input)
            write_with_columns(
                self._reader, added, self._output, restart=self._options.restart, dropped=self._dropped, facts=facts
            )
            return
        if self._shape == "edges":
            edges = open_frame(edge_table(links))
            write_with_columns(edges, pa.table({}), self._output, restart=self._options.restart)
            return
        with appearing(self._output, restart=self._options.restart) as file:
            _GRAPHS[self._shape](links, self._nodes, file)

    def _check(self) -> None:
        if self._shape not in _GRAPHS and self._options.attribute:
            raise UsageError(f"`attribute` is for graphs (.graphml, .gexf): {self._shape} have none")
        check_output(self._input, self._output, endings=self._endings)
        check_place(self._output, restart=self._options.restart, inputs=[self._input])


def _shape(output: Path) -> Shape:
    """Choose a shape by the output's ending."""
    graphs: dict[str, Shape] = {".graphml": "graphml", ".gexf": "gexf"}
    return graphs.get(check_output_ending(output, (*TABLE_ENDINGS, *graphs)), "columns")


def _endings(shape: Shape) -> tuple[str, ...]:
    return (f".{shape}",) if shape in _GRAPHS else TABLE_ENDINGS


def _new_names(shape: Shape, options: LinkFileOptions) -> tuple[str, ...]:
    usual = _COLUMNS.get(shape, ())
    if options.output_columns is None:
        return usual
    names = tuple(name.strip() for name in options.output_columns.split(","))
    if len(names) != len(usual) or not all(names) or len(set(names)) != len(names):
        expected = f"as {','.join(usual)}" if usual else f"none with {shape}"
        raise UsageError(f"`output_columns={options.output_columns!r}`: expected {len(usual)} names, {expected}")
    return names


def _read(reader: TableReader, options: LinkFileOptions, input: Path) -> VectorColumn:
    return read_vector_column(reader, find_vector_column(reader, options.vectors), path=input)


def _columns(shape: Shape, links: Links) -> list[pa.Array]:
    return list(links.columns()) if shape == "columns" else [atlas_neighbors(links)]
