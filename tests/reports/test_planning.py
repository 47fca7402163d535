"""`pixvec plan` tells what a run will meet and cost."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.cli import execute
from pixvec.errors import UsageError
from pixvec.fetch import Fetcher, FetchOptions
from pixvec.reports.planning import Plan, PlanOptions, plan_run
from pixvec.reports.planning.survey import DifferentKeys, Survey, survey_cells
from pixvec.reports.planning.text import plan_text
from pixvec.testing.bad_manners import RateLimit
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer


def survey(cells: list[Any], *, sample: int = 20) -> Survey:
    return survey_cells(cells, Fetcher(FetchOptions()), sample=sample)


def url(host: str, number: int) -> str:
    return f"https://{host}.example/{number}.jpg"


# The survey ----------------------------------------------------------------------------------------------------------


def test_what_needs_no_server_is_counted() -> None:
    found = survey([url("a", 1), url("a", 1), url("b", 1), None, " ", "ftp://a.example/", "images/cat.jpg"])
    assert (found.n_rows, found.n_urls, found.n_different, found.is_exact) == (7, 3, 2, True)
    assert found.refused == Counter(null_input=2, scheme_blocked=1, invalid_url=1)
    assert found.hosts == Counter({"a.example": 2, "b.example": 1})


def test_the_sample_depends_on_nothing_but_the_urls() -> None:
    cells = [url(host, number) for host in "abc" for number in range(50)]
    shuffled = random.Random(0).sample(cells, len(cells))
    assert survey(cells).sample == survey(shuffled).sample
    assert {one.cell for one in survey(cells * 2).sample} == {one.cell for one in survey(cells).sample}


def test_every_host_is_in_the_sample_as_long_as_there_is_room() -> None:
    cells = [url("large", number) for number in range(1_000)] + [url(f"small{number}", 1) for number in range(9)]
    sampled = Counter(one.host for one in survey(cells, sample=20).sample)
    assert len(sampled) == 10
    assert sampled.total() == 20


def test_no_more_is_sampled_than_there_is() -> None:
    assert {one.cell for one in survey([url("a", 1), url("a", 2)] * 3).sample} == {url("a", 1), url("a", 2)}
    assert survey([]).sample == ()


def test_the_rows_of_each_sampled_url_are_counted_without_a_miss() -> None:
    cells = [url("a", number) for number in range(200) for _ in range(number % 7 + 1)]
    random.Random(1).shuffle(cells)
    counts = Counter(cells)
    assert [one.n_rows for one in survey(cells).sample] == [counts[one.cell] for one in survey(cells).sample]


def test_images_as_cells_are_refused() -> None:
    with pytest.raises(UsageError, match="nothing to plan for"):
        survey([b"image"])


def test_keys_that_do_not_fit_are_estimated() -> None:
    keys, rng = DifferentKeys(size=1_000), random.Random(2)
    numbers = [rng.getrandbits(64) for _ in range(50_000)]
    for key in numbers * 2:
        keys.add(key)
    assert not keys.is_exact
    assert keys.n == pytest.approx(50_000, rel=0.2)


# The plan ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        for number in range(6):
            server.add(f"/{number}.jpg", body=image_bytes(seed=number))
        server.add("/page", body=b"<html>")
        yield server


@pytest.fixture(scope="module")
def photos(site: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four rows: sixteen with six images, five dead links, a page and two empty cells."""
    live = [site.url(f"/{number}.jpg") for number in range(6)] * 2 + [site.url("/0.jpg")] * 4
    dead = [site.url(f"/dead/{number}?token=SECRET") for number in range(5)]
    cells = [*live, *dead, site.url("/page"), None, None]
    return write_cells(tmp_path_factory.mktemp("plan") / "photos.parquet", cells)


@pytest.fixture(scope="module")
def options(checkpoint: str, site: ImageServer) -> dict[str, Any]:
    return {"model": checkpoint, "allow_address": (site.address,), "batch_size": 4, "isolate": "never"}


@pytest.fixture(scope="module")
def plan(photos: Path, options: dict[str, Any]) -> Plan:
    return plan_run(photos, PlanOptions(**options))


def write_cells(path: Path, cells: Sequence[str | None]) -> Path:
    pq.write_table(pa.table({"image_url": pa.array(cells, pa.string())}), path)
    return path


def test_where_all_is_tried_the_plan_is_exact(plan: Plan) -> None:
    assert (plan.n_rows, plan.n_urls, plan.n_different, plan.n_tried, plan.n_hosts) == (24, 22, 12, 12, 1)
    assert plan.vectors_share == pytest.approx(16 / 24)
    assert plan.vectors_margin == 0
    assert [(outcome.code, outcome.n_rows, outcome.n_tried) for outcome in plan.outcomes] == [
        *(("http_404", 5, 5), ("null_input", 2, 0), ("not_an_image", 1, 1)),
    ]
    assert plan.formats == {"JPEG": 6}
    assert plan.short_side == 240


def test_each_url_is_asked_for_once(photos: Path, options: dict[str, Any], site: ImageServer) -> None:
    before = Counter(request.target for request in site.requests)
    found = plan_run(photos, PlanOptions(**options))
    asked = Counter(request.target for request in site.requests) - before
    assert (set(asked.values()), asked.total()) == ({1}, found.n_tried)


def test_time_memory_and_disk_are_estimated(plan: Plan) -> None:
    assert [stage.name for stage in plan.stages] == ["fetch", "decode", "model"]
    assert all(stage.per_second > 0 for stage in plan.stages)
    slowest = max(plan.stages, key=lambda stage: stage.seconds)
    assert plan.bottleneck == slowest.name
    assert plan.seconds_low >= plan.start_s + max(slowest.seconds, sum(stage.seconds for stage in plan.stages[1:]))
    assert plan.seconds_high == plan.seconds_low
    assert plan.memory_bytes > 50e6
    assert plan.disk_bytes > plan.output_bytes > 16 * 32 * 4


def test_a_sample_stands_for_its_column(site: ImageServer, options: dict[str, Any], tmp_path: Path) -> None:
    body = image_bytes(size=(64, 64))
    cells = [site.add(f"/{row}", body=body) if row % 4 else site.url(f"/dead{row}") for row in range(400)]
    found = plan_run(write_cells(tmp_path / "photos.parquet", cells), PlanOptions(**options, sample=100))
    assert found.n_tried == 100
    assert 0 < found.vectors_margin < 0.15
    assert found.vectors_share == pytest.approx(0.75, abs=0.15)


def test_a_host_with_a_limit_is_expected_to_keep_to_it(
    site: ImageServer, options: dict[str, Any], tmp_path: Path
) -> None:
    limit = RateLimit(20, b"HTTP/1.1 429 -\r\nContent-Length: 0\r\n\r\n")
    body = image_bytes(size=(64, 64))
    answer = limit.guard(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    cells = [site.add_raw(f"/limited/{row}", answer) for row in range(2_000)]
    found = plan_run(
        write_cells(tmp_path / "photos.parquet", cells), PlanOptions(**options, sample=60, tries=20, backoff_s=0.1)
    )
    assert limit.n_refused > 0
    assert found.stages[0].per_second < 2 * 20


def test_nothing_private_is_asked_without_leave(photos: Path, checkpoint: str, site: ImageServer) -> None:
    n_requests = len(site.requests)
    found = plan_run(photos, PlanOptions(model=checkpoint, isolate="never"))
    assert [outcome.code for outcome in found.outcomes] == ["address_blocked", "null_input"]
    assert (found.vectors_share, len(site.requests)) == (0, n_requests)


@pytest.mark.parametrize("cells", [[], [None] * 3], ids=["no rows", "no URLs"])
def test_a_column_without_urls_costs_nothing(cells: list[str | None], options: dict[str, Any], tmp_path: Path) -> None:
    found = plan_run(write_cells(tmp_path / "photos.parquet", cells), PlanOptions(**options))
    assert (found.n_rows, found.n_tried, found.vectors_share) == (len(cells), 0, 0)
    assert [stage.seconds for stage in found.stages] == [0, 0, 0]
    assert plan_text(found)


@pytest.mark.parametrize("name", ["tables", "tables/*.csv"])
def test_several_files_are_one_table(name: str, options: dict[str, Any], site: ImageServer, tmp_path: Path) -> None:
    (tmp_path / "tables").mkdir()
    for number in range(2):
        (tmp_path / f"tables/{number}.csv").write_text(f"id;image_url\n1;{site.url(f'/{number}.jpg')}\n")
    found = plan_run(tmp_path / name, PlanOptions(**options, delimiter=";"))
    assert (found.n_rows, found.n_tried, found.vectors_share) == (2, 2, 1)


def test_a_folder_of_images_needs_no_server(checkpoint: str, tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").write_bytes(image_bytes())
    (tmp_path / "dog.jpg").write_bytes(b"<html>")
    found = plan_run(tmp_path, PlanOptions(model=checkpoint, isolate="never"))
    assert (found.n_rows, found.n_hosts, found.vectors_share) == (2, 0, 0.5)
    assert [(outcome.code, outcome.example) for outcome in found.outcomes] == [("not_an_image", "dog.jpg")]


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def flags(options: dict[str, Any]) -> list[str]:
    return ["--model", options["model"], "--allow-address", options["allow_address"][0], "--isolate", "never"]


def test_the_command_tells_it(photos: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["plan", str(photos), *flags]) == 0
    told, noted = capsys.readouterr()
    assert told.startswith("photos.parquet, column image_url: 24 rows, tried 12 URLs\n")
    assert "http_404: about 5 rows (5 tried)" in told
    assert "fetching 12 of 12 different URLs" in noted
    assert "SECRET" not in told + noted
    assert [path.name for path in photos.parent.iterdir()] == ["photos.parquet"]


def test_the_command_gives_json(photos: Path, flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["plan", str(photos), *flags, "--json", "--quiet"]) == 0
    told, noted = capsys.readouterr()
    said = json.loads(told)
    assert (said["n_rows"], said["outcomes"][0]["code"], noted) == (24, "http_404", "")


def test_a_sample_of_nothing_is_wrong_use(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["plan", str(photos), "--sample", "0"]) == 2
    assert "--sample 0: expected at least 1" in capsys.readouterr().err
