r"""CSV and TSV in and out: every cell is text, and a cell that is only passed on keeps its very bytes.

A file is a run of fields, each with the separator after it:

    field     = '"' (any character but '"' | '""')* '"' any text without separator
              | any text without separator that does not begin with '"'
    separator = the delimiter | "\r\n" | "\n" | "\r" | the end of the file

One regular expression reads both, so that what a cell says and the bytes it was written with can't drift apart.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress, pairwise
from typing import Final, Self, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.table.cell_text import cell_texts
from pixvec.table.chunk import Chunk, TableReader, TableWriter
from pixvec.table.files import TableFile, TextFile, create_text, n_line_breaks
from pixvec.table.folder import FolderReader
from pixvec.table.inference import infer_schema, typed
from pixvec.table.options import ReadOptions

DELIMITERS: Final = (",", ";", "\t", "|")
BLOCK_CHARS: Final = 1 << 20
MAX_RECORD_CHARS: Final = 64 << 20
USUAL_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}

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
    delimiter: str

    def head(self, n_rows: int) -> Self:
        """Keep the first rows only."""
        fields = [column[:n_rows] for column in self.records.fields]
        return replace(super(CsvChunk, self).head(n_rows), records=Records(fields, self.records.endings[:n_rows]))

    def filtered(self, mask: NDArray[np.bool_]) -> Self:
        """Keep the rows where the mask, (n,), is set."""
        fields = [list(compress(column, mask)) for column in self.records.fields]
        records = Records(fields, list(compress(self.records.endings, mask)))
        return replace(super(CsvChunk, self).filtered(mask), records=records)

    def widened(self, table: pa.Table, keys: Mapping[str, str | None]) -> Self:
        """Add the keys to each record, and a line break to the last one of a file."""
        fields = [[quoted(value or "", self.delimiter)] * table.num_rows for value in keys.values()]
        records = Records([*self.records.fields, *fields], [ending or "\n" for ending in self.records.endings])
        return replace(super(CsvChunk, self).widened(table, keys), records=records)


class CsvReader:
    """A CSV or TSV file; the delimiter of CSV is the one that its first line has most of, where nobody says it."""

    n_rows = None

    def __init__(self, file: TableFile, options: ReadOptions) -> None:
        self.ending = file.ending
        self.text = TextFile.open(file, options.encoding)
        self.delimiter = options.delimiter or self._find_delimiter()
        self._token = _token_pattern(self.delimiter)
        self.header = self._read_header()
        self.schema = pa.schema([(_cell(field), pa.string()) for (field,) in self.header.fields])
        if options.infer_types:
            self.schema = infer_schema(self)

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        width = len(self.schema)
        pending: list[Token] = []
        n_skipped = width  # the header's tokens
        for line, tokens in self._blocks():
            pending += self._whole_rows(line, tokens)[n_skipped:]
            n_skipped = 0
            starts = range(0, len(pending) - n_rows * width + 1, n_rows * width)
            for start in starts:
                yield self._chunk(pending[start : start + n_rows * width], columns)
            del pending[: len(starts) * n_rows * width]
        if pending:
            yield self._chunk(pending, columns)

    def _chunk(self, tokens: list[Token], columns: Collection[str] | None) -> CsvChunk:
        records = _records(tokens, len(self.schema))
        wanted = [index for index, name in enumerate(self.schema.names) if columns is None or name in columns]
        schema = pa.schema([self.schema.field(index) for index in wanted])
        cells = [pa.array(map(_cell, records.fields[index]), pa.string()) for index in wanted]
        arrays = [typed(column, type_) for column, type_ in zip(cells, schema.types, strict=True)]
        return CsvChunk(pa.Table.from_arrays(arrays, schema=schema), records, self.delimiter)

    def _find_delimiter(self) -> str:
        if self.ending == ".tsv":
            return "\t"
        with self.text.reading() as text:
            unquoted = re.sub(r'"[^"]*"', "", text.readline(BLOCK_CHARS))
        return max(DELIMITERS, key=unquoted.count)

    def _read_header(self) -> Records:
        for _, tokens in self._blocks():
            width = next(count for count, (_, separator) in enumerate(tokens, 1) if separator != self.delimiter)
            return _records(tokens[:width], width)
        raise UsageError(f"{self.text.file.path} is empty: its first line has to name the columns")

    def _blocks(self) -> Iterator[tuple[int, list[Token]]]:
        """Read whole records, some at a time, with the number of the line that the first one begins on."""
        line, rest = 1, ""
        with self.text.reading() as file:
            # Blocks grow with the record they don't get to the end of, so that its start is not read over and over.
            while block := file.read(max(BLOCK_CHARS, len(rest))):
                # A block must not end between the two characters of one line break.
                tokens, rest = self._split(rest + block + (file.read(1) if block.endswith("\r") else ""))
                if tokens:
                    yield line, tokens
                line += n_line_breaks(_text(tokens))
                if len(rest) > MAX_RECORD_CHARS:
                    raise self.text.error(
                        line, f"a record of over {MAX_RECORD_CHARS:,} characters; is a quote not closed?"
                    )
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
            raise self.text.error(line, "a quoted cell of the record that begins here has no closing quote")
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
                where = line + n_line_breaks(_text(tokens[:start]))
                raise self.text.error(where, f"cells: {end - start}, columns in the header: {width}")
        return rows


class CsvWriter(TableWriter):
    """A CSV or TSV file in the making; in the dialect of its source where that is the same."""

    keeps_metadata = False

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        super().__init__(file, source, results, dropped=dropped)
        like = _same_kind(source, file.ending)
        self._delimiter = like.delimiter if like else USUAL_DELIMITERS[file.ending]
        self._passes_on = like is not None
        header = like.header if like else Records([], ["\n"])
        names = source.schema.names[len(header.fields) :]
        if names:  # all, or those that a folder adds
            header = Records([*header.fields, *self._fields_of([[name] for name in names])], ["\n"])
        self._file = create_text(file, like=like.text if like else None)
        self._write(header, self._fields_of([[name] for name in results.names]))

    def _append(self, chunk: Chunk, results: pa.Table) -> None:
        if isinstance(chunk, CsvChunk) and self._passes_on:
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
        return self._fields_of([cell_texts(column).to_pylist() for column in table.columns])

    def _fields_of(self, columns: list[list[str | None]]) -> list[list[str]]:
        return [[quoted(text or "", self._delimiter) for text in texts] for texts in columns]


def read_csv_files(files: Sequence[TableFile], options: ReadOptions) -> list[CsvReader]:
    """Open files that are one table: a column for which they found several types is text."""
    readers = [CsvReader(file, options) for file in files]
    found: dict[str, set[pa.DataType]] = defaultdict(set)
    for field in chain.from_iterable(reader.schema for reader in readers):
        found[field.name].add(field.type)
    for reader in readers:
        several = [len(found[name]) > 1 for name in reader.schema.names]
        fields = zip(reader.schema, several, strict=True)
        reader.schema = pa.schema([field.with_type(pa.string()) if is_text else field for field, is_text in fields])
    return readers


def quoted(cell: str, delimiter: str) -> str:
    """Write a cell as a field, in quotes where it needs them."""
    needs_quotes = any(character in cell for character in (delimiter, '"', "\n", "\r"))
    return '"' + cell.replace('"', '""') + '"' if needs_quotes else cell


def _same_kind(source: TableReader, ending: str) -> CsvReader | None:
    """Find the CSV file whose dialect its source has, so that its records can be passed on as they are."""
    if isinstance(source, FolderReader):
        delimiters = {getattr(reader, "delimiter", None) for reader in source.files.values()}
        source = source.first if source.first and len(delimiters) == 1 else source
    return source if isinstance(source, CsvReader) and source.ending == ending else None


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
