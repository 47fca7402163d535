"""Sockets stay within their number, idle ones included, and none is used again once it has said too much."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from pixvec.errors import FetchError
from pixvec.fetch import Fetcher, FetchOptions, parse
from pixvec.testing.server import ImageServer
from tests.fetch.conftest import FakeDNS


async def fetch_all(fetcher: Fetcher, urls: list[str]) -> list[bytes]:
    async def one(url: str) -> bytes:
        async with fetcher.fetch(parse(url)) as fetched:
            return fetched.body

    return list(await asyncio.gather(*map(one, urls)))


def test_idle_connections_count(server: ImageServer) -> None:
    server.add("/a", body=b"image")
    names = [f"h{number}.example" for number in range(40)]
    dns = FakeDNS(**{name: [["127.0.0.1"]] for name in names})

    async def run() -> int:
        options = FetchOptions(connections=8, allow_address=(server.address,))
        async with Fetcher(options, resolver=dns) as fetcher:
            urls = [f"http://{name}:{server.port}/a#{row}" for name in names for row in range(4)]
            assert set(await fetch_all(fetcher, urls)) == {b"image"}
            await asyncio.sleep(0.1)  # until the server has seen the ends of those that were closed
            return len(server._connections)

    assert asyncio.run(run()) <= 8


def test_a_connection_is_used_again(server: ImageServer) -> None:
    server.add("/a", body=b"image")

    async def run() -> None:
        async with Fetcher(FetchOptions(allow_address=(server.address,))) as fetcher:
            for _ in range(5):
                await fetch_all(fetcher, [server.url("/a")])

    asyncio.run(run())
    assert server.n_connections == 1


@pytest.fixture
def chatty() -> Iterator[str]:
    """A server that follows its first answer with one that nobody asked for; its address."""
    talked = threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection:
            while request := connection.recv(65536):
                body = request.split(b" ")[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
                if not talked.is_set():
                    talked.set()
                    time.sleep(0.05)  # until the connection is back in the pool
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/x")

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_what_nobody_asked_for_is_no_rows_answer(chatty: str) -> None:
    async def run() -> list[bytes]:
        async with Fetcher(FetchOptions(allow_address=(chatty,))) as fetcher:
            bodies = []
            for name in "abcd":
                bodies += await fetch_all(fetcher, [f"http://{chatty}/{name}"])
                await asyncio.sleep(0.2)  # until what nobody asked for has arrived
            return bodies

    assert asyncio.run(run()) == [b"/a", b"/b", b"/c", b"/d"]


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_try(server: ImageServer) -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nimage"
    first, second = server.add_raw("/1", [whole], pause_s=0.1), server.add_raw("/2", [whole])

    async def run() -> list[bytes]:
        options = FetchOptions(allow_address=(server.address,), tries=1, connections=1)
        async with Fetcher(options) as fetcher:
            return await fetch_all(fetcher, [first, second])

    assert asyncio.run(run()) == [b"image", b"image"]
    assert server.n_requests("/1") + server.n_requests("/2") == 2


def test_a_new_connection_that_is_closed_at_once_is_not_tried_in_secret(server: ImageServer) -> None:
    url = server.add_raw("/", [])

    async def run() -> None:
        async with Fetcher(FetchOptions(allow_address=(server.address,), tries=1)) as fetcher:
            with pytest.raises(FetchError, match=r"^connect_error"):
                await fetch_all(fetcher, [url])

    asyncio.run(run())
    assert server.n_requests("/") == 1
