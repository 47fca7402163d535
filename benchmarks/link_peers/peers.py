"""The contenders: each builds an index of vectors with its own package, and searches it.

Each takes unit vectors (N, D) and how many neighbours to find, and returns a search: a number of queries -> the row
numbers of that many first rows' neighbours, near ones first, -1 where there is none. A row's own number may be among
them, so one more is looked for. All cores are used wherever a package can.
"""

# ruff: noqa: PLC0415 (a contender's package is there in its own environment only)

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vectors: TypeAlias = NDArray[np.float32]
Search: TypeAlias = Callable[[int], Any]
Build: TypeAlias = Callable[[Vectors, int], Search]

_BILLION: Final = 1_000_000_000
_ANNOY_TREES: Final = 30


@dataclass(frozen=True, slots=True)
class Peer:
    """A contender.

    Parameters
    ----------
    build
        Makes its index.
    package
        What it is, on the package index; it goes into an environment of its own.
    beside
        What it needs besides.
    max_pairs
        How many pairs of vectors a visit may compare, for one that compares all: larger inputs get fewer queries.
    """

    build: Build
    package: str
    beside: tuple[str, ...] = ()
    max_pairs: int | None = None

    def n_queries(self, n_rows: int, at_least: int) -> int:
        """Tell for how many of `n_rows` rows a visit looks for neighbours."""
        return n_rows if self.max_pairs is None else min(n_rows, max(at_least, self.max_pairs // n_rows))


def _pixvec(vectors: Vectors, n_nearest: int) -> Search:
    from pixvec.similarity.links import LinkOptions, link_vectors

    links = link_vectors(vectors, LinkOptions(n_nearest=n_nearest))

    def search(n_queries: int) -> NDArray[np.int64]:
        n_links = np.diff(links.starts)[:n_queries]
        found = np.full((n_queries, n_nearest + 1), -1)
        found[np.arange(n_nearest + 1) < n_links[:, None]] = links.targets[: links.starts[n_queries]]
        return found

    return search


def _annoy(vectors: Vectors, n_nearest: int) -> Search:
    """Ask for one row after the other, set as the step that pixvec implements sets it: 30 trees, searched doubly."""
    from annoy import AnnoyIndex

    index = AnnoyIndex(vectors.shape[1], "angular")
    index.set_seed(1)
    for row, vector in enumerate(vectors):
        index.add_item(row, vector)
    index.build(_ANNOY_TREES, n_jobs=-1)

    def search(n_queries: int) -> NDArray[np.int64]:
        found = np.full((n_queries, n_nearest + 1), -1)
        for row in range(n_queries):
            rows = index.get_nns_by_item(row, n_nearest + 1, 2 * _ANNOY_TREES * (n_nearest + 1))
            found[row, : len(rows)] = rows
        return found

    return search


def _faiss_flat(vectors: Vectors, n_nearest: int) -> Search:
    import faiss

    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda n_queries: index.search(vectors[:n_queries], n_nearest + 1)[1]


def _faiss_hnsw(vectors: Vectors, n_nearest: int) -> Search:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 128, 64
    index.add(vectors)
    return lambda n_queries: index.search(vectors[:n_queries], n_nearest + 1)[1]


def _faiss_ivf(vectors: Vectors, n_nearest: int) -> Search:
    """Cut the vectors into clusters, as many as faiss' own guidelines give, and look through 32 of them."""
    import faiss

    n_clusters = int(4 * len(vectors) ** 0.5)
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(vectors.shape[1]), vectors.shape[1], n_clusters, faiss.METRIC_INNER_PRODUCT
    )
    index.train(vectors)
    index.add(vectors)
    index.nprobe = 32
    return lambda n_queries: index.search(vectors[:n_queries], n_nearest + 1)[1]


def _usearch_exact(vectors: Vectors, n_nearest: int) -> Search:
    from usearch.index import MetricKind, search

    return lambda n_queries: search(vectors, vectors[:n_queries], n_nearest + 1, MetricKind.Cos, exact=True).keys


def _usearch_hnsw(vectors: Vectors, n_nearest: int) -> Search:
    from usearch.index import Index

    index = Index(ndim=vectors.shape[1], metric="cos", dtype="bf16")
    index.add(np.arange(len(vectors)), vectors, threads=os.cpu_count() or 1)
    return lambda n_queries: index.search(vectors[:n_queries], n_nearest + 1, threads=os.cpu_count() or 1).keys


def _pynndescent(vectors: Vectors, n_nearest: int) -> Search:
    from pynndescent import NNDescent

    index = NNDescent(vectors, metric="dot", n_neighbors=n_nearest + 1, random_state=1)
    return lambda n_queries: index.neighbor_graph[0][:n_queries]


def _scikit_learn(vectors: Vectors, n_nearest: int) -> Search:
    """Search by Euclidean distance, which orders unit vectors as the cosine does and has the fastest code here."""
    from sklearn.neighbors import NearestNeighbors

    index = NearestNeighbors(n_neighbors=n_nearest + 1, algorithm="brute", n_jobs=-1).fit(vectors)
    return lambda n_queries: index.kneighbors(vectors[:n_queries], return_distance=False)


PEERS: Final = {
    "pixvec": Peer(_pixvec, "pixvec"),
    "faiss-flat": Peer(_faiss_flat, "faiss-cpu", max_pairs=10 * _BILLION),
    "scikit-learn": Peer(_scikit_learn, "scikit-learn", max_pairs=5 * _BILLION),
    "usearch-exact": Peer(_usearch_exact, "usearch", max_pairs=_BILLION),
    "annoy": Peer(_annoy, "annoy", beside=("numpy",)),
    "pynndescent": Peer(_pynndescent, "pynndescent"),
    "usearch-hnsw": Peer(_usearch_hnsw, "usearch"),
    "faiss-hnsw": Peer(_faiss_hnsw, "faiss-cpu"),
    "faiss-ivf": Peer(_faiss_ivf, "faiss-cpu"),
}
