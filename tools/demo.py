"""Embed a column of URLs of drawn pictures, over real HTTP, with the command that a user would run.

Run by ``make demo``. The model is a tiny one of random weights: its vectors are of the right form and mean nothing.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from pixvec.testing.checkpoints import make_checkpoint
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

FOLDER = Path("demo")
N_PICTURES = 60


def main() -> None:
    """Serve, embed, and show what came of it."""
    FOLDER.mkdir(exist_ok=True)
    with ImageServer() as server, tempfile.TemporaryDirectory() as model:
        make_checkpoint(Path(model))
        with (FOLDER / "photos.csv").open("w", newline="") as file:
            csv.writer(file).writerows([("title", "image_url"), *rows(server)])
        command = ["embed", str(FOLDER / "photos.csv"), "-o", str(FOLDER / "photos.parquet"), "--restart"]
        flags = ["--model", model, "--allow-address", server.address]
        print("$ pixvec", *command, *flags, flush=True)
        subprocess.run([sys.executable, "-m", "pixvec", *command, *flags], check=True)
    show(FOLDER / "photos.parquet")


def rows(server: ImageServer) -> Iterator[tuple[str, str]]:
    """Put pictures and what goes wrong with pictures on the server, and name them."""
    for seed in range(N_PICTURES):
        yield f"drawing {seed}", server.add(f"/{seed}.jpg", body=image_bytes(seed=seed))
    yield "slow", server.add("/slow.png", body=image_bytes("PNG"), delay_s=1.0)
    yield "dead", server.url("/dead.jpg")
    yield "half a file", server.add("/half.jpg", body=image_bytes()[:2_000])
    yield "a web page", server.add("/page.jpg", body=b"<html>Please sign in</html>", content_type="image/jpeg")
    yield "not for strangers", "http://169.254.169.254/latest/meta-data/"
    yield "no URL", "patients/anna.jpg"
    yield "empty", ""


def show(path: Path) -> None:
    """Print the first row and those without a vector."""
    table = pq.read_table(path)
    print(f"\n{path}: {table.num_rows} rows, columns {', '.join(table.column_names)}")
    for row in [table.slice(0, 1).to_pylist()[0], *(row for row in table.to_pylist() if row["embedding_error"])]:
        vector = row["embedding"] and "[" + ", ".join(f"{number:.3f}" for number in row["embedding"][:4]) + ", ...]"
        print(f"  {row['title']:18} {vector or row['embedding_error'] + ': ' + row['embedding_detail']}")
    print("\nThe model of this demo has random weights: its vectors are real in form only.")


if __name__ == "__main__":
    main()
