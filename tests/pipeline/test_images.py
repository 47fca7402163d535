"""From cells to rows: rows never slide, one bad row costs itself, and a bug surfaces."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import islice, repeat
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pixvec.model import ClipModel
from pixvec.model.checkpoint import ProcessorConfig, load
from pixvec.pipeline.images import embed_alone, embed_unordered
from pixvec.pipeline.report import Report
from pixvec.pipeline.session import Session
from pixvec.pipeline.settings import Settings
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer
from pixvec.values import Crops, Row, Vectors

N_IMAGES = 12
AHEAD = 96
IMAGES = [image_bytes(seed=seed, size=(64, 48)) for seed in range(N_IMAGES)]
BROKEN: dict[str, tuple[object, str]] = {
    "null": (None, "null_input"),
    "blank": (" \t", "null_input"),
    "number": (42, "invalid_url"),
    "words": ("no url at all", "invalid_url"),
    "blocked": ("http://10.0.0.1/a.png", "address_blocked"),
    "missing": ("/missing", "http_404"),
    "page": ("/page", "not_an_image"),
    "half": ("/half", "corrupt_image"),
    "cut": ("/cut", "truncated_body"),
}


@pytest.fixture(scope="module")
def model(checkpoint: str) -> ClipModel:
    return ClipModel(load(checkpoint), Settings(precision="fp32", batch_size=4))


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for seed, image in enumerate(IMAGES):
            server.add(f"/{seed}.jpg", body=image)
            server.add(f"/twin-{seed}.jpg", body=image)
        server.add("/page", body=b"<html>sign in</html>", content_type="image/jpeg")
        server.add("/half", body=IMAGES[0][:900])
        server.add_raw("/cut", [b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", IMAGES[0][:900]])
        yield server


@pytest.fixture(scope="module")
def vectors(model: ClipModel) -> list[bytes]:
    """The bits of each image's vector, embedded alone."""
    return [embed([image], model)[0].vector.tobytes() for image in IMAGES]  # type: ignore[union-attr]


def embed(cells: list[object], model: Any, site: ImageServer | None = None, **options: Any) -> list[Row]:
    allowed = (site.address,) if site else ()
    return list(
        embed_alone(cells, model, Settings(batch_size=4, allow_address=allowed, backoff_s=0.0, **options), Report())
    )


def cell_of(kind: str | int, site: ImageServer) -> object:
    cell = f"/{kind}.jpg" if isinstance(kind, int) or kind.startswith("twin") else BROKEN[kind][0]
    return site.url(cell) if isinstance(cell, str) and cell.startswith("/") else cell


kinds = st.one_of(
    st.integers(0, N_IMAGES - 1),
    st.integers(0, N_IMAGES - 1).map(lambda seed: f"twin-{seed}"),
    st.sampled_from(sorted(BROKEN)),
)


@settings(max_examples=40)
@given(kinds=st.lists(kinds, max_size=60))
def test_rows_never_slide(kinds: list[str | int], model: ClipModel, site: ImageServer, vectors: list[bytes]) -> None:
    # Decode workers take longer to start than an example takes; the tests below have them.
    rows = embed([cell_of(kind, site) for kind in kinds], model, site, isolate="never")
    assert len(rows) == len(kinds)
    for kind, row in zip(kinds, rows, strict=True):
        if kind in BROKEN:
            assert (row.vector, row.error) == (None, BROKEN[str(kind)][1])
            assert row.detail
        else:
            assert row.vector is not None
            assert row.vector.tobytes() == vectors[int(str(kind).removeprefix("twin-"))]


def test_slow_rows_keep_their_place_and_delay_nobody(model: ClipModel, vectors: list[bytes]) -> None:
    with ImageServer() as server:
        slow = server.add("/slow", body=IMAGES[0], delay_s=1.0)
        others = [server.add(f"/{seed}", body=IMAGES[seed]) for seed in range(1, N_IMAGES)]
        rows = embed([slow, *others], model, server)
        assert [row.vector.tobytes() for row in rows if row.vector is not None] == vectors
        assert server.requests[0].target == "/slow"


def test_the_same_url_is_fetched_once(model: ClipModel) -> None:
    with ImageServer() as server:
        url = server.add("/a.jpg", body=IMAGES[0], delay_s=0.05)
        report = Report()
        settings = Settings(allow_address=(server.address,))
        rows = list(embed_alone([url, f"{url}#other"] * 500, model, settings, report))
        assert server.n_requests("/a.jpg") == 1
        assert len({row.vector.tobytes() for row in rows if row.vector is not None}) == 1
        assert (report.n_rows, report.n_vectors, report.n_repeats) == (1000, 1000, 999)


def test_the_same_bytes_are_embedded_once_and_each_row_names_its_own_url() -> None:
    model = CountingModel()
    with ImageServer() as server:
        one, two = (server.add(path, body=IMAGES[0]) for path in ("/one", "/two"))
        moved = server.add("/moved", status=302, headers={"Location": two})
        rows = embed([one, two, moved], model, server)
    assert model.n_crops == 1
    assert [row.image.final_url for row in rows if row.image] == [None, None, two]
    assert len({row.image.sha256 for row in rows if row.image}) == 1


PROCESSOR = ProcessorConfig(resize=32, resample=3, center_crop=(32, 32), rescale_factor=None, mean=None, std=None)


class CountingModel:
    """A model that counts its crops and gives each its mean."""

    precision, image_size, dim = "fp32", 32, 1

    def __init__(self) -> None:
        self.n_crops = 0
        self.checkpoint = type("Checkpoint", (), {"processor": PROCESSOR})

    def embed_crops(self, crops: Crops, *, stop: threading.Event | None = None) -> Vectors:
        self.n_crops += len(crops)
        means: Vectors = crops.reshape(len(crops), -1).mean(axis=1, keepdims=True, dtype=np.float32)
        return means


class BrokenModel(CountingModel):
    def embed_crops(self, crops: Crops, *, stop: threading.Event | None = None) -> Vectors:
        raise ZeroDivisionError


def test_a_bug_ends_the_call_and_names_the_row() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        embed([None, IMAGES[0]], BrokenModel())
    assert "row 1" in caught.value.__notes__[0]
    assert "pixvec-loop" not in {thread.name for thread in threading.enumerate()}


def test_rows_come_before_all_cells_are_read(model: ClipModel) -> None:
    with closing(embed_alone(repeat(IMAGES[0]), model, Settings(), Report())) as rows:
        assert next(rows).vector is not None


def test_rows_are_handed_out_as_they_are_decided(model: ClipModel) -> None:
    with ImageServer() as server:
        stuck = server.add_raw("/stuck", [], end="silence")
        settings = Settings(allow_address=(server.address,))
        with (
            Session(model, settings) as session,
            closing(embed_unordered([stuck, None, "no url"], session, Report())) as rows,
        ):
            assert {number: row.error for number, row in islice(rows, 2)} == {1: "null_input", 2: "invalid_url"}


def test_cells_are_read_while_there_is_room(model: ClipModel) -> None:
    n_read = 0

    def cells() -> Iterator[None]:
        nonlocal n_read
        for n_read in range(1, 20):  # noqa: B007 (it is looked at outside)
            yield None

    with Session(model, Settings()) as session:
        rows = embed_unordered(cells(), session, Report(), is_full=lambda: True)
        assert all(n_read <= n_decided + 1 for n_decided, _ in enumerate(rows, start=1))


def test_an_abandoned_call_leaves_no_thread(model: ClipModel) -> None:
    with ImageServer() as server:
        stuck = server.add_raw("/stuck", [], end="silence")
        rows = embed_alone([IMAGES[0], stuck], model, Settings(allow_address=(server.address,)), Report())
        next(rows)
        started = time.monotonic()
        rows.close()
        assert time.monotonic() - started < 2
    gc.collect()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pixvec")]


def test_an_error_while_cells_are_read_is_the_callers(model: ClipModel) -> None:
    def cells() -> Iterator[object]:
        yield IMAGES[0]
        raise LookupError

    with pytest.raises(LookupError):
        list(embed_alone(cells(), model, Settings(), Report()))


def test_progress_is_told_while_a_row_is_waited_for(model: ClipModel) -> None:
    told = []
    with ImageServer() as server:
        url = server.add("/slow", body=IMAGES[0], delay_s=1.0)
        settings = Settings(allow_address=(server.address,))
        list(embed_alone([url], model, settings, Report(), lambda report: told.append(report.n_rows)))
    assert len(told) > 2


def test_fetching_runs_ahead_of_what_is_kept_by_a_bounded_number_of_rows(model: ClipModel) -> None:
    n_taken = n_kept = 0
    with ImageServer() as server, ExitStack() as stack:
        urls = [server.add(f"/{row}", body=IMAGES[row % N_IMAGES]) for row in range(300)]
        settings = Settings(batch_size=4, isolate="never", allow_address=(server.address,))
        session = stack.enter_context(Session(model, settings))
        unkept = embed_unordered(urls, session, Report(), n_unkept=lambda: n_taken - n_kept)
        for n_taken, _ in enumerate(unkept, start=1):
            if n_taken % AHEAD == 0:
                time.sleep(0.2)
                assert len(server.requests) == min(n_kept + AHEAD, len(urls))
                n_kept = n_taken
    assert n_taken == len(urls)
