"""A table file: what its name says that it is, and its bytes or its text, unpacked and packed on the way."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self, TextIO, cast

import pyarrow as pa

from pixvec.errors import UsageError

PACKINGS: Final = {".gz": "gzip", ".zst": "zstd"}
BOM: Final = codecs.BOM_UTF8
_BLOCK_BYTES: Final = 1 << 20
_PACKED_BITE_BYTES: Final = 1 << 13


@dataclass(frozen=True, slots=True)
class TableFile:
    """A file and its kind.

    Parameters
    ----------
    ending
        The ending that says the format, in small letters: ``".csv"``.
    packing
        What it is compressed with: ``"gzip"``, ``"zstd"`` or nothing.
    sink
        The open file, where one is written that somebody else has opened.
    """

    path: Path
    ending: str
    packing: str | None = None
    sink: BinaryIO | None = None

    @classmethod
    def of(cls, path: Path, *, name: str | None = None) -> Self:
        """Tell a file's kind by its name, or by that of the file that it will be: an ending will do."""
        name = (name or path.name).lower()
        packed = next((ending for ending in PACKINGS if name.endswith(ending)), "")
        _, dot, ending = name.removesuffix(packed).rpartition(".")
        return cls(path, dot + ending, PACKINGS.get(packed))

    @contextmanager
    def reading(self) -> Iterator[BinaryIO]:
        """Open the file to read its unpacked bytes from the start.

        Raises
        ------
        UsageError
            When the system refuses, or the file is not packed as its name says.
        """
        try:
            with self.path.open("rb") if self.packing is None else _Unpacking(self.path, self.packing) as stream:
                yield cast("BinaryIO", stream)
        except OSError as error:
            what = f"cannot be read: {error.strerror}" if error.strerror else f"cannot be unpacked: {error}"
            raise UsageError(f"{self.path} {what}") from error

    def create(self) -> BinaryIO:
        """Open the file to write bytes that are packed on the way."""
        sink = self.sink or self.path.open("wb")
        if self.packing is None:
            return sink
        return io.BufferedWriter(pa.CompressedOutputStream(pa.PythonFile(sink, "w"), self.packing))


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file of text. Its line breaks stay as they are."""

    file: TableFile
    encoding: str

    @classmethod
    def open(cls, file: TableFile, encoding: str | None) -> Self:
        """Find out how the text begins: it may have a byte order mark where it is UTF-8."""
        encoding = encoding or "utf-8"
        if codecs.lookup(encoding).name != "utf-8":
            return cls(file, encoding)
        with file.reading() as stream:
            return cls(file, "utf-8-sig" if stream.read(len(BOM)) == BOM else "utf-8")

    @contextmanager
    def reading(self, *, newline: str = "") -> Iterator[TextIO]:
        """Open the file to read its text from the start.

        Raises
        ------
        UsageError
            As with `TableFile.reading`; or when bytes are not in the encoding, with the line.
        """
        try:
            with self.file.reading() as stream, io.TextIOWrapper(stream, self.encoding, newline=newline) as text:
                yield text
        except UnicodeError as error:
            name = "UTF-8" if self.encoding.startswith("utf-8") else self.encoding
            raise self.error(_undecodable_line(self), f"not {name}: say what it is with `encoding`") from error

    def create(self, file: TableFile) -> TextIO:
        """Open another file to write text in the same encoding; what that lacks is escaped, as JSON does it."""
        return io.TextIOWrapper(file.create(), self.encoding, errors="backslashreplace", newline="")

    def error(self, line: int, what: str) -> UsageError:
        """Say what is wrong in a line."""
        return UsageError(f"{self.file.path}, line {line}: {what}")


def create_text(file: TableFile, *, like: TextFile | None) -> TextIO:
    """Open a file to write text, encoded as another one is, or in UTF-8."""
    return (like or TextFile(file, "utf-8")).create(file)


def n_line_breaks(text: str) -> int:
    """Count line breaks of any kind."""
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def n_bytes_read(text: TextIO) -> int:
    """Return how many bytes of its file, as it is stored, the text read so far takes; 0 where that cannot be told."""
    stream = text.buffer
    return stream.n_packed_read() if isinstance(stream, _Unpacking) else stream.tell()


class _Unpacking(pa.CompressedInputStream):  # type: ignore[misc]
    """A packed file that is unpacked as it is read."""

    def __init__(self, path: Path, packing: str) -> None:
        self._packed = _InSmallBites(path)
        self._n_packed = path.stat().st_size
        super().__init__(pa.PythonFile(self._packed, "r"), packing)

    def n_packed_read(self) -> int:
        """Return how much of the file is read; 0 when all of it is, since what is unpacked may wait to be read."""
        n = self._packed.tell()
        return n if n < self._n_packed else 0


class _InSmallBites(io.FileIO):
    """A file of which little is read before it is needed, so that its position says how much is unpacked."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(_PACKED_BITE_BYTES if size is None or size < 0 else min(size, _PACKED_BITE_BYTES))


def _undecodable_line(text: TextFile) -> int:
    """Find the line of the first bytes that are no text."""
    decoder = io.IncrementalNewlineDecoder(codecs.getincrementaldecoder(text.encoding)(), translate=True)
    line = 1
    with text.file.reading() as stream:
        while True:
            block = stream.read(_BLOCK_BYTES)
            try:
                line += decoder.decode(block, final=not block).count("\n")
            except UnicodeDecodeError as error:
                return line + n_line_breaks(error.object[: error.start].decode(text.encoding, "ignore"))
            except UnicodeError:  # no byte order mark where there has to be one
                return line
            if not block:
                return line
