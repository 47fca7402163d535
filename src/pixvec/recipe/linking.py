"""What `link_embeddings` does: a column of vectors in, for each row the rows nearest to it out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pixvec.pipeline.report import counting_rows
from pixvec.recipe.context import StepContext
from pixvec.recipe.dataset import InputColumn
from pixvec.recipe.signature import Work
from pixvec.similarity.links import LinkOptions, Links, link_vectors
from pixvec.similarity.vectors import read_vector_column


def prepare_links(context: StepContext, params: Mapping[str, Any]) -> Work:
    """Check the options that rows are to be linked by."""
    return partial(_link, context, LinkOptions(**params))


def _link(context: StepContext, options: LinkOptions, embedding: InputColumn) -> list[pa.Table]:
    vectors = read_vector_column(embedding.table(), embedding.name, path=None).vectors
    with context.telling_progress() as on_progress:
        links = link_vectors(
            vectors, options, max_links=context.links_left, on_progress=on_progress and counting_rows(on_progress)
        )
    context.links_left -= len(links.targets)
    targets, weights = links.columns()
    context.tell(_summary(links))
    return [pa.table({"": targets}), pa.table({"": weights})]


def _summary(links: Links) -> str:
    n_rows, n_vectors = len(links.has_vector), np.count_nonzero(links.has_vector)
    found = "" if links.recall is None else f", {links.recall:.1%} of the true ones"
    return f"{n_rows:,} rows: {n_vectors:,} vectors, {len(links.targets):,} links between them{found}"
