"""How tables of text are read, where they do not say it themselves."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from pixvec.errors import UsageError
from pixvec.options import Options, option
from pixvec.tables.files import TableFile

_FOUND: Final[dict[str, Any]] = {"delimiter": None, "encoding": None}
_NOT_OF_OUTPUTS: Final[dict[str, Any]] = {"infer_types": False, "no_header": False, "no_quoting": False}
_SPELLINGS: Final = {"\\t": "\t", "tab": "\t"}  # what can be typed in a shell


@dataclass(frozen=True, kw_only=True)
class ReadOptions(Options, group="table"):
    """How tables of text are read."""

    delimiter: str | None = option(None, "what stands between the cells of CSV: ';', '|', tab …; found when not given")
    encoding: str | None = option(None, "the encoding of CSV, TSV and JSON Lines: latin-1, utf-16 …; UTF-8 by default")
    no_header: bool = option(False, "the first line of CSV is data; columns are named column_1, column_2, …")
    no_quoting: bool = option(False, "quotes in CSV are text; cells end at delimiters and at line ends")
    infer_types: bool = option(False, "type a CSV column where every cell of the file turns back into the same text")

    def as_written(self, source: Path, output: Path) -> Self:
        """Say how a table is read that was written of one read so: in the same way, where both are of one kind."""
        is_alike = TableFile.of(source).ending == TableFile.of(output).ending
        return replace(self, **_NOT_OF_OUTPUTS, **({} if is_alike else _FOUND))

    def checked(self) -> Self:
        """Give the options with the delimiter spelled out.

        Raises
        ------
        UsageError
            For a delimiter that cannot be one, or an encoding that nobody knows.
        """
        delimiter = self.delimiter and _SPELLINGS.get(self.delimiter.lower(), self.delimiter)
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise UsageError(f"`delimiter={self.delimiter!r}`: expected one character, no quote and no line break")
        if self.encoding is not None and not _is_encoding(self.encoding):
            raise UsageError(f"`encoding={self.encoding!r}`: no such encoding; some are utf-8, latin-1, utf-16")
        return replace(self, delimiter=delimiter)


def _is_encoding(name: str) -> bool:
    """Tell whether a name is that of an encoding of text, which not all of Python's codecs are."""
    try:
        codecs.lookup(name)
        "".encode(name)
    except (LookupError, ValueError):
        return False
    return True
