"""A thumbnail of each distinct image is kept beside the output, whatever happens to the run."""

from __future__ import annotations

import hashlib
import io
import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

import pixvec
from pixvec.cli import execute
from pixvec.pipeline.report import Report
from pixvec.testing.images import draw, encode, image_bytes
from pixvec.testing.server import ImageServer
from tests.run.conftest import N_ROWS, PART_ROWS, Run, contents, csv_lines, run_options

OUTPUTS = pytest.mark.parametrize("output", ["out.csv", "out.parquet", "out/"])


def file_of(output: str) -> str:
    return f"{output.rstrip('/')}.thumbnails.parquet"


def kept(run: Run, output: str) -> dict[bytes, bytes]:
    table = pq.read_table(run.folder / file_of(output))
    hashes = table["sha256"].to_pylist()
    assert len(set(hashes)) == len(hashes)
    return dict(zip(hashes, table["image"].to_pylist(), strict=True))


def hashes_of(rows: range) -> list[bytes]:
    bodies = [image_bytes("PNG", size=(40, 40), seed=row) for row in rows if row % 10 != 3]
    return [hashlib.sha256(body).digest() for body in bodies]


@OUTPUTS
def test_each_distinct_image_has_one_in_the_order_in_which_rows_name_it(output: str, run: Run) -> None:
    run.write([*csv_lines(run.site), *csv_lines(run.site)[1:4]])
    run(output, thumbnails=32)
    assert list(kept(run, output)) == hashes_of(range(N_ROWS))
    assert run.leftovers() == []


def test_it_is_a_webp_of_the_whole_image_upright_and_on_white(run: Run, server: ImageServer) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    file = io.BytesIO()
    draw((400, 200)).save(file, "JPEG", exif=turned)
    clear = Image.new("RGBA", (200, 50), (0, 0, 0, 0))
    bodies = [file.getvalue(), encode(clear, "PNG"), encode(draw((30, 20)), "PNG")]
    urls = [server.add(f"/{number}", body=body) for number, body in enumerate(bodies)]
    run.write(["image_url", *urls])
    run("out.parquet", allow_address=(server.address,), thumbnails=96, isolate="always")
    shown = [Image.open(io.BytesIO(data)) for data in kept(run, "out.parquet").values()]
    assert [(image.format, image.size) for image in shown] == [
        *(("WEBP", (48, 96)), ("WEBP", (96, 24)), ("WEBP", (30, 20)))
    ]
    assert all(level > 250 for level in shown[1].convert("RGB").tobytes())


@OUTPUTS
def test_vectors_are_the_same_with_them(output: str, run: Run, whole: dict[str, bytes]) -> None:
    run(output, thumbnails=96)
    made = contents(run.folder)
    assert len(made.pop(file_of(output))) > 0
    assert made
    assert made.items() <= whole.items()


@OUTPUTS
def test_a_stopped_run_ends_with_the_same_file(output: str, run: Run, tmp_path_factory: pytest.TempPathFactory) -> None:
    straight = Run(tmp_path_factory.mktemp("straight"), run.site, run.options)
    straight(output, thumbnails=32)
    run.stopped(output, thumbnails=32, after=2)
    run(output, thumbnails=32)
    assert contents(run.folder) == contents(straight.folder)
    assert run.leftovers() == []


def test_rows_that_are_kept_of_an_unfinished_part_keep_theirs(run: Run) -> None:
    def interrupt(report: Report) -> None:
        if report.n_new > N_ROWS // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("out.csv", thumbnails=32, part_rows=N_ROWS, progress=interrupt)
    assert run("out.csv", thumbnails=32, part_rows=N_ROWS).n_resumed > 0
    assert list(kept(run, "out.csv")) == hashes_of(range(N_ROWS))


@OUTPUTS
def test_images_of_parts_that_were_finished_without_are_counted(
    output: str, run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    slow = run.site.add("/slow.png", body=image_bytes("PNG", size=(40, 40), seed=999), delay_s=1.5)
    run.write([*csv_lines(run.site), f"slow,{slow},a"])
    run.stopped(output, after=2)
    with caplog.at_level(logging.WARNING, "pixvec"):
        run(output, thumbnails=32)
    n_images = N_ROWS - 4 + 1
    n_without = n_images - len(kept(run, output))
    assert 0 < n_without < n_images
    assert f"{n_without} images have no thumbnail" in caplog.text


def test_a_finished_output_says_that_it_has_none(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run("out.csv")
    with caplog.at_level(logging.WARNING, "pixvec"):
        assert run("out.csv", thumbnails=96).was_finished
    assert "out.csv was finished without thumbnails, and a restart alone makes them" in caplog.text


@OUTPUTS
def test_a_retry_adds_those_of_the_images_that_it_embeds(output: str, tmp_path: Path, server: ImageServer) -> None:
    for row in range(20):
        server.add(f"/{row}.png", body=image_bytes("PNG", size=(40, 40), seed=row))
    server.add("/5.png", status=500)
    run = Run(tmp_path, server, run_options(server, "demo"))
    run.write(["image_url", *(server.url(f"/{row}.png") for row in range(20) if row % 10 != 3)])
    run(output, thumbnails=32)
    before = kept(run, output)
    server.add("/5.png", body=image_bytes("PNG", size=(40, 40), seed=5))
    run(output, retry_failed=True, thumbnails=32)
    (added,) = hashes_of(range(5, 6))
    assert list(kept(run, output).items())[:-1] == list(before.items())
    assert list(kept(run, output))[-1] == added
    assert run.leftovers() == []


def test_a_folder_that_grew_keeps_what_it_had(run: Run) -> None:
    run("out/", thumbnails=32)
    before = kept(run, "out/")
    run.write(csv_lines(run.site, N_ROWS + 6))
    run("out/", thumbnails=32)
    assert list(kept(run, "out/")) == hashes_of(range(N_ROWS + 6))
    assert kept(run, "out/").items() > before.items()


@OUTPUTS
def test_a_restart_begins_anew(output: str, run: Run) -> None:
    run(output, thumbnails=32)
    run.write(csv_lines(run.site, PART_ROWS))
    run(output, thumbnails=16, restart=True)
    assert list(kept(run, output)) == hashes_of(range(PART_ROWS))


@pytest.mark.parametrize(("first", "n_asked"), [({}, 1), ({"thumbnails": 16}, 1), ({"thumbnails": 32}, 0)])
def test_the_cache_keeps_them_and_an_image_without_one_is_not_known(
    first: dict[str, int], n_asked: int, run: Run, tmp_path: Path
) -> None:
    run.write(csv_lines(run.site, 3))
    run("first.csv", cache=tmp_path / "cache", **first)
    report = run("out.csv", cache=tmp_path / "cache", thumbnails=32)
    assert (report.n_cached == 0) == bool(n_asked)
    assert list(kept(run, "out.csv")) == hashes_of(range(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"thumbnails": 15}, "expected at least 16"),
        ({"thumbnails": 513}, "expected at most 512"),
        ({"thumbnails": 96, "image_info": False}, "`image_info`"),
        ({"thumbnails": 96, "texts": "note", "column": None}, "texts have none"),
    ],
)
def test_wrong_use_is_named(options: dict[str, object], message: str, run: Run) -> None:
    with pytest.raises(pixvec.UsageError, match=message):
        run("out.csv", **options)


def test_a_folder_of_tables_is_read_without_them(run: Run) -> None:
    (run.folder / "tables").mkdir()
    run("tables/out.parquet", thumbnails=32)
    report = pixvec.embed_file(run.folder / "tables", run.folder / "again.csv", **run.options, replace_column=True)
    assert report.n_rows == N_ROWS


@pytest.mark.parametrize(
    ("words", "side"),
    [
        (["--thumbnails", "IN", "-o", "OUT"], 96),
        (["IN", "-o", "OUT", "--thumbnails"], 96),
        (["IN", "--thumbnails=20", "-o", "OUT"], 20),
        (["IN", "--thumbnails", "20", "-o", "OUT"], 20),
        (["IN", "--thumbnails=9", "-o", "OUT"], None),
    ],
)
def test_the_flag_takes_no_argument_for_its_number(
    words: list[str], side: int | None, run: Run, server: ImageServer
) -> None:
    run.write(["image_url", server.add("/0", body=encode(draw((200, 100)), "PNG"))])
    paths = {"IN": str(run.input), "OUT": str(run.folder / "out.csv")}
    reach = ["--model", "demo", "--allow-address", server.address, "--isolate", "never", "--quiet"]
    assert execute(["embed", *(paths.get(word, word) for word in words), *reach]) == (0 if side else 2)
    if side:
        assert [Image.open(io.BytesIO(data)).width for data in kept(run, "out.csv").values()] == [side]
