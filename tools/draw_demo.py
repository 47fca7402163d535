"""Draw docs/demo.svg, the picture of the README, from a real run of the demo: what the command says, what words find.

Run as ``python -m tools.draw_demo``. The picture is a card of its own colours, so that it looks the same on a light and
on a dark page, and it holds its pictures, since a page like GitHub's loads nothing for one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import pyarrow.parquet as pq

from pixvec import Embedder
from pixvec.tables.result_columns import read_vectors
from pixvec.testing.server import ImageServer
from tools.demo import QUERIES, K, nearest, prepare, thumbnails

PICTURE: Final = Path(__file__).parent.parent / "docs/demo.svg"
WIDTH: Final = 960
MARGIN: Final = 28
LINE: Final = 20
SIDE: Final = 112
GAP: Final = 12
LEFT: Final = WIDTH - MARGIN - K * SIDE - (K - 1) * GAP
SHELF: Final = SIDE + 34
STYLE: Final = """
.card { fill: #10201f } .bar { fill: #1b3331 }
text { font: 12.5px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #c9dad7 }
.command { fill: #ffffff } .prompt { fill: #4fd1b5 } .reasons { fill: #f2b98a }
.query { font: 600 16px system-ui, "Segoe UI", Helvetica, Arial, sans-serif; fill: #ffffff }
.note { fill: #8fa8a4; font-size: 11.5px }
"""


def main() -> None:
    """Embed the demo's table, search it, draw both."""
    with tempfile.TemporaryDirectory() as folder, ImageServer() as server:
        output = Path(folder) / "photos.parquet"
        command = prepare(server, Path(folder) / "photos.csv", output)
        told = subprocess.run(
            [sys.executable, "-m", "pixvec", *command], check=True, stderr=subprocess.PIPE, text=True
        ).stderr
        table = pq.read_table(output)
        pictures = thumbnails(output, table.drop_columns(["embedding"]).to_pylist())
    said = [" ".join(["pixvec", *command]), *told.splitlines()]
    PICTURE.write_text(draw([line.replace(f"{folder}/", "") for line in said], table, pictures), encoding="utf-8")
    print(f"{PICTURE} written, {PICTURE.stat().st_size:,} bytes")


def draw(said: Sequence[str], table: Any, pictures: dict[bytes, str]) -> str:
    """Give the picture as SVG: the terminal's lines, and below them a shelf for each query."""
    top = 52 + LINE * len(said) + 12
    height = top + SHELF * len(QUERIES) + 16
    parts = [*terminal(said), *shelves(top, table, pictures)]
    alt = "pixvec embeds a table of picture URLs, says why rows have no vector, and finds pictures by words"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{alt}">\n<style>{STYLE}</style>\n'
        f'<rect class="card" width="{WIDTH}" height="{height}" rx="12"/>\n'
        f'<path class="bar" d="M0 32V12Q0 0 12 0H{WIDTH - 12}Q{WIDTH} 0 {WIDTH} 12V32Z"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def terminal(said: Sequence[str]) -> Iterator[str]:
    """Write the command, and what it told."""
    yield from (f'<circle cx="{20 + 18 * i}" cy="16" r="5" fill="#4b6b67"/>' for i in range(3))
    for row, line in enumerate(said):
        kind = "command" if row == 0 else "reasons" if line.startswith("failures:") else "told"
        prompt = '<tspan class="prompt">$ </tspan>' if row == 0 else ""
        yield f'<text class="{kind}" x="{MARGIN}" y="{60 + LINE * row}">{prompt}{escape(line)}</text>'


def shelves(top: int, table: Any, pictures: dict[bytes, str]) -> Iterator[str]:
    """Search with each query, and put what is nearest on its shelf."""
    images, vectors = table["embedding_image"].to_pylist(), read_vectors(table["embedding"])
    with Embedder(model="demo") as embedder:
        queries = embedder.embed_query(list(QUERIES))
    for number, (query, vector) in enumerate(zip(QUERIES, queries, strict=True)):
        y = top + SHELF * number
        yield f'<text class="query" x="{MARGIN}" y="{y + SIDE / 2 - 2}">“{escape(query)}”</text>'
        yield f'<text class="note" x="{MARGIN}" y="{y + SIDE / 2 + 18}">nearest pictures</text>'
        for place, (row, cosine) in enumerate(nearest(vectors, vector)):
            x = LEFT + (SIDE + GAP) * place
            box = f'x="{x}" y="{y}" width="{SIDE}" height="{SIDE}"'
            yield f'<clipPath id="c{number}{place}"><rect {box} rx="6"/></clipPath>'
            yield f'<image {box} clip-path="url(#c{number}{place})" href="{pictures[images[row]["sha256"]]}"/>'
            yield f'<text class="note" x="{x}" y="{y + SIDE + 17}">{cosine:.3f}</text>'


if __name__ == "__main__":
    main()
