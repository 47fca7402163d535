"""Products on every backend, and links that do not depend on it."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pixvec.concurrency.stop import StoppedError
from pixvec.similarity.links import LinkOptions, link_vectors
from pixvec.similarity.links.exact import ExactSearch
from pixvec.similarity.links.products import DefaultBackend, Products
from pixvec.similarity.links.products.backend import BLOCK, GROUP, Backend, Precision
from pixvec.similarity.links.products.numpy import NumPyBackend
from pixvec.similarity.links.products.openvino import OpenVINOBackend
from pixvec.similarity.links.products.tiles import Tiles, round_to_bf16
from pixvec.similarity.links.space import Space
from tests.similarity.links.backends import BACKENDS, PRECISIONS, OpenVINOIn
from tests.similarity.links.clusters import bits_of, clusters


def check_maxima(tiles: Tiles, products: Products) -> None:
    vectors = tiles.vectors.astype(np.float64)
    exact = (vectors @ vectors.T).reshape(BLOCK, -1, GROUP).max(axis=2)
    of_block, of_tile = products.maxima(tiles.block(0), tiles.slices[0])
    assert products.are_exact()
    for found in (of_block, of_tile.T):
        assert (np.abs(exact - found) <= products.errors[:, None]).all()


@pytest.fixture(scope="module")
def tiles() -> Tiles:
    return Tiles.of(Space.of(clusters(BLOCK, 96, spread=1) * np.linspace(0.01, 1, 96, dtype=np.float32)))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_no_maximum_exceeds_its_error_bound(precision: Precision, tiles: Tiles) -> None:
    products = Products(tiles, precision, backend=OpenVINOIn([precision]))
    if precision == "int8" and not products.are_exact():
        pytest.skip("this processor's int8 sums saturate, so that the search does without them")
    check_maxima(tiles, products)


def test_no_maximum_of_numpy_exceeds_its_error_bound(tiles: Tiles) -> None:
    check_maxima(tiles, Products(tiles, "fp32", backend=NumPyBackend()))


def test_numpy_refuses_other_precisions() -> None:
    with pytest.raises(ValueError, match="not in bf16"):
        NumPyBackend().group_maxima("bf16", tile_size=BLOCK, dim=8)


def test_bf16_rounds_to_nearest_and_ties_to_even() -> None:
    step = 2.0**-7
    numbers = np.array([1 + 0.4 * step, 1 + 0.6 * step, 1 + 0.5 * step, 1 + 1.5 * step, -1 - 0.6 * step], np.float32)
    assert round_to_bf16(numbers).tolist() == [1, 1 + step, 1, 1 + 2 * step, -1 - step]


@pytest.mark.parametrize(
    ("n", "dim", "spread"),
    [(8, 8, 1.0), (BLOCK + 1, 64, 1.0), (3000, 96, 1.0), (2500, 512, 0.3), (1100, 3, 1.0), (600, 16, 1e-7)],
    ids=["few", "not whole blocks", "several tiles", "CLIP's dimensions", "3-D", "ties"],
)
def test_links_have_the_same_bits_on_every_backend(n: int, dim: int, spread: float) -> None:
    vectors = clusters(n, dim, spread=spread)
    vectors[n // 2 :: 7] = vectors[3]
    first, second = (
        link_vectors(vectors, LinkOptions(n_nearest=10), search=ExactSearch(backend)) for backend in BACKENDS
    )
    assert bits_of(first) == bits_of(second)


@pytest.mark.parametrize("backend", BACKENDS, ids=["OpenVINO", "NumPy"])
def test_products_stop_when_asked(backend: Backend, tiles: Tiles) -> None:
    stop = threading.Event()
    products = Products(tiles, "fp32", backend=backend, stop=stop)
    stop.set()
    with pytest.raises(StoppedError):
        products.maxima(tiles.block(0), tiles.slices[0])


def test_without_openvino_links_are_made_by_numpy_with_the_same_bits() -> None:
    program = """
import hashlib, sys
if sys.argv[1] == "without":
    sys.modules["openvino"] = None
from tests.similarity.links.clusters import bits_of, clusters
from pixvec.similarity.links import LinkOptions, link_vectors
from pixvec.similarity.links.products import DefaultBackend
links = link_vectors(clusters(2000, 64, spread=1), LinkOptions())
print(DefaultBackend.__name__, hashlib.sha256(b"".join(bits_of(links))).hexdigest())
"""
    root = Path(__file__).parents[3]
    with_openvino, without = (
        subprocess.run([sys.executable, "-c", program, how], cwd=root, check=True, capture_output=True, text=True)
        for how in ("with", "without")
    )
    assert DefaultBackend is OpenVINOBackend
    assert [without.stdout.split()[0], with_openvino.stdout.split()[0]] == ["NumPyBackend", "OpenVINOBackend"]
    assert without.stdout.split()[1] == with_openvino.stdout.split()[1]
