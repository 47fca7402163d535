"""A local image server that does exactly what a test tells it to, bad manners included.

As a program (``python -m pixvec.testing.server FOLDER``) it serves the files of a folder, and prints its address first.
"""

from __future__ import annotations

import asyncio
import mimetypes
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol, Self, TypeAlias
from urllib.parse import quote

End: TypeAlias = Literal["close", "reset", "silence"]

_HOST: Final = "127.0.0.1"
_STEPS_TO_SERVE: Final = 5
"""Steps of the loop from a connection that is accepted to its first request being waited for."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it stood on the wire; names of headers in lower case."""

    target: str
    headers: Mapping[str, str]


class _Answer(Protocol):
    async def write(self, writer: asyncio.StreamWriter) -> bool:
        """Write one answer; tell whether the connection may be used again."""


@dataclass(frozen=True, slots=True)
class _Response:
    head: bytes
    body: bytes
    delay_s: float

    async def write(self, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(self.delay_s)
        writer.writelines([self.head, self.body])
        await writer.drain()
        return True


@dataclass(frozen=True, slots=True)
class _RawAnswer:
    pieces: Iterable[bytes]
    pause_s: float
    end: End

    async def write(self, writer: asyncio.StreamWriter) -> bool:
        for piece in self.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(self.pause_s)
        if self.end == "silence":
            await asyncio.Event().wait()
        if self.end == "reset":
            lingering_for_0_s = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, lingering_for_0_s)
            writer.transport.abort()
        return False


_NOT_FOUND: Final = _Response(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", b"", 0.0)


@dataclass(slots=True)
class ImageServer:
    """A real HTTP server on 127.0.0.1, in a thread of its own, from ``with`` to the end of its block.

    Parameters
    ----------
    port
        0 takes a free one.
    tls
        Makes it an https server.

    Examples
    --------
    >>> with ImageServer() as server:
    ...     url = server.add("/cat.jpg", body=b"the bytes of a cat")
    ...     server.n_requests("/cat.jpg")
    0
    """

    port: int = 0
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list, init=False)
    n_connections: int = field(default=0, init=False)
    max_connections: int = field(default=0, init=False)
    """How many were open at once, at most."""
    _answers: dict[str, _Answer] = field(default_factory=dict, init=False)
    _connections: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False)
    _thread: threading.Thread = field(init=False)
    _server: asyncio.Server = field(init=False)

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="image-server", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> str:
        """``ADDRESS:PORT``, as ``allow_address`` takes it."""
        return f"{_HOST}:{self.port}"

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http{'s' if self.tls else ''}://{self.address}{path}"

    def n_requests(self, path: str) -> int:
        """Count the requests for a path, query included."""
        return sum(request.target == path for request in self.requests)

    def add(
        self,
        path: str,
        *,
        body: bytes = b"",
        status: int = 200,
        content_type: str = "application/octet-stream",
        headers: Mapping[str, str] | None = None,
        delay_s: float = 0.0,
    ) -> str:
        """Answer a path, query included, with a body; return its URL."""
        fields = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
        head = "".join(
            [f"HTTP/1.1 {status} -\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"]
        )
        self._answers[path] = _Response(head.encode(), body, delay_s)
        return self.url(path)

    def add_raw(self, path: str, pieces: Iterable[bytes], *, pause_s: float = 0.0, end: End = "close") -> str:
        """Answer a path with just these bytes, status line included, perhaps without end; return its URL.

        Parameters
        ----------
        pieces
            What to write, one after the other; `itertools.repeat` makes an answer that never ends.
        pause_s
            How long to wait after each.
        end
            What follows the last one: an orderly end of the connection, a reset, or nothing at all.
        """
        self._answers[path] = _RawAnswer(pieces, pause_s, end)
        return self.url(path)

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._serve, _HOST, self.port, ssl=self.tls, backlog=1024)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "start_server makes a task of it"  # noqa: S101
        self._connections.add(task)
        self.n_connections += 1
        self.max_connections = max(self.max_connections, len(self._connections))
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.CancelledError, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the server stops, or the client has had enough
        finally:
            self._connections.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        request = _parse_head(await reader.readuntil(b"\r\n\r\n"))
        self.requests.append(request)
        reusable = await self._answers.get(request.target, _NOT_FOUND).write(writer)
        return reusable and request.headers.get("connection", "").lower() != "close"

    async def _stop(self) -> None:
        self._server.close()
        for _ in range(_STEPS_TO_SERVE):
            await asyncio.sleep(0)
        for connection in list(self._connections):
            connection.cancel()
        await asyncio.gather(*self._connections)
        await self._server.wait_closed()


def _parse_head(head: bytes) -> Request:
    request_line, *fields = head.decode("latin-1").split("\r\n")[:-2]
    pairs = (line.split(":", 1) for line in fields)
    return Request(request_line.split(" ")[1], {name.lower(): value.strip() for name, value in pairs})


def main(folder: Path, port: int = 0) -> None:
    """Serve a folder's files, read once, until the process is ended."""
    with ImageServer(port) as server:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
                server.add(f"/{quote(path.relative_to(folder).as_posix())}", body=path.read_bytes(), content_type=kind)
        sys.stdout.write(f"{server.url('')}\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
