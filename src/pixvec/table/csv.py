r"""CSV in and out: every cell is text, and a cell that is only passed on keeps its very bytes.

A file is a run of fields, each with the separator after it:

    field     = '"' (any character but '"' | '""')* '"' any text without separator
              | any text without separator that does not begin with '"'
    separator = the delimiter | "\r\n" | "\n" | "\r" | the end of the file

One regular expression reads both, so that what a cell says and the bytes it was written with can't drift apart.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Final, Self, TextIO, TypeAlias

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.table.cell_text import cell_texts
from pixvec.table.chunk import Chunk, TableReader, TableWriter, kept_indices

DELIMITERS: Final = (",", ";", "\t", "|")
BLOCK_CHARS: Final = 1 << 20
MAX_RECORD_CHARS: Final = 64 << 20
BOM: Final = b"\xef\xbb\xbf"

Token: TypeAlias = tuple[str, str]
"""A field as it is written, and the separator after it."""

_QUOTED: Final = re.compile(r'"((?:[^"]++|"")*+)"(.*)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Records:
    """Consecutive records as they are written.

    Parameters
    ----------
    fields
        For each column, its fields: quotes and all.
    endings
        The line break after each record; empty where the file ends without one.
    """

    fields: list[list[str]]
    endings: list[str]


@dataclass(frozen=True, slots=True)
class CsvChunk(Chunk):
    """Rows of a CSV file, and how they were written."""

    records: Records

    def head(self, n_rows: int) -> Self:
        """Keep the first rows only."""
        fields = [column[:n_rows] for column in self.records.fields]
        return replace(super(CsvChunk, self).head(n_rows), records=Records(fields, self.records.endings[:n_rows]))


class CsvReader:
    """A CSV file in UTF-8; its delimiter is the one that its first line has most of."""

    n_rows = None

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("rb") as file:
            self.encoding = "utf-8-sig" if file.read(len(BOM)) == BOM else "utf-8"
        with self._open() as file:
            self.delimiter = _find_delimiter(file.readline(BLOCK_CHARS))
        self._token = _token_pattern(self.delimiter)
        self.header = self._read_header()
        self.schema = pa.schema([(_cell(field), pa.string()) for (field,) in self.header.fields])

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        width = len(self.schema)
        pending: list[Token] = []
        n_skipped = width  # the header's tokens
        for line, tokens in self._blocks():
            pending += self._whole_rows(line, tokens)[n_skipped:]
            n_skipped = 0
            while len(pending) >= n_rows * width:
                yield self._chunk(pending[: n_rows * width], columns)
                del pending[: n_rows * width]
        if pending:
            yield self._chunk(pending, columns)

    def _chunk(self, tokens: list[Token], columns: Collection[str] | None) -> CsvChunk:
        records = _records(tokens, len(self.schema))
        wanted = [index for index, name in enumerate(self.schema.names) if columns is None or name in columns]
        cells = [pa.array(map(_cell, records.fields[index]), pa.string()) for index in wanted]
        schema = pa.schema([self.schema.field(index) for index in wanted])
        return CsvChunk(pa.Table.from_arrays(cells, schema=schema), records)

    def _read_header(self) -> Records:
        for _, tokens in self._blocks():
            width = next(count for count, (_, separator) in enumerate(tokens, 1) if separator != self.delimiter)
            return _records(tokens[:width], width)
        raise UsageError(f"{self._path} is empty: its first line has to name the columns")

    def _blocks(self) -> Iterator[tuple[int, list[Token]]]:
        """Read whole records, some at a time, with the number of the line that the first one begins on."""
        line, rest = 1, ""
        with self._open() as file:
            # Blocks grow with the record they don't get to the end of, so that its start is not read over and over.
            while block := file.read(max(BLOCK_CHARS, len(rest))):
                # A block must not end between the two characters of one line break.
                tokens, rest = self._split(rest + block + (file.read(1) if block.endswith("\r") else ""))
                if tokens:
                    yield line, tokens
                line += _n_lines(tokens)
                if len(rest) > MAX_RECORD_CHARS:
                    raise self._error(line, f"a record of over {MAX_RECORD_CHARS:,} characters; is a quote not closed?")
        if rest:
            yield line, self._last_record(line, rest)

    def _split(self, text: str) -> tuple[list[Token], str]:
        """Cut text into the tokens of its whole records, and the text of the record that has not ended."""
        tokens = self._token.findall(text)
        rest: list[Token] = []
        while tokens and tokens[-1][1] in {self.delimiter, ""}:
            rest.append(tokens.pop())
        return tokens, _text(rest[::-1])

    def _last_record(self, line: int, text: str) -> list[Token]:
        """Read the last record of a file that ends without a line break."""
        tokens, rest = self._split(text + "\n")
        if rest:
            raise self._error(line, "a quoted cell of the record that begins here has no closing quote")
        return [*tokens[:-1], (tokens[-1][0], "")]

    def _whole_rows(self, line: int, tokens: list[Token]) -> list[Token]:
        """Check that each record has a cell for each column. A blank line is a row only where there is one column."""
        width = len(self.schema)
        ends = [count for count, (_, separator) in enumerate(tokens, 1) if separator != self.delimiter]
        if ends == list(range(width, len(tokens) + 1, width)):
            return tokens
        rows: list[Token] = []
        for start, end in pairwise([0, *ends]):
            is_blank = end - start == 1 and not tokens[start][0]
            if end - start == width:
                rows += tokens[start:end]
            elif not is_blank:
                where = line + _n_lines(tokens[:start])
                raise self._error(where, f"cells: {end - start}, columns in the header: {width}")
        return rows

    @contextmanager
    def _open(self) -> Iterator[TextIO]:
        try:
            with self._path.open(encoding=self.encoding, newline="") as file:
                yield file
        except UnicodeDecodeError as error:
            raise self._error(_undecodable_line(self._path), "not UTF-8; convert the file first") from error

    def _error(self, line: int, what: str) -> UsageError:
        return UsageError(f"{self._path}, line {line}: {what}")


class CsvWriter(TableWriter):
    """A CSV file in the making; in the dialect of its source where that is CSV too."""

    keeps_metadata = False

    def __init__(self, path: Path, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()) -> None:
        super().__init__(path)
        if isinstance(source, CsvReader):
            self._delimiter, encoding, header = source.delimiter, source.encoding, source.header
        else:
            self._delimiter, encoding = ",", "utf-8"
            header = Records([[self._field(name)] for name in source.schema.names], ["\n"])
        self._kept = kept_indices(source.schema, dropped)
        self._file = path.open("w", encoding=encoding, newline="")
        self._write(header, [[self._field(name)] for name in results.names])

    def _append(self, chunk: Chunk, results: pa.Table) -> None:
        if isinstance(chunk, CsvChunk):
            records = chunk.records
        else:
            records = Records(self._fields(chunk.table), ["\n"] * chunk.table.num_rows)
        self._write(records, self._fields(results))

    def _finish(self) -> None:
        self._file.close()

    def _write(self, records: Records, new_fields: list[list[str]]) -> None:
        columns = [*(records.fields[index] for index in self._kept), *new_fields]
        for fields, ending in zip(zip(*columns, strict=True), records.endings, strict=True):
            self._file.write(self._delimiter.join(fields) + ending)

    def _fields(self, table: pa.Table) -> list[list[str]]:
        return [[self._field(text or "") for text in cell_texts(column).to_pylist()] for column in table.columns]

    def _field(self, cell: str) -> str:
        needs_quotes = any(character in cell for character in (self._delimiter, '"', "\n", "\r"))
        return '"' + cell.replace('"', '""') + '"' if needs_quotes else cell


def _find_delimiter(first_line: str) -> str:
    unquoted = re.sub(r'"[^"]*"', "", first_line)
    return max(DELIMITERS, key=unquoted.count)


def _token_pattern(delimiter: str) -> re.Pattern[str]:
    separator = re.escape(delimiter)
    plain = rf"[^{separator}\r\n]*+"
    quoted = r'"(?:[^"]++|"")*+'
    # The last way to read a field is a quoted one whose end has not been read yet.
    return re.compile(rf'({quoted}"{plain}|(?!"){plain}|{quoted})({separator}|\r\n?|\n|\Z)')


def _records(tokens: list[Token], width: int) -> Records:
    fields = [field for field, _ in tokens]
    endings = [separator for _, separator in tokens[width - 1 :: width]]
    return Records([fields[index::width] for index in range(width)], endings)


def _cell(field: str) -> str:
    if not field.startswith('"'):
        return field
    return _QUOTED.sub(lambda match: match[1].replace('""', '"') + match[2], field)


def _text(tokens: list[Token]) -> str:
    return "".join(chain.from_iterable(tokens))


def _n_lines(tokens: list[Token]) -> int:
    text = _text(tokens)
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _undecodable_line(path: Path) -> int:
    with path.open("rb") as file:
        return next(number for number, line in enumerate(file, 1) if not _is_utf8(line))


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
