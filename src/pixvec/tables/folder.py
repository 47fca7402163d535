"""Files of one kind as one table: one after the other, their columns by name."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pixvec.errors import UsageError
from pixvec.tables.chunk import Chunk, Extent, TableReader, check_n_columns, extent_of, wanted_indices
from pixvec.tables.listing import Listing
from pixvec.tables.result_columns import PROVENANCE_KEY, parse_facts


@dataclass(frozen=True, slots=True)
class Member:
    """One of the files.

    Parameters
    ----------
    keys
        What the folders that it is in say about its rows.
    """

    path: Path
    reader: TableReader
    keys: Mapping[str, str | None]


class FolderReader:
    """Several files as one table.

    A column that some files lack is null there; what ``key=value`` folders say are columns of text at the end. A chunk
    ends where its file does.

    Raises
    ------
    UsageError
        When two files disagree in the type of a column, or in the keys of their folders.
    """

    def __init__(self, listing: Listing, readers: Sequence[TableReader]) -> None:
        self._members = [
            Member(path, reader, listing.keys(path)) for path, reader in zip(listing.paths, readers, strict=True)
        ]
        _check_keys(self._members)
        self.schema = _joined_schema(self._members)
        check_n_columns(listing.place, len(self.schema))
        counts = [reader.n_rows for reader in readers]
        self.n_rows = None if None in counts else sum(count or 0 for count in counts)
        extents = [extent for reader in readers if (extent := extent_of(reader))]
        self._n_bytes = sum(extent.n_bytes_in_all for extent in extents)
        self.extent = _sum(extents, self._n_bytes)

    @property
    def first(self) -> TableReader | None:
        """The first file, where all have its columns in its order."""
        readers = [member.reader for member in self._members]
        return readers[0] if all(reader.schema.names == readers[0].schema.names for reader in readers) else None

    @property
    def files(self) -> dict[Path, TableReader]:
        """The files, and what reads each of them."""
        return {member.path: member.reader for member in self._members}

    def chunks(self, n_rows: int, *, columns: Collection[str] | None = None) -> Iterator[Chunk]:
        """Read chunks of `n_rows` rows, fewer at the end of each file."""
        schema = pa.schema([self.schema.field(index) for index in wanted_indices(self.schema, columns)])
        read = Extent(0, 0, self._n_bytes)
        for member in self._members:
            for chunk in member.reader.chunks(n_rows, columns=columns and [*columns, *_some(member, columns)]):
                self.extent = self._with(read, member.reader)
                yield chunk.widened(_conformed(chunk.table, schema, member.keys), member.keys)
            read = self._with(read, member.reader)

    def _with(self, read: Extent, reader: TableReader) -> Extent:
        extent = extent_of(reader)
        return _sum([read, extent], self._n_bytes) if extent else read


def _sum(extents: Sequence[Extent], n_bytes_in_all: int) -> Extent:
    """Add up how far files were read; one that does not tell its bytes has told no rows either."""
    told = [extent for extent in extents if extent.n_bytes]
    return Extent(sum(one.n_rows for one in told), sum(one.n_bytes for one in told), n_bytes_in_all)


def _some(member: Member, columns: Collection[str]) -> list[str]:
    """Name a column to count rows by, where a file has none of those that are read."""
    names = member.reader.schema.names
    return [] if set(columns) & set(names) else names[:1]


def _conformed(table: pa.Table, schema: pa.Schema, keys: Mapping[str, str | None]) -> pa.Table:
    def column(field: pa.Field) -> pa.ChunkedArray | pa.Array:
        if field.name in keys:
            return pa.repeat(pa.scalar(keys[field.name], field.type), table.num_rows)
        if field.name in table.column_names:
            return table.column(field.name).cast(field.type)  # from null where all cells of a file are
        return pa.nulls(table.num_rows, field.type)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


def _check_keys(members: Sequence[Member]) -> None:
    first = members[0]
    for member in members:
        if member.keys.keys() != first.keys.keys():
            raise UsageError(
                f"{first.path} is in folders that say {_listed(first)}, and {member.path} in some that say "
                f"{_listed(member)}: they must say the same"
            )


def _listed(member: Member) -> str:
    return ", ".join(member.keys) or "nothing"


def _joined_schema(members: Sequence[Member]) -> pa.Schema:
    """Join the columns of all files by their names, in the order in which they come up."""
    joined: dict[str, tuple[Path, pa.Field]] = {}
    for member in members:
        _check_names(member)
        for field in member.reader.schema:
            path, known = joined.get(field.name, (member.path, field))
            if pa.null() not in {field.type, known.type} and field.type != known.type:
                raise UsageError(f"{member.path}: column {field.name!r} is {field.type}, and {known.type} in {path}")
            joined[field.name] = member.path if known.type == pa.null() else path, _joined_field(known, field)
    keys = [pa.field(key, pa.string()) for key in members[0].keys]
    metadata = _agreed([member.reader.schema.metadata for member in members])
    return pa.schema([*(field for _, field in joined.values()), *keys], metadata=metadata)


def _check_names(member: Member) -> None:
    names = [*member.reader.schema.names, *member.keys]
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(f"{member.path} has several columns {repeated[0]!r}, and in a folder columns go by name")


def _joined_field(one: pa.Field, other: pa.Field) -> pa.Field:
    typed = other if one.type == pa.null() else one
    return typed.with_nullable(True).with_metadata(_agreed([one.metadata, other.metadata]))


def _agreed(metadata: Sequence[Mapping[bytes, bytes] | None]) -> dict[bytes, bytes]:
    """Keep of what is said beside columns what all files agree in; of what vectors were made with, each fact."""
    first = metadata[0] or {}
    agreed = {key: value for key, value in first.items() if all((other or {}).get(key) == value for other in metadata)}
    return agreed | _agreed_facts([(said or {}).get(PROVENANCE_KEY, b"") for said in metadata])


def _agreed_facts(said: Sequence[bytes]) -> dict[bytes, bytes]:
    first, *others = (parse_facts(text) or {} for text in said)  # nothing is said, or not by us
    agreed = {name: fact for name, fact in first.items() if all(other.get(name) == fact for other in others)}
    # Without the weights they would be vectors of several models that no longer show it.
    return {PROVENANCE_KEY: json.dumps(agreed, sort_keys=True).encode()} if "weights_sha256" in agreed else {}
