"""Links as a table of edges: source, target, weight."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pixvec.similarity.links import Links


def edge_table(links: Links) -> pa.Table:
    """Give a row for each link, by source and then nearest first."""
    sources = np.repeat(np.arange(len(links.has_vector)), np.diff(links.starts))
    return pa.table({"source": sources, "target": links.targets, "weight": links.weights})
