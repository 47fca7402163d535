"""What is fuzzed, one function for each way that strangers' bytes take: any bytes go in, and nothing may come out.

A target fails where anything but a `RowError` or a `RecipeError` is raised, or where what came of the bytes breaks a
promise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from pixvec.errors import FetchError, ImageError
from pixvec.fetch import URL, Fetched, Fetcher, FetchOptions, is_data_url, parse, read_data_url
from pixvec.fetch.requester import _as_sent
from pixvec.fetch.url import looks_like_url, parse_path, redacted
from pixvec.images.cropping import Cropper, CropPlan
from pixvec.images.decode import Policy, decoded_formats
from pixvec.recipe import STEPS, RecipeError, check
from pixvec.recipe import parse as parse_recipe

SIDE: Final = 16
MAX_PIXELS: Final = 1 << 20
MAX_BYTES: Final = 1 << 16
POLICIES: Final[tuple[Policy, ...]] = ("auto", "full", "reference")
COLUMNS: Final = {"image_url": "url", "name": "text", "embedding": "list[number]"}


# URLs -----------------------------------------------------------------------------------------------------------------


def url(data: bytes) -> None:
    """Take the first line for a cell, the second for a redirect's Location."""
    cell, _, location = data.decode("utf-8", "surrogateescape").partition("\n")
    is_url = looks_like_url(cell)
    redacted(cell)
    with suppress(FetchError):
        parse_path(cell)
    with suppress(FetchError):
        assert not is_data_url(cell) or len(read_data_url(cell, max_bytes=MAX_BYTES)) <= MAX_BYTES
    with suppress(FetchError):
        first = parse(cell)
        assert is_url
        _check_url(first)
        _check_url(first.join(location))


def _check_url(one: URL) -> None:
    """Hold a URL to what it promises: fit for the wire, and the same when it is read again."""
    assert one.scheme in {"http", "https"}
    assert one.host
    assert 0 <= one.port <= 0xFFFF
    assert one.target.startswith("/")
    assert all("!" <= character <= "~" for character in str(one))
    assert not set(one.authority) & set("/?#@\\ ")
    assert parse(str(one)) == one
    sent = _as_sent(one)
    assert (sent.raw_host, sent.port, sent.raw_path_qs) == (one.host, one.port, one.target)


# Answers --------------------------------------------------------------------------------------------------------------


def response(data: bytes) -> None:
    """Answer a request with the bytes, in one piece, and close the connection: there is nothing to wait for."""
    assert _server().outcome(data) != "timeout"


class _Nobody(AbstractResolver):
    """Knows no name, so that no redirect leads out of this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        raise FetchError("host_not_found", "there are no names here")

    async def close(self) -> None: ...


class _Server:
    """A server and a fetcher in one event loop of their own."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._answer = b""
        self._runner.run(self._start())

    def outcome(self, answer: bytes) -> str:
        """Let the server answer so, and fetch that: ``ok``, or the code that it failed with."""
        self._answer = answer
        try:
            fetched = self._runner.run(self._fetch())
        except FetchError as error:
            return error.code
        assert len(fetched.body) <= MAX_BYTES
        return "ok"

    async def _start(self) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._answer)
        writer.close()

    async def _fetch(self) -> Fetched:
        options = FetchOptions(
            allow_address=(self._address,),
            max_bytes=MAX_BYTES,
            max_redirects=2,
            timeout_s=5.0,
            tries=1,
        )
        here = parse(f"http://{self._address}/")
        async with Fetcher(options, resolver=_Nobody()) as fetcher, fetcher.fetch(here) as fetched:
            return fetched


@cache
def _server() -> _Server:
    return _Server()


# Images -------------------------------------------------------------------------------------------------------------


def image(data: bytes) -> None:
    """Crop the bytes twice under each policy: the same bytes, the same crop."""
    for policy in POLICIES:
        outcome = crop(data, policy=policy)
        assert outcome == crop(data, policy=policy)


def crop(body: bytes, *, policy: Policy) -> bytes | str:
    """Crop an image, or name the code that it failed with."""
    try:
        header = (cropper := _cropper(policy)).open(body)
        assert 0 < header.width * header.height <= MAX_PIXELS
        assert 0 < header.frames < 1 << 32
        pixels = cropper.crop()
    except ImageError as error:
        return error.code
    assert len(pixels) == SIDE * SIDE * 3
    return pixels


@cache
def _cropper(policy: Policy) -> Cropper:
    plan = CropPlan(
        policy=policy,
        formats=decoded_formats("+tiff"),
        max_pixels=MAX_PIXELS,
        min_side=SIDE,
        resize=SIDE,
        resample=3,
        center_crop=(SIDE, SIDE),
    )
    return Cropper(plan)


# Recipes --------------------------------------------------------------------------------------------------------------


def recipe(data: bytes) -> None:
    """Read a recipe and check it; an error can be shown."""
    problems = ""
    try:
        one = parse_recipe(data.decode("utf-8", "surrogateescape"))
        assert parse_recipe(str(one)) == one
        check(one, STEPS, COLUMNS)
    except RecipeError as error:
        problems = str(error)
    assert all(line.isprintable() for line in problems.split("\n"))


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "url": url,
    "response": response,
    "image": image,
    "recipe": recipe,
}
