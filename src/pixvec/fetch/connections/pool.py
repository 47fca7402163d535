"""aiohttp's pool of connections, with four rules more.

Idle connections count: together with those in use there are never more than `connections`. A connection on which bytes
came that nobody had asked for is not used again, because they would be read as the answer to the next request. Who
reads a body whose framing breaks is told at once: aiohttp 3.14 closes the connection, and lets them wait. And the lines
of a header are limited in all: aiohttp limits their number and the length of each.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast
from weakref import WeakSet

import aiohttp
from aiohttp import ClientHandlerType
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.http_exceptions import BadHttpMessage

from pixvec.fetch.http.http_faults import HEAD_TOO_LONG, MAX_HEAD_BYTES


class ConnectionPool(aiohttp.TCPConnector):
    """A connector for one event loop.

    Parameters
    ----------
    connections
        How many sockets may be open; callers take care that no more are in use.
    **options
        The connector's own.
    """

    def __init__(self, *, connections: int, **options: Any) -> None:
        # Callers wait for a permit before their clock starts: a wait inside aiohttp would run on it.
        super().__init__(limit=0, **options)
        self._factory = cast("partial[ResponseHandler]", partial(_Protocol, loop=asyncio.get_running_loop()))
        self._max_open = connections
        self._kept: WeakSet[aiohttp.ClientRequest] = WeakSet()

    async def send(self, request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
        """Send a request: a middleware of the client.

        aiohttp sends every request once more that lost its connection before an answer. Here only those are that lost
        one that was kept: its server had closed it, and that says nothing about a new one. The others have failed.
        """
        try:
            return await _send_once(request, handler)
        except _ConnectionLostError:
            if request not in self._kept:
                raise
        while request.connection_key in self._conns:
            self._close_one(request.connection_key)
        return await _send_once(request, handler)

    async def connect(self, req: aiohttp.ClientRequest, *arguments: Any, **keywords: Any) -> Connection:
        """Take a connection that is idle and clean, or make room and open one."""
        key = req.connection_key
        for protocol, _ in self._conns.get(key, ()):
            if protocol.should_close:
                protocol.close()  # the connector passes over those that are closed
        idle = {protocol for protocol, _ in self._conns.get(key, ()) if protocol.is_connected()}
        if not idle:
            self._make_room()
        connection = await super().connect(req, *arguments, **keywords)
        if connection.protocol in idle:
            self._kept.add(req)
        return connection

    def _make_room(self) -> None:
        n_idle = sum(map(len, self._conns.values()))
        while n_idle and n_idle + len(self._acquired) >= self._max_open:
            self._close_one(next(iter(self._conns)))
            n_idle -= 1

    def _close_one(self, key: ConnectionKey) -> None:
        idle = self._conns[key]
        protocol, _ = idle.popleft()
        protocol.close()
        if not idle:
            del self._conns[key]


class _Protocol(ResponseHandler):
    """Reads what comes over one connection."""

    _n_head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Tell who reads the body when its bytes make no sense, and end a header without end; else as aiohttp does."""
        before = self._progress()
        super().data_received(data)
        self._n_head_bytes = self._n_head_bytes + len(data) if self._progress() == before else 0
        if self._n_head_bytes > MAX_HEAD_BYTES and not self.exception():
            self._refuse_head()
        body, error = self._payload, self.exception()
        if error and body and not body.is_eof() and not body.exception():
            body.set_exception(BrokenBodyError(), error)

    def _progress(self) -> tuple[object, int, int]:
        """Return what changes when an answer's header is complete, or more of its body is there."""
        body = self._payload
        return body, body.total_bytes if body else 0, len(self._buffer)

    def _refuse_head(self) -> None:
        self.set_exception(BadHttpMessage(HEAD_TOO_LONG))
        if self.transport:
            self.transport.close()


class BrokenBodyError(aiohttp.ClientPayloadError):
    """The chunks of a body, or what follows the last one, are no valid HTTP."""


class _ConnectionLostError(aiohttp.ClientConnectionError):
    """A connection ended before an answer came; not one of those errors after which aiohttp sends once more."""


async def _send_once(request: aiohttp.ClientRequest, handler: ClientHandlerType) -> aiohttp.ClientResponse:
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLostError(*error.args) from error
