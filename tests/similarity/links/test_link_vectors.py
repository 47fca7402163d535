"""Links of rows: which links each kind of row has."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from pixvec.concurrency.stop import StoppedError
from pixvec.errors import UsageError
from pixvec.similarity.links import LinkOptions, Links, link_vectors
from pixvec.values import Vectors
from tests.similarity.links.clusters import bits_of, clusters, expected_neighbors, targets_of

NAN = float("nan")
ALL = LinkOptions(similarity_min=-1)


def link(vectors: object, options: LinkOptions = ALL) -> Links:
    return link_vectors(np.array(vectors, np.float32), options)


def test_links_are_the_nearest_others() -> None:
    vectors = clusters(500, 32, spread=1)
    targets, weights = expected_neighbors(vectors, 15)
    links = link(vectors)
    np.testing.assert_array_equal(links.starts, np.arange(501) * 15)
    np.testing.assert_array_equal(links.targets, targets.ravel())
    np.testing.assert_array_equal(links.weights, weights.ravel())
    assert links.recall is None


@pytest.mark.parametrize(
    ("vectors", "targets"),
    [
        ([], []),
        ([[1, 0]], [[]]),
        ([[1, 0], [1, 1]], [[1], [0]]),
        ([[1, 0], [1, 0], [1, 0]], [[1, 2], [0, 2], [0, 1]]),
        ([[1, 0], [3, 0], [0.5, 0]], [[1, 2], [0, 2], [0, 1]]),
        ([[1, 0], [0, 0], [1, 1]], [[2], [], [0]]),
        ([[1, 0], [NAN, 0], [1, 1]], [[2], [], [0]]),
        ([[1, 0], [np.inf, 0], [1, 1]], [[2], [], [0]]),
        ([[NAN, 0], [0, 0]], [[], []]),
        ([[1e38, 1e38], [1e-45, 1e-45], [1, -1]], [[1, 2], [0, 2], [0, 1]]),
        ([[0.0, 1], [-0.0, 1]], [[1], [0]]),
    ],
    ids=[
        *("no rows", "one row", "two rows", "all equal", "all of one direction", "a zero vector", "NaN", "infinity"),
        *("none with a direction", "the largest and the smallest numbers", "minus zero"),
    ],
)
def test_every_kind_of_row_has_its_outcome(vectors: list[list[float]], targets: list[list[int]]) -> None:
    links = link(np.array(vectors, np.float32).reshape(-1, 2))
    assert targets_of(links) == targets


def test_a_row_without_a_vector_is_null_and_a_zero_vector_is_empty() -> None:
    targets, weights = link([[1, 0], [NAN, 0], [0, 0], [1, 0]]).columns()
    assert targets.to_pylist() == [[3], None, [], [0]]
    assert weights.to_pylist() == [[1.0], None, [], [1.0]]
    assert [str(targets.type.value_type), str(weights.type.value_type)] == ["int64", "float"]


def test_a_thousand_equal_rows_are_equal_neighbors() -> None:
    vectors = clusters(1300, 16, spread=1)
    vectors[100:1100] = vectors[100]
    links = link(vectors)
    targets = targets_of(links)
    assert targets[100] == list(range(101, 116))
    assert targets[110] == [*range(100, 110), *range(111, 116)]
    assert targets[1099] == list(range(100, 115))
    assert (links.weights[links.starts[100] : links.starts[1100]] == 1).all()


def test_duplicates_of_a_neighbor_are_neighbors_by_row_number() -> None:
    far, near, self_ = [0, 1], [1, 1], [1, 0]
    assert targets_of(link([far, near, self_, near, far, near], LinkOptions(n_nearest=4)))[2] == [1, 3, 5, 0]


def test_equal_cosines_are_sorted_by_row_number() -> None:
    assert targets_of(link([[1, 0, 0], [1, 0, 1], [1, 1, 0], [1, -1, 0], [2, 0, 2]]))[0] == [1, 2, 3, 4]


def test_a_pair_has_one_weight_from_both_sides() -> None:
    links = link(clusters(40, 100, spread=1))
    weights = {}
    for row, start in enumerate(links.starts[:-1]):
        ends = slice(start, links.starts[row + 1])
        weights.update({(row, target): w for target, w in zip(links.targets[ends], links.weights[ends], strict=True)})
    both = [(i, j) for i, j in weights if (j, i) in weights]
    assert len(both) > 100
    assert all(weights[i, j] == weights[j, i] for i, j in both)


def _edges(links: Links) -> list[tuple[int, int, float]]:
    rows = np.repeat(np.arange(len(links.starts) - 1), np.diff(links.starts))
    return list(zip(rows.tolist(), links.targets.tolist(), links.weights.tolist(), strict=True))


def test_bits_are_the_same_in_several_threads() -> None:
    vectors = clusters(3000, 32, spread=1)
    found: list[list[bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(bits_of(link(vectors)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [bits_of(link(vectors))] * 3


def test_negative_cosines_are_left_out_unless_asked_for() -> None:
    vectors = [[1, 0], [-1, 0.1], [1, 0.1], [0, 1]]
    assert targets_of(link(vectors, LinkOptions())) == [[2, 3], [3], [0, 3], [1, 2, 0]]
    assert targets_of(link(vectors, LinkOptions(similarity_min=-1)))[0] == [2, 3, 1]
    assert targets_of(link(vectors, LinkOptions(similarity_min=0.9))) == [[2], [], [0], []]


def test_links_at_or_above_the_quantile_stay() -> None:
    vectors = clusters(300, 16, spread=1)
    everything = link(vectors, LinkOptions())
    above = link(vectors, LinkOptions(similarity_min_q=0.75))
    least = np.quantile(everything.weights.astype(np.float64), 0.75)
    assert sorted(above.weights) == sorted(everything.weights[everything.weights >= least])
    assert set(_edges(above)) <= set(_edges(everything))
    assert set(link(vectors, LinkOptions(similarity_min_q=1)).weights) == {everything.weights.max()}


def test_the_quantile_of_no_links_leaves_none() -> None:
    assert targets_of(link([[1, 0], [-1, 0]], LinkOptions(similarity_min_q=0.5))) == [[], []]


def test_the_quantile_of_equal_weights_leaves_all() -> None:
    assert targets_of(link(np.ones((4, 3)), LinkOptions(n_nearest=1, similarity_min_q=0.9))) == [[1], [0], [0], [0]]


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"n_nearest": 0}, "`n_nearest=0`: expected at least 1"),
        ({"n_nearest": 1.5}, "`n_nearest=1.5`: expected int, got float"),
        ({"similarity_min": 1.1}, "`similarity_min=1.1`: expected at most 1"),
        ({"similarity_min": -1.1}, "`similarity_min=-1.1`: expected at least -1"),
        ({"similarity_min_q": NAN}, "`similarity_min_q=nan`: expected at most 1"),
        ({"metric": "euclidean"}, "`metric='euclidean'`: expected one of angular"),
    ],
)
def test_a_wrong_option_is_named(keywords: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        LinkOptions(**keywords)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_numpy_has_its_threads_back_afterwards() -> None:
    threads = [library["num_threads"] for library in threadpool_info()]
    link(np.eye(4), LinkOptions())
    assert [library["num_threads"] for library in threadpool_info()] == threads


def test_numpy_has_its_threads_back_after_several_at_once() -> None:
    threads = [library["num_threads"] for library in threadpool_info()]
    vectors = clusters(1500, 32, spread=1)
    for _ in range(5):
        searches = [threading.Thread(target=link, args=(some,)) for some in (vectors, vectors[:100], vectors)]
        for search in searches:
            search.start()
        for search in searches:
            search.join()
        assert [library["num_threads"] for library in threadpool_info()] == threads


def test_more_links_than_a_column_holds_are_refused() -> None:
    with pytest.raises(UsageError, match=r"50000 vectors would be 2500000000 links, .*: take `n_nearest=42949`$"):
        link_vectors(np.ones((50_000, 1), np.float32), LinkOptions(n_nearest=10**30))


@pytest.mark.parametrize("n_nearest", [100, 10**9, 10**30])
def test_more_neighbors_than_rows_are_all_rows(n_nearest: int) -> None:
    vectors = clusters(100, 8, spread=1)
    assert bits_of(link(vectors, LinkOptions(n_nearest=n_nearest))) == bits_of(link(vectors, LinkOptions(n_nearest=99)))


@pytest.mark.parametrize("n_duplicates", [1, 3])
def test_progress_counts_rows_and_ends_with_all_of_them(n_duplicates: int) -> None:
    vectors = np.repeat(clusters(9000, 4, spread=1), n_duplicates, axis=0)
    reported: list[tuple[int, int]] = []
    link_vectors(vectors, LinkOptions(n_nearest=1), on_progress=lambda *progress: reported.append(progress))
    assert reported == sorted(reported)
    assert len(reported) > 2
    assert {total for _, total in reported} == {reported[-1][0]} == {len(vectors)}


def test_it_stops_when_asked() -> None:
    stop = threading.Event()
    with pytest.raises(StoppedError):
        link_vectors(clusters(20_000, 8, spread=1), ALL, on_progress=lambda *_: stop.set(), stop=stop)


def test_vectors_are_left_as_they_are() -> None:
    vectors: Vectors = clusters(100, 8, spread=1)
    vectors.flags.writeable = False
    before = vectors.tobytes()
    link_vectors(vectors, ALL)
    assert vectors.tobytes() == before
