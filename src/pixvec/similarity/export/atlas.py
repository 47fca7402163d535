"""Links as Embedding Atlas has neighbours: for each row a struct of ids, zero-based row numbers, and distances.

Its graph metrics stack the rows into a rectangle, and its viewer opens every row's struct; both leave a row's link to
itself out. So each row begins with its own number, as often as it takes to make all rows equally long, at distance 0.
(embedding-atlas 0.26.0, ``graph_metrics.py`` and ``widget.py``.)
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pixvec.similarity.links import Links


def atlas_neighbors(links: Links) -> pa.StructArray:
    """Give the column ``neighbors``: struct<ids: list<int64>, distances: list<float>>, nearest first.

    A distance is 1 less the cosine. A row without a vector or neighbours is its own only neighbour.
    """
    counts = np.diff(links.starts)  # (N,)
    n_rows, width = len(counts), int(counts.max(initial=0)) + 1
    rows = np.repeat(np.arange(n_rows), counts)  # (M,)
    places = np.arange(len(rows)) - links.starts[rows] + width - counts[rows]  # (M,)
    ids = np.repeat(np.arange(n_rows), width).reshape(n_rows, width)
    distances = np.zeros((n_rows, width), np.float32)
    ids[rows, places] = links.targets
    distances[rows, places] = np.maximum(1 - links.weights, 0)
    starts = pa.array(np.arange(n_rows + 1) * width, pa.int32())
    lists = [pa.ListArray.from_arrays(starts, pa.array(numbers.reshape(-1))) for numbers in (ids, distances)]
    return pa.StructArray.from_arrays(lists, ["ids", "distances"])
