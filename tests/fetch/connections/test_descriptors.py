"""No row fails because this process has no file descriptor left: it waits for one, and connections leave room."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from pixvec.fetch.connections.descriptors import fitting_connections
from pixvec.testing.images import image_bytes
from pixvec.testing.server import ImageServer

CLIENT = """
import asyncio, os, resource, sys
from pathlib import Path
from pixvec.errors import RunError
from pixvec.fetch import Fetcher, FetchOptions

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

def take_all():
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        return taken

def release(taken):
    while taken:
        os.close(taken.pop())

async def size_of(source, for_s):
    options = FetchOptions(allow_address=("127.0.0.1",), tries=1, timeout_s=0.2, max_open_wait_s=0.4)
    async with Fetcher(options) as fetcher:
        taken = take_all()
        asyncio.get_running_loop().call_later(for_s, release, taken)
        try:
            async with fetcher.fetch(fetcher.locate(source)) as fetched:
                return len(fetched.body)
        except RunError as error:
            return str(error)
        finally:
            release(taken)

url, file = sys.argv[1:]
for source in (url, url.replace("127.0.0.1", "localhost"), Path(file)):
    print(asyncio.run(size_of(source, 0.3)))
print(asyncio.run(size_of(url, 9)))
"""


def test_a_row_waits_for_a_descriptor_and_the_call_ends_where_none_comes(server: ImageServer, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"x" * 7)
    command = [sys.executable, "-c", CLIENT, server.add("/a.jpg", body=b"x" * 7), str(tmp_path / "a.jpg")]
    *sizes, error = subprocess.check_output(command, text=True, timeout=60).splitlines()
    assert sizes == ["7", "7", "7"]
    assert error == (
        "no file or connection could be opened for 0.4 s (Too many open files): raise the limit on open files "
        "(`ulimit -n`), or lower `connections`"
    )


@pytest.mark.parametrize("wanted", [1, 256, 10_000])
def test_connections_leave_half_of_what_is_free(wanted: int) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        assert 1 <= fitting_connections(wanted) <= min(wanted, 128)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1, before[1]))
        assert fitting_connections(wanted) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_command_with_few_descriptors_embeds_every_row(tmp_path: Path, checkpoint: str) -> None:
    """Eight slow hosts want more connections than there may be."""
    with ExitStack() as running:
        servers = [running.enter_context(ImageServer()) for _ in range(8)]
        for number, server in enumerate(servers):
            body = image_bytes("PNG", size=(20, 20), seed=number)
            urls = [server.add(f"/{row}.png", body=body, delay_s=0.2) for row in range(16)]
            (tmp_path / f"in-{number}.csv").write_text("\n".join(["image_url", *urls, ""]))
        output = tmp_path / "out.parquet"
        command = [sys.executable, "-m", "pixvec", "embed", str(tmp_path / "in-*.csv"), "-o", str(output)]
        flags = ["--model", checkpoint, "--allow-address", "127.0.0.1", "--json"]
        said = subprocess.run(
            [*command, *flags],
            capture_output=True,
            timeout=100,
            check=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)),
        )
    assert (said.returncode, b"Traceback" in said.stderr) == (0, False), said.stderr
    assert json.loads(said.stdout)["n_vectors"] == 128
