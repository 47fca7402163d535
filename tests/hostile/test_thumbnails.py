"""A file of thumbnails may be anybody's: at worst a page shows a wrong image, or fetches what has no thumbnail."""

from __future__ import annotations

import io
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pixvec.cli import execute
from pixvec.testing.images import draw, encode, image_bytes
from pixvec.testing.server import ImageServer

N = 3
SCHEMA = pa.schema([("sha256", pa.binary(32)), ("image", pa.binary())])
SHOWN = re.compile(r'src="(data:image/webp;base64,[A-Za-z0-9+/=]+)"')


@pytest.fixture(scope="module")
def site() -> Iterator[ImageServer]:
    with ImageServer() as server:
        yield server


@pytest.fixture(scope="module")
def made(site: ImageServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    urls = [site.add(f"/{seed}.jpg", body=image_bytes(seed=seed, size=(80, 60))) for seed in range(N)]
    (folder / "in.csv").write_text("\n".join(["image_url", *urls, *urls]) + "\n")
    words = ("--model", "demo", "--allow-address", site.address, "--isolate", "never", "--thumbnails=64", "--quiet")
    for name in ("t.parquet", "t.csv"):
        assert execute(["embed", str(folder / "in.csv"), "-o", str(folder / name), *words]) == 0
    return folder


@pytest.fixture
def table(made: Path, tmp_path: Path) -> Path:
    shutil.copytree(made, tmp_path / "of")
    return tmp_path / "of/t.parquet"


def thumbnails(table: Path) -> Path:
    return table.with_name(f"{table.name}.thumbnails.parquet")


def rewrite(table: Path, images: list[bytes | None], **how: Any) -> None:
    hashes = pq.read_table(thumbnails(table))["sha256"]
    pq.write_table(pa.table([hashes, images], schema=SCHEMA), thumbnails(table), **{"compression": "none", **how})


def shown(table: Path, site: ImageServer, *words: str) -> tuple[list[str], int]:
    """Make the page of duplicates, where each image is once; return its images and how many requests it took."""
    page, n_requests = table.with_name("page.html"), len(site.requests)
    reach = ("--restart", "--allow-address", site.address, "--isolate", "never")
    assert execute([*(words or ("dedupe", str(table), "--html", str(page))), *reach]) == 0
    text = page.read_text(encoding="utf-8")
    assert text.count("src=") == len(SHOWN.findall(text))
    return SHOWN.findall(text), len(site.requests) - n_requests


@pytest.mark.parametrize("name", ["t.parquet", "t.csv"])
def test_pages_show_what_was_kept_and_fetch_nothing(name: str, table: Path, site: ImageServer) -> None:
    images, n_requests = shown(table.with_name(name), site)
    assert (len(set(images)), n_requests) == (N, 0)


def test_the_page_of_a_search_shows_it_too(table: Path, site: ImageServer) -> None:
    images, n_requests = shown(table, site, "search", str(table), "a fir", "-o", str(table.with_name("page.html")))
    assert (len(set(images)), n_requests) == (N, 0)


def test_an_image_without_a_thumbnail_is_fetched(table: Path, site: ImageServer) -> None:
    pq.write_table(pq.read_table(thumbnails(table)).slice(1), thumbnails(table), compression="none")
    images, n_requests = shown(table, site)
    assert (len(images), n_requests) == (N, 1)


def animation() -> bytes:
    file = io.BytesIO()
    draw((40, 30)).save(file, "WEBP", save_all=True, append_images=[draw((40, 30)).rotate(180)], duration=9)
    return file.getvalue()


def tagged() -> bytes:
    file = io.BytesIO()
    draw((40, 30)).save(file, "WEBP", exif=b"Exif\0\0<script>")
    return file.getvalue()


def claiming(side: int) -> bytes:
    webp = bytearray(encode(draw((40, 30)), "WEBP"))
    webp[26:30] = side.to_bytes(2, "little") * 2
    return bytes(webp)


@pytest.mark.parametrize(
    "image",
    [
        pytest.param(b"", id="empty"),
        pytest.param(None, id="null"),
        pytest.param(b'"><script>alert(1)</script>', id="html"),
        pytest.param(b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>" * 9, id="svg"),
        pytest.param(encode(draw((40, 30)), "PNG"), id="png"),
        pytest.param(encode(draw((40, 30)), "WEBP") + b"<script>", id="more behind it"),
        pytest.param(encode(draw((40, 30)), "WEBP")[:200], id="cut"),
        pytest.param(animation(), id="animated"),
        pytest.param(tagged(), id="with metadata"),
        pytest.param(encode(draw((600, 20)), "WEBP"), id="too large"),
        pytest.param(claiming(16_383), id="claims to be too large"),
        pytest.param(b"RIFF\x04\0\0\0WEBP" + bytes(2_000_000), id="2 MB"),
    ],
)
def test_what_is_no_small_webp_is_left_aside_and_the_image_fetched(
    image: bytes | None, table: Path, site: ImageServer
) -> None:
    rewrite(table, [image, *pq.read_table(thumbnails(table))["image"].to_pylist()[1:]])
    images, n_requests = shown(table, site)
    assert (len(images), n_requests) == (N, 1)


def test_a_webp_whose_pixels_are_broken_is_an_empty_frame(table: Path, site: ImageServer) -> None:
    webp = encode(draw((40, 30)), "WEBP")
    rewrite(table, [webp[:30] + bytes(len(webp) - 30)] * N)
    images, n_requests = shown(table, site)
    assert (len(images) < N or len(set(images)) == 1, n_requests) == (True, 0)


def test_what_is_shown_was_written_anew(table: Path, site: ImageServer) -> None:
    """A page holds no byte that the file's author chose."""
    hidden = encode(draw((64, 64)).convert("L"), "WEBP")
    rewrite(table, [hidden] * N)
    images, _ = shown(table, site)
    assert len(images) == N
    assert hidden[:60] not in Path(table.with_name("page.html")).read_bytes()


def compressed(table: Path) -> None:
    rewrite(table, pq.read_table(thumbnails(table))["image"].to_pylist(), compression="zstd")


def of_other_columns(table: Path) -> None:
    pq.write_table(pa.table({"sha256": ["x"], "image": [b""]}), thumbnails(table), compression="none")


def of_one_column(table: Path) -> None:
    pq.write_table(pq.read_table(thumbnails(table)).select(["sha256"]), thumbnails(table), compression="none")


def of_texts(table: Path) -> None:
    hashes = pq.read_table(thumbnails(table))["sha256"]
    pq.write_table(pa.table({"sha256": hashes, "image": ["a"] * N}), thumbnails(table), compression="none")


def of_a_large_row_group(table: Path) -> None:
    images = pa.table([[bytes(32)] * 5_000, [b"x"] * 5_000], schema=SCHEMA)
    pq.write_table(images, thumbnails(table), compression="none")


def of_no_parquet(table: Path) -> None:
    thumbnails(table).write_bytes(b"PAR1" + bytes(400) + b"PAR1")


def with_a_broken_page(table: Path) -> None:
    content = bytearray(thumbnails(table).read_bytes())
    content[200:260] = bytes(60)
    thumbnails(table).write_bytes(content)


@pytest.mark.parametrize(
    "spoil",
    [compressed, of_other_columns, of_one_column, of_texts, of_a_large_row_group, of_no_parquet, with_a_broken_page],
)
def test_a_file_that_is_none_of_ours_is_left_aside_with_a_warning(
    spoil: Callable[[Path], None], table: Path, site: ImageServer, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(table)
    with caplog.at_level(logging.WARNING, "pixvec"):
        images, n_requests = shown(table, site)
    assert (len(images), n_requests) == (N, N)
    assert "is no file of thumbnails" in caplog.text


def test_a_folder_or_a_pipe_in_its_place_is_left_aside(table: Path, site: ImageServer) -> None:
    thumbnails(table).unlink()
    thumbnails(table).mkdir()
    assert shown(table, site)[1] == N


READ = """
import resource, sys
from pathlib import Path
from pixvec.run.thumbnail_file import read_thumbnails
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert read_thumbnails(Path(sys.argv[1]), {bytes(32)}) == {}
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_one_large_image_that_is_named_a_thousand_times_takes_the_memory_of_one(tmp_path: Path) -> None:
    table = tmp_path / "t.parquet"
    images = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array([bytes(8_000_000)]))
    large = pa.table({"sha256": pa.array([bytes(32)] * 1_000, pa.binary(32)), "image": images})
    how = {"compression": "none", "dictionary_pagesize_limit": 1 << 28, "store_schema": False}
    pq.write_table(large, thumbnails(table), **how)
    assert thumbnails(table).stat().st_size < 20_000_000
    command = [sys.executable, "-c", READ, str(table)]
    read = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert int(read.stdout) < 200
