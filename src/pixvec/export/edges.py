"""Links as a table of edges: source, target, weight."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from pixvec.link import Links

EDGE_ENDINGS: Final = (".parquet", ".csv")


def write_edges(links: Links, path: Path, *, ending: str) -> None:
    """Write a row for each link, by source and then nearest first, as Parquet or CSV by the ending."""
    sources = np.repeat(np.arange(len(links.has_vector)), np.diff(links.starts))
    table = pa.table({"source": sources, "target": links.targets, "weight": links.weights})
    if ending == ".parquet":
        pq.write_table(table, path, compression="zstd")
    else:
        pa.csv.write_csv(table, path)
