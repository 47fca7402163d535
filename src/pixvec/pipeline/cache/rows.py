"""The cache as the pipeline sees it: ask for what is remembered, tell what came, wait for no disk.

All work on the file is done in one thread. What is told is written behind the caller's back, as much as has gathered
whenever the thread is free; when the disk falls behind, what is told is forgotten.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pixvec.concurrency.threads import Threads
from pixvec.fetch import URL, Source, Validators
from pixvec.images.thumbnail import is_thumbnail
from pixvec.pipeline.cache.entries import FINAL_CODES, StoredSource, checked_row, checked_source, pack_row, pack_source
from pixvec.pipeline.cache.options import CacheOptions
from pixvec.pipeline.cache.store import Entry, Store
from pixvec.values import Row

_MAX_WAITING: Final = 4_096
"""Entries that wait to be written, of 2 KB each."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a URL's bytes came to when they were last fetched, and what to ask its server with."""

    validators: Validators
    row: Row


class RowCache:
    """Remembers rows; an async context manager, for one event loop. Without a folder it remembers nothing.

    Parameters
    ----------
    options
        The folder, and how much room there is.
    made_with
        Gives a text that names all that decides which vector bytes come to; called in a thread.
    asked_with
        What requests hold beside a URL: with other headers a server may answer with another image.
    dim
        How many numbers a vector has.
    thumbnails
        The size of the thumbnails that rows are wanted with: a row without one is not known then. None wants none.
    """

    def __init__(
        self,
        options: CacheOptions,
        *,
        made_with: Callable[[], str],
        asked_with: Sequence[str],
        dim: int,
        thumbnails: int | None = None,
    ) -> None:
        self._options = options
        self._made_with = made_with
        self._asked_with = "\n".join(asked_with)
        self._dim = dim
        self._thumbnails = thumbnails
        self._bits = ""
        self._store: Store | None = None
        self._threads = Threads(1, "cache")
        self._waiting: deque[Entry] = deque()
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._options.cache is not None:
            self._store = await self._threads.run(self._open, Path(self._options.cache))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        store, self._store = self._store, None
        if store:
            await self._threads.run(self._close, store)
        self._threads.close()

    async def row_of(self, sha256: bytes) -> Row | None:
        """Recall what the bytes of a hash came to, without the URL that they were found at."""
        return await self._threads.run(self._find_row, self._store, sha256) if self._store else None

    async def known_of(self, source: Source) -> Known | None:
        """Recall what the bytes behind a URL came to, where its server can be asked whether they are the same."""
        if self._store is None or not isinstance(source, URL):
            return None
        return await self._threads.run(self._find_known, self._store, source)

    def keep_row(self, sha256: bytes, row: Row) -> None:
        """Remember what the bytes of a hash came to, unless another time may come to something else."""
        if row.error is None or row.error in FINAL_CODES:
            self._keep(self._row_key(sha256), lambda: pack_row(row))
        if row.image and (thumbnail := row.image.thumbnail):
            self._keep(self._thumbnail_key(sha256), lambda: thumbnail)

    def keep_source(self, source: Source, sha256: bytes, validators: Validators | None) -> None:
        """Remember which bytes are behind a URL, where its server can be asked whether they still are."""
        if isinstance(source, URL) and validators:
            self._keep(self._source_key(source), lambda: pack_source(StoredSource(sha256, validators)))

    def _keep(self, key: bytes, pack: Callable[[], bytes]) -> None:
        if self._store is None or len(self._waiting) >= _MAX_WAITING:
            return
        self._waiting.append((key, pack()))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        while self._store and self._waiting:
            await self._threads.run(self._write_waiting, self._store)

    def _open(self, folder: Path) -> Store:
        self._bits = self._made_with()
        return Store(folder, max_bytes=self._options.cache_size)

    def _close(self, store: Store) -> None:
        self._write_waiting(store)
        store.close()

    def _write_waiting(self, store: Store) -> None:
        store.put([self._waiting.popleft() for _ in range(len(self._waiting))])

    def _find_row(self, store: Store, sha256: bytes) -> Row | None:
        entry = store.get(self._row_key(sha256))
        row = None if entry is None else checked_row(entry, sha256=sha256, dim=self._dim)
        if row is None or row.image is None or self._thumbnails is None:
            return row
        thumbnail = store.get(self._thumbnail_key(sha256))
        if thumbnail is None or not is_thumbnail(thumbnail, self._thumbnails):
            return None
        return replace(row, image=replace(row.image, thumbnail=thumbnail))

    def _find_known(self, store: Store, url: URL) -> Known | None:
        entry = store.get(self._source_key(url))
        if entry is None:
            return None
        if (source := checked_source(entry)) is None:
            return None
        row = self._find_row(store, source.sha256)
        return None if row is None else Known(source.validators, row)

    def _row_key(self, sha256: bytes) -> bytes:
        return _key("row", self._bits, sha256.hex())

    def _thumbnail_key(self, sha256: bytes) -> bytes:
        return _key("thumbnail", self._bits, str(self._thumbnails), sha256.hex())

    def _source_key(self, url: URL) -> bytes:
        return _key("source", self._asked_with, str(url))


def _key(*parts: str) -> bytes:
    """Hash what names an entry: URLs may hold secrets, so none is kept."""
    return hashlib.blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=20).digest()
