"""A `URL` -> one request, as the options say: its headers, its proxy, the rules for its answer."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver

from pixvec.errors import FetchError
from pixvec.fetch.connections.address import network_of
from pixvec.fetch.connections.descriptors import is_shortage
from pixvec.fetch.connections.dns import domain_of
from pixvec.fetch.connections.proxy import parse_proxy
from pixvec.fetch.http.body import BodyReader, Room
from pixvec.fetch.http.headers import default_user_agent, parse_header, warn_of_open_header
from pixvec.fetch.http.opt_out import OptOut, parse_opt_out
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.url import URL


class Requester:
    """Sends requests and reads what comes.

    Parameters
    ----------
    session
        The HTTP client.
    names
        Remembers what it looked up; the client asks it too.
    options
        What is sent, by which way, and what is taken.
    """

    def __init__(self, session: aiohttp.ClientSession, names: AbstractResolver, options: FetchOptions) -> None:
        self._session = session
        self._names = names
        user_agent = options.user_agent or default_user_agent()
        # A packed image is a bomb to defuse, and hardly smaller.
        self._headers = {"User-Agent": user_agent, "Accept-Encoding": "identity"}
        self._host_headers = tuple(map(parse_header, options.header))
        for header in self._host_headers:
            if header.origin.startswith("http:"):
                warn_of_open_header(header.name, header.origin)
        self._proxy = parse_proxy(options.proxy) if options.proxy else None
        opt_out = OptOut(parse_opt_out(options.opt_out), user_agent=user_agent)
        self._bodies = BodyReader(options.max_bytes, opt_out)

    async def locate(self, url: URL) -> str:
        """Say where a host is: the network of its address, or behind a proxy the last two labels of its name.

        That looks up the name that a request will dial: how long that takes is not the server's fault.
        """
        if self._proxy is None:
            if url.names_an_address:
                return network_of(url.host)
            found = await self._names.resolve(url.host)
            return network_of(found[0]["host"]) if found else domain_of(url.host)
        if not _is_address(self._proxy.host or ""):
            try:
                await self._names.resolve(self._proxy.host or "")
            except OSError as error:
                if is_shortage(error):
                    raise
                raise FetchError("connect_error", "the proxy's name could not be looked up") from None
        return url.host if url.names_an_address else domain_of(url.host)

    def get(
        self, url: URL, *, cell: URL, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Send a request for a URL that a cell's URL has led to, with some headers of its own."""
        all_headers = {**self._headers_for(url, cell), **headers}
        return self._session.get(_as_sent(url), allow_redirects=False, headers=all_headers, proxy=self._proxy)

    async def read(self, response: aiohttp.ClientResponse, room: Room) -> bytes:
        """Read an answer's body; `BodyReader.read` says how."""
        return await self._bodies.read(response, room)

    def heed_opt_out(self, response: aiohttp.ClientResponse) -> None:
        """Refuse an answer without a body as one with a body would be, where it asks that an image not be used."""
        self._bodies.heed_opt_out(response)

    def _headers_for(self, url: URL, cell: URL) -> dict[str, str]:
        # What was to be sent in secret does not go out in the open because a server says so.
        if cell.scheme == "https" and url.scheme == "http":
            return self._headers
        users = {header.name: header.value for header in self._host_headers if header.is_for(url)}
        names = {name.lower() for name in users}
        return {name: value for name, value in self._headers.items() if name.lower() not in names} | users


def _as_sent(url: URL) -> yarl.URL:
    # All of the target as path: yarl would drop the mark of an empty query.
    return yarl.URL.build(scheme=url.scheme, authority=url.authority, path=url.target, encoded=True)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
