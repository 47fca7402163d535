"""Objects in buckets of S3, Google and Azure -> their bytes, through fsspec's clients, imported when they are needed.

Which buckets may be read is decided before: see `buckets`. The clients dial where their own settings say, with the
credentials that they find; no text of a cell decides that.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

from pixvec.errors import FetchError
from pixvec.fetch.buckets import BucketObject
from pixvec.fetch.connections.descriptors import shortage_behind
from pixvec.fetch.options import FetchOptions
from pixvec.fetch.storage.storage_failures import as_storage_error

_LOGGERS: Final = ("gcsfs", "s3fs", "adlfs", "azure")
"""What the clients would say on the standard error of a program that has set up no logging."""


class Storages:
    """The clients of all kinds of buckets, each opened when it is first needed; an async context manager.

    Parameters
    ----------
    options
        The limits.
    """

    def __init__(self, options: FetchOptions) -> None:
        self._options = options
        self._opened: dict[str, _Storage] = {}
        self._opening = asyncio.Lock()
        self._quiet = logging.NullHandler()

    async def __aenter__(self) -> Self:
        if self._options.allow_bucket:
            for name in _LOGGERS:
                logging.getLogger(name).addHandler(self._quiet)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as stack:
            for storage in self._opened.values():
                stack.push_async_callback(storage.close)
        for name in _LOGGERS:
            logging.getLogger(name).removeHandler(self._quiet)

    async def read(self, wanted: BucketObject, take: Callable[[int], Awaitable[None]]) -> bytes:
        """Read an object to its end.

        Raises
        ------
        FetchError
            What the storage or its client says, as a code.
        """
        return await (await self._storage(wanted.bucket.scheme)).read(wanted, take)

    async def _storage(self, scheme: str) -> _Storage:
        async with self._opening:
            if scheme not in self._opened:
                # In a thread, because some look for credentials on the network meanwhile.
                opened = asyncio.to_thread(_FILESYSTEMS[scheme], self._options, asyncio.get_running_loop())
                self._opened[scheme] = _Storage(await _understood(opened), _CLOSERS[scheme], self._options)
        return self._opened[scheme]


async def _understood(answer: Awaitable[Any]) -> Any:
    """Wait for a client, and say what its error means for a row."""
    try:
        return await answer
    except Exception as error:  # noqa: BLE001 (whatever a client raises is no bug of ours)
        if shortage := shortage_behind(error):
            raise shortage from None
        raise as_storage_error(error) from None


class _Storage:
    """A client of one kind of bucket, in our own loop, where a read that takes too long can be cancelled."""

    def __init__(self, filesystem: Any, close: Callable[[Any], Awaitable[None]], options: FetchOptions) -> None:
        self._filesystem = filesystem
        self._close = close
        self._max_bytes = options.max_bytes

    async def read(self, wanted: BucketObject, take: Callable[[int], Awaitable[None]]) -> bytes:
        """Ask for an object's size, then for so many bytes."""
        path = f"{wanted.bucket.name}/{wanted.key}"
        if self._filesystem.split_path(path)[:2] != (wanted.bucket.name, wanted.key):
            raise FetchError("invalid_url", "the storage's client would read this key as another one")
        # fsspec's API for programs with a loop of their own is the coroutines that begin with an underscore.
        facts = await _understood(self._filesystem._info(path))  # noqa: SLF001
        if facts["type"] != "file":
            raise FetchError("file_not_found", "the key is that of a folder")
        size = int(facts["size"])
        if size > self._max_bytes:
            raise FetchError("too_many_bytes", f"the object is larger than {self._max_bytes:,} bytes")
        if not size:
            return b""
        await take(size)
        body: bytes = await _understood(self._filesystem._cat_file(path, start=0, end=size))  # noqa: SLF001
        if len(body) != size:
            raise FetchError("truncated_body", f"{len(body):,} of {size:,} bytes came")
        return body

    async def close(self) -> None:
        """Close its connections."""
        await self._close(self._filesystem)


def _s3_filesystem(options: FetchOptions, loop: asyncio.AbstractEventLoop) -> Any:
    from s3fs import S3FileSystem  # noqa: PLC0415 (an extra, and slow to import)

    limits = {
        "connect_timeout": options.connect_timeout_s,
        "read_timeout": options.timeout_s,
        "max_pool_connections": options.connections_per_host,
        "retries": {"total_max_attempts": 1},
    }
    filesystem = S3FileSystem(config_kwargs=limits, **_settings(loop))
    filesystem.retries = 1  # tries are counted in one place, and that is not here
    return filesystem


def _gs_filesystem(_: FetchOptions, loop: asyncio.AbstractEventLoop) -> Any:
    from gcsfs.core import GCSFileSystem  # noqa: PLC0415 (an extra, and slow to import)

    return GCSFileSystem(**_settings(loop))


def _az_filesystem(options: FetchOptions, loop: asyncio.AbstractEventLoop) -> Any:
    from adlfs import AzureBlobFileSystem  # noqa: PLC0415 (an extra, and slow to import)

    filesystem = AzureBlobFileSystem(
        connection_timeout=options.connect_timeout_s, read_timeout=options.timeout_s, **_settings(loop)
    )
    _forget_finalizers(filesystem)
    return filesystem


def _settings(loop: asyncio.AbstractEventLoop) -> dict[str, Any]:
    # With a loop of ours, and not its own, fsspec starts no thread.
    return {"asynchronous": True, "loop": loop, "skip_instance_cache": True, "use_listings_cache": False}


def _forget_finalizers(filesystem: Any) -> None:
    # adlfs would close it once more when the program ends, in a loop that is no more, and keeps it alive until then.
    for finalizer in tuple(weakref.finalize._registry):  # type: ignore[attr-defined]  # noqa: SLF001
        if (alive := finalizer.peek()) and alive[0] is filesystem:
            finalizer.detach()


async def _close_s3(filesystem: Any) -> None:
    await (await filesystem.set_session()).close()


async def _close_gs(filesystem: Any) -> None:
    await (await filesystem._set_session()).close()  # noqa: SLF001 (as its documentation has it)


async def _close_az(filesystem: Any) -> None:
    await filesystem.service_client.close()
    if filesystem.credential is not None:
        await filesystem.credential.close()


_FILESYSTEMS: Final = {"s3": _s3_filesystem, "gs": _gs_filesystem, "az": _az_filesystem}
_CLOSERS: Final = {"s3": _close_s3, "gs": _close_gs, "az": _close_az}
