"""What `link_embeddings` does: a column of vectors in, for each row the rows nearest to it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from pixvec.link import LinkOptions, Links, link_vectors
from pixvec.recipe.dataset import InputColumn
from pixvec.recipe.session import Session
from pixvec.recipe.signature import Work
from pixvec.report import OnProgress, Report
from pixvec.vector_table import read_vector_column


def prepare_links(session: Session, params: Mapping[str, Any]) -> Work:
    """Check the options that rows are to be linked by."""
    return partial(_link, session, LinkOptions(**params))


def _link(session: Session, options: LinkOptions, embedding: InputColumn) -> list[pa.Table]:
    vectors = read_vector_column(embedding.table(), embedding.name, path=None).vectors
    with session.telling_progress(len(vectors)) as on_progress:
        links = link_vectors(vectors, options, on_progress=_counting_rows(on_progress))
    targets, weights = links.columns()
    session.tell(_summary(links))
    return [pa.table({"": targets}), pa.table({"": weights})]


def _counting_rows(on_progress: OnProgress | None) -> Callable[[int, int], None] | None:
    if on_progress is None:
        return None
    report = Report()

    def count(n_done: int, _n_vectors: int) -> None:
        report.n_rows = report.n_vectors = n_done
        on_progress(report)

    return count


def _summary(links: Links) -> str:
    n_rows, n_vectors = len(links.has_vector), np.count_nonzero(links.has_vector)
    found = "" if links.recall is None else f", {links.recall:.1%} of the true ones"
    return f"{n_rows:,} rows: {n_vectors:,} vectors, {len(links.targets):,} links between them{found}"
