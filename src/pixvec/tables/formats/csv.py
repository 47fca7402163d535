"""CSV and TSV in and out: every cell is text, and a cell that is only passed on keeps its very bytes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress, pairwise
from typing import Final, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pixvec.errors import UsageError
from pixvec.tables.cell_text import cell_texts
from pixvec.tables.chunk import Chunk, Extent, TableReader, TableWriter, check_n_columns, wanted_indices
from pixvec.tables.files import TableFile, TextFile, create_text, n_bytes_read, n_line_breaks
from pixvec.tables.folder import FolderReader
from pixvec.tables.formats.csv_syntax import (
    Records,
    Token,
    cell_of,
    joined,
    made_up_header,
    n_lines,
    quoted,
    said_delimiter,
    stray_quote,
    token_pattern,
    usual_delimiter,
)
from pixvec.tables.formats.inference import infer_schema, typed
from pixvec.tables.options import ReadOptions

BLOCK_CHARS: Final = 1 << 20
MAX_RECORD_CHARS: Final = 64 << 20
USUAL_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_STRAY_QUOTE: Final = "if the quote is text like any other, switch quoting off with `no_quoting=True`"


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records: the number of the line that the first one begins on, and how many line breaks there are."""

    line: int
    n_breaks: int
    tokens: list[Token]


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
    """A CSV or TSV file; the delimiter of CSV is the one that its first line says or has most of, where nobody says it.

    Attributes
    ----------
    preamble
        The line that says the delimiter to Excel, ``sep=;``; empty where there is none.
    header
        The names of the columns as they are written, made up where the file has none.
    is_quoted
        Whether quotes mean something.
    """

    n_rows = None

    def __init__(self, file: TableFile, options: ReadOptions) -> None:
        self.ending = file.ending
        self.text = TextFile.open(file, options.encoding)
        self.extent = Extent(0, 0, file.path.stat().st_size)
        self._n_bytes_read = 0
        self.is_quoted = not options.no_quoting
        self._cell = cell_of if self.is_quoted else str
        self.preamble, delimiter = self._find_delimiter()
        self.delimiter = options.delimiter or delimiter
        self._token = token_pattern(self.delimiter, is_quoted=self.is_quoted)
        first = self._read_first_record()
        check_n_columns(file.path, len(first.fields))
        self._n_header_tokens = 0 if options.no_header else len(first.fields)
        self.header = made_up_header(first) if options.no_header else first
        self.schema = pa.schema([(self._cell(field), pa.string()) for (field,) in self.header.fields])
        if options.infer_types:
            self.schema = infer_schema(self)

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows."""
        width = len(self.schema)
        pending: list[Token] = []
        n_skipped = self._n_header_tokens
        n_read = 0
        for block in self._blocks():
            rows = self._whole_rows(block)[n_skipped:]
            pending += rows
            n_skipped = 0
            n_read += len(rows) // width
            if self._n_bytes_read:
                self.extent = replace(self.extent, n_rows=n_read, n_bytes=self._n_bytes_read)
            starts = range(0, len(pending) - n_rows * width + 1, n_rows * width)
            for start in starts:
                yield self._chunk(pending[start : start + n_rows * width], columns)
            del pending[: len(starts) * n_rows * width]
        self.extent = replace(self.extent, n_rows=n_read, n_bytes=self.extent.n_bytes_in_all)
        if pending:
            yield self._chunk(pending, columns)

    def _chunk(self, tokens: list[Token], columns: Collection[str] | None) -> CsvChunk:
        records = Records.of(tokens, len(self.schema))
        wanted = wanted_indices(self.schema, columns)
        schema = pa.schema([self.schema.field(index) for index in wanted])
        cells = [pa.array(map(self._cell, records.fields[index]), pa.string()) for index in wanted]
        arrays = [typed(column, type_) for column, type_ in zip(cells, schema.types, strict=True)]
        return CsvChunk(pa.Table.from_arrays(arrays, schema=schema), records, self.delimiter)

    def _find_delimiter(self) -> tuple[str, str]:
        """Read the line that says the delimiter, if there is one, and find the delimiter."""
        with self.text.reading() as text:
            line = text.readline(BLOCK_CHARS)
        if said := said_delimiter(line):
            return line, said
        return "", "\t" if self.ending == ".tsv" else usual_delimiter(line, is_quoted=self.is_quoted)

    def _read_first_record(self) -> Records:
        for block in self._blocks():
            width = next(count for count, (_, separator) in enumerate(block.tokens, 1) if separator != self.delimiter)
            return Records.of(block.tokens[:width], width)
        raise UsageError(f"{self.text.file.path} is empty: it has no line that names its columns, or holds a row")

    def _blocks(self) -> Iterator[Block]:
        """Read whole records, some at a time."""
        line, rest = 1 + bool(self.preamble), ""
        with self.text.reading() as file:
            file.read(len(self.preamble))
            # Blocks grow with the record they don't get to the end of, so that its start is not read over and over.
            while block := file.read(max(BLOCK_CHARS, len(rest))):
                self._n_bytes_read = n_bytes_read(file)
                # A block must not end between the two characters of one line break.
                tokens, rest = self._split(rest + block + (file.read(1) if block.endswith("\r") else ""))
                n_breaks = n_line_breaks(joined(tokens))
                if tokens:
                    yield Block(line, n_breaks, tokens)
                line += n_breaks
                if len(rest) > MAX_RECORD_CHARS:
                    raise self.text.error(line, f"a record of over {MAX_RECORD_CHARS:,} characters; {_STRAY_QUOTE}")
        if rest:
            tokens = self._last_record(line, rest)
            yield Block(line, n_line_breaks(rest), tokens)

    def _split(self, text: str) -> tuple[list[Token], str]:
        """Cut text into the tokens of its whole records, and the text of the record that has not ended."""
        tokens = self._token.findall(text)
        rest: list[Token] = []
        while tokens and tokens[-1][1] in {self.delimiter, ""}:
            rest.append(tokens.pop())
        return tokens, joined(rest[::-1])

    def _last_record(self, line: int, text: str) -> list[Token]:
        """Read the last record of a file that ends without a line break."""
        tokens, rest = self._split(text + "\n")
        if rest:
            raise self.text.error(
                line, f"a quoted cell of the record that begins here has no closing quote; {_STRAY_QUOTE}"
            )
        return [*tokens[:-1], (tokens[-1][0], "")]

    def _whole_rows(self, block: Block) -> list[Token]:
        """Check that each record has a cell for each column. A blank line is a row only where there is one column."""
        width, tokens = len(self.schema), block.tokens
        ends = [count for count, (_, separator) in enumerate(tokens, 1) if separator != self.delimiter]
        spans_lines = block.n_breaks > len(ends) - (not tokens[-1][1])
        if ends == list(range(width, len(tokens) + 1, width)) and not spans_lines:
            return tokens
        rows: list[Token] = []
        for start, end in pairwise([0, *ends]):
            record = tokens[start:end]
            problem = self._problem(record, spans_lines=spans_lines)
            if problem:
                raise self.text.error(block.line + n_line_breaks(joined(tokens[:start])), problem)
            if len(record) == width:
                rows += record
        return rows

    def _problem(self, record: list[Token], *, spans_lines: bool) -> str | None:
        """Say what is wrong with a record; a blank line is none."""
        what = stray_quote(record, self.delimiter) if spans_lines and self.is_quoted else None
        if len(record) != len(self.schema) and not (len(record) == 1 and not record[0][0]):
            what = f"cells: {len(record)}, columns in the header: {len(self.schema)}"
        if what is None or n_lines(record) == 1:
            return what
        return f"a quoted cell spans {n_lines(record)} lines from here, and {what}; {_STRAY_QUOTE}"


class CsvWriter(TableWriter):
    """A CSV or TSV file that is being written; in the dialect of its source where that is the same."""

    keeps_metadata = False

    def __init__(
        self, file: TableFile, source: TableReader, results: pa.Schema, *, dropped: Collection[str] = ()
    ) -> None:
        super().__init__(file, source, results, dropped=dropped)
        like = _same_kind(source, file.ending)
        self._delimiter = like.delimiter if like else USUAL_DELIMITERS[file.ending]
        self._passes_on = like is not None and like.is_quoted
        header = like.header if like and self._passes_on else Records([], ["\n"])
        names = source.schema.names[len(header.fields) :]
        if names:  # all, or those that a folder adds
            header = Records([*header.fields, *self._fields_of([[name] for name in names])], ["\n"])
        self._file = create_text(file, like=like.text if like else None)
        self._file.write(like.preamble if like else "")
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


def _same_kind(source: TableReader, ending: str) -> CsvReader | None:
    """Find the CSV file whose dialect its source has, so that its records can be passed on as they are."""
    if isinstance(source, FolderReader):
        delimiters = {getattr(reader, "delimiter", None) for reader in source.files.values()}
        source = source.first if source.first and len(delimiters) == 1 else source
    return source if isinstance(source, CsvReader) and source.ending == ending else None
