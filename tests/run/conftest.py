"""Runs that are stopped and go on: a site of small images, a table of their URLs, and what may stop a run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import pixvec
from pixvec.pipeline.report import OnProgress, Report
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

N_ROWS = 40
PART_ROWS = 8


@pytest.fixture(scope="session")
def site() -> Iterator[ImageServer]:
    """A server with more images than rows."""
    with ImageServer() as server:
        for seed in range(N_ROWS + 10):
            server.add(f"/{seed}.png", body=image_bytes("PNG", size=(40, 40), seed=seed))
        yield server


def csv_lines(site: ImageServer, n_rows: int = N_ROWS) -> list[str]:
    """Write rows of images; each tenth URL leads nowhere."""
    paths = (f"/dead{row}" if row % 10 == 3 else f"/{row}.png" for row in range(n_rows))
    return ["id,image_url,note", *(f'0{row},{site.url(path)},"a, b"' for row, path in enumerate(paths))]


@dataclass
class Run:
    """A command that is given again and again, in the caller's process."""

    folder: Path
    site: ImageServer
    options: dict[str, Any]
    input: Path = field(init=False)

    def __post_init__(self) -> None:
        self.input = self.folder / "in.csv"
        self.write(csv_lines(self.site))

    def write(self, lines: list[str]) -> None:
        self.input.write_text("\n".join(lines) + "\n")

    def __call__(self, output: str, **options: Any) -> Report:
        return pixvec.embed_file(self.input, f"{self.folder}/{output}", **{**self.options, **options})

    def stopped(self, output: str, *, after: int = 1, **options: Any) -> KeyboardInterrupt:
        """Begin, and interrupt it when so many parts are finished, the first ones."""
        with pytest.raises(KeyboardInterrupt) as caught:
            self(output, progress=self._interrupting(output, after), **options)
        return caught.value

    def parts(self, output: str) -> list[str]:
        """Name the finished parts, wherever they wait."""
        name = output.rstrip("/")
        folders = [self.folder / name, *(self.folder / f".{name}.pixvec" / sub for sub in (".", "replacement"))]
        return sorted(path.name for folder in folders for path in folder.glob("part-*"))

    def leftovers(self) -> list[str]:
        """Name what a run left that is not its output."""
        return sorted(path.name for path in self.folder.iterdir() if path.name.startswith("."))

    def _n_first_parts(self, output: str) -> int:
        n_parts = stop = 0
        for name in self.parts(output):
            if int(name[5:17]) > stop:
                break
            n_parts, stop = n_parts + 1, max(stop, int(name[18:30]))
        return n_parts

    def _interrupting(self, output: str, n_parts: int) -> OnProgress:
        def interrupt(_: Report) -> None:
            if self._n_first_parts(output) >= n_parts:
                raise KeyboardInterrupt

        return interrupt


def run_options(server: ImageServer, checkpoint: str) -> dict[str, Any]:
    """Return the options of a command; a model for one shape, and no decode workers, since both take time to start."""
    return {
        "model": checkpoint,
        "allow_address": (server.address,),
        "column": "image_url",
        "part_rows": PART_ROWS,
        "batch_size": 1,
        "isolate": "never",
    }


@pytest.fixture
def run(tmp_path: Path, site: ImageServer, checkpoint: str) -> Run:
    """A command on forty rows in five parts."""
    return Run(tmp_path, site, run_options(site, checkpoint))


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, site: ImageServer, checkpoint: str) -> dict[str, bytes]:
    """The files that runs give which nothing stopped."""
    run = Run(tmp_path_factory.mktemp("whole"), site, run_options(site, checkpoint))
    for output in ("out.csv", "out.parquet", "out/"):
        run(output)
    return contents(run.folder)


def n_kept(end: BaseException) -> int:
    """Read from what ended a run how many rows are kept."""
    return int(end.__notes__[-1].partition(" of ")[0].partition(" rows ")[0].replace(",", ""))


def is_log(name: str) -> bool:
    return name.endswith(".log.jsonl")


def contents(folder: Path) -> dict[str, bytes]:
    """Read what runs have written below a folder, the logs aside: they tell the time."""
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "in.csv" and not is_log(name)}
