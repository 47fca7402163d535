from __future__ import annotations

import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pixvec.testing.server import ImageServer


def test_answers_and_counts() -> None:
    with ImageServer() as server:
        url = server.add("/a.png?b=1", body=b"image", content_type="image/png")
        with urllib.request.urlopen(url) as response:
            assert (response.status, response.headers["Content-Type"], response.read()) == (
                200,
                "image/png",
                b"image",
            )
        assert (server.n_requests("/a.png?b=1"), server.n_requests("/a.png"), server.n_connections) == (1, 0, 1)


def test_an_unknown_path_is_not_found() -> None:
    with ImageServer() as server, pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(server.url("/"))


def test_serves_a_folder_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/a b.png").write_bytes(b"image")
    program = [sys.executable, "-m", "pixvec.testing.server", str(tmp_path)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        with urllib.request.urlopen(f"{url}/sub/a%20b.png") as response:
            assert (response.headers["Content-Type"], response.read()) == ("image/png", b"image")
        process.terminate()
