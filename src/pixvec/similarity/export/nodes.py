"""What the file of a graph says, as text: of its nodes the columns of a table that were asked for, and its edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from pixvec.errors import UsageError
from pixvec.formatting.names import unknown
from pixvec.similarity.links import Links
from pixvec.tables import TableReader
from pixvec.tables.cell_text import cell_texts

_CHUNK_ROWS: Final = 4_096


class Nodes:
    """The rows of a table as nodes.

    Parameters
    ----------
    reader
        The table.
    names
        The columns that nodes keep.

    Raises
    ------
    UsageError
        When the table has no such column, or several.
    """

    def __init__(self, reader: TableReader, names: Sequence[str]) -> None:
        self.names = list(dict.fromkeys(names))
        self._reader = reader
        columns = reader.schema.names
        for name in self.names:
            if (n_found := columns.count(name)) != 1:
                problem = f"{n_found} columns are called so" if n_found else unknown("column", name, columns)
                raise UsageError(f"`attribute={name!r}`: {problem}")

    def texts(self, n_rows: int) -> Iterator[dict[str, str]]:
        """Give for each row the text of its cells; an empty one is left out."""
        if not self.names:
            yield from ({} for _ in range(n_rows))
            return
        for chunk in self._reader.chunks(_CHUNK_ROWS, columns=self.names):
            columns = [cell_texts(chunk.table.column(name)).to_pylist() for name in self.names]
            for cells in zip(*columns, strict=True):
                yield {name: cell for name, cell in zip(self.names, cells, strict=True) if cell}


def edges(links: Links) -> Iterator[tuple[int, int, str]]:
    """Give each link as source, target and weight, written with the fewest digits that are the same float32."""
    for row, (start, end) in enumerate(pairwise(links.starts.tolist())):
        for target, weight in zip(links.targets[start:end].tolist(), links.weights[start:end], strict=True):
            yield row, target, str(weight)
