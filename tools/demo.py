"""Embed a column of 300 image URLs over real HTTP, with the command that a user would run, and show what came of it.

Run by ``make demo``; ``python -m tools.demo 20`` draws fewer. The images are drawn here, the server is on this
machine, and the model is the small one that comes with pixvec: it knows the drawn world and nothing else.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from pixvec import Embedder
from pixvec.pipeline.thumbnails import data_url
from pixvec.reports.gallery import Section, Tile, render_gallery
from pixvec.run.thumbnail_file import read_thumbnails
from pixvec.tables.result_columns import read_vectors
from pixvec.testing.images import encode
from pixvec.testing.server import ImageServer
from pixvec.values import Vector, Vectors
from tools.world import describe, draw_scene, imagine

FOLDER: Final = Path("demo")
N_IMAGES: Final = 262
FIRST_SEED: Final = 1_000_000
SIDE: Final = 192
QUERIES: Final = ("a house", "four boats", "a striped cat")
K: Final = 6


def main(n_images: int = N_IMAGES) -> None:
    """Serve, embed, search, show."""
    FOLDER.mkdir(exist_ok=True)
    table, output = FOLDER / "photos.csv", FOLDER / "photos.parquet"
    with ImageServer() as server:
        command = prepare(server, table, output, n_images)
        print("$ pixvec", *command, flush=True)
        subprocess.run([sys.executable, "-m", "pixvec", *command], check=True)
    sections = list(show(output))
    text = "Drawn images, embedded by pixvec with its demo model, which knows this drawn world and nothing else."
    (FOLDER / "gallery.html").write_text(render_gallery("pixvec demo", sections, text=text), encoding="utf-8")
    print(f"\nThe table is in {output}, a page with the images in {FOLDER / 'gallery.html'}.")


def prepare(server: ImageServer, table: Path, output: Path, n_images: int = N_IMAGES) -> list[str]:
    """Write the table, and give the words of the command that embeds it."""
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("title", "image_url"), *rows(server, n_images)])
    words = ["embed", str(table), "-o", str(output), "--restart", "--model", "demo", "--thumbnails"]
    return [*words, "--allow-address", server.address]


def rows(server: ImageServer, n_images: int) -> Iterator[tuple[str, str]]:
    """Put images on the server, and what goes wrong with images; give titles and URLs in a mixed order."""
    made = [*good_rows(server, n_images), *bad_rows(server)]
    order = np.random.default_rng(0).permutation(len(made))
    return (made[index] for index in order)


def good_rows(server: ImageServer, n_images: int) -> Iterator[tuple[str, str]]:
    """Give images: most at once, some slow, some at a second URL too."""
    for seed in range(n_images):
        scene = imagine(FIRST_SEED + seed)
        body = encode(draw_scene(scene, SIDE), "PNG" if seed % 5 == 0 else "JPEG")
        yield describe(scene), server.add(f"/{seed}", body=body, delay_s=1.5 if seed % 50 == 0 else 0.0)
    for seed in range(8):
        yield f"{describe(imagine(FIRST_SEED + seed))} (again)", server.url(f"/{seed}")


def bad_rows(server: ImageServer) -> Iterator[tuple[str, str]]:
    """Give what a tenth of real URLs is: dead, broken, a web page, no URL at all."""
    half = server.add("/half.jpg", body=encode(draw_scene(imagine(1), SIDE))[:2_000])
    page = server.add("/login.jpg", body=b"<html>Please sign in</html>", content_type="image/jpeg")
    cut = server.add_raw("/cut.jpg", [b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n", b"\xff\xd8\xff"])
    yield from ((f"dead link {number}", server.url(f"/dead/{number}.jpg")) for number in range(16))
    yield from ((f"half a file {number}", f"{half}#{number}") for number in range(4))
    yield from ((f"sign-in page {number}", f"{page}#{number}") for number in range(4))
    yield "connection lost", cut
    yield "not for strangers", "http://169.254.169.254/latest/meta-data/"
    yield "a file's name", "patients/anna.jpg"
    yield from [("nothing", "")] * 3


def show(path: Path) -> Iterator[Section]:
    """Print searches, neighbours and failures, and give each as a section for the page."""
    table = pq.read_table(path)
    column = table["embedding"].combine_chunks()
    vectors, records = read_vectors(table["embedding"]), table.drop_columns(["embedding"]).to_pylist()
    images = thumbnails(path, records)
    with Embedder(model="demo") as embedder:
        for query, vector in zip(QUERIES, embedder.embed_query(list(QUERIES)), strict=True):
            yield section(f"Words: “{query}”", nearest(vectors, vector), records, images)
    first = next(index for index, is_valid in enumerate(column.is_valid().to_pylist()) if is_valid)
    yield section(f"Nearest to: {records[first]['title']}", nearest(vectors, vectors[first]), records, images)
    yield failures(records)
    everything = [(index, 1.0) for index, record in enumerate(records) if record["embedding_error"] is None]
    yield Section("All images", [tile(records[index], "", images) for index, _ in everything])


def thumbnails(path: Path, records: list[dict[str, Any]]) -> dict[bytes, str]:
    """Read the thumbnails that the run kept, as URLs for a page, by the hashes of their images."""
    hashes = {record["embedding_image"]["sha256"] for record in records if record["embedding_image"]}
    return {sha256: data_url(webp) for sha256, webp in read_thumbnails(path, hashes).items()}


def nearest(vectors: Vectors, vector: Vector) -> list[tuple[int, float]]:
    """Find the K rows of highest cosine; rows without a vector come last."""
    cosines = vectors @ vector  # (N,)
    return [(int(index), float(cosines[index])) for index in np.argsort(-cosines)[:K]]


def section(
    title: str, found: list[tuple[int, float]], records: list[dict[str, Any]], images: dict[bytes, str]
) -> Section:
    """Print what was found, and give it as a section."""
    print(f"\n{title}")
    for index, cosine in found:
        print(f"  {cosine:.3f}  {records[index]['title']}")
    return Section(title, [tile(records[index], f"{cosine:.3f}", images) for index, cosine in found])


def failures(records: list[dict[str, Any]]) -> Section:
    """Print the causes of failure with an example each, and give the failed rows as a section."""
    failed = [record for record in records if record["embedding_error"]]
    print("\nRows without a vector")
    for code, n in sorted(Counter(record["embedding_error"] for record in failed).items()):
        example = next(record for record in failed if record["embedding_error"] == code)
        print(f"  {n:2}  {code:16} {example['title']}: {example['embedding_detail']}")
    notes = ((record, f"{record['embedding_error']}: {record['embedding_detail']}") for record in failed)
    return Section("Rows without a vector", [tile(record, note, {}) for record, note in notes])


def tile(record: dict[str, Any], note: str, images: dict[bytes, str]) -> Tile:
    """Give a row as a tile."""
    image = record["embedding_image"]
    return Tile(record["title"], note, images.get(image["sha256"]) if image else None)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
