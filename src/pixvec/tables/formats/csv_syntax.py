r"""How CSV and TSV are written.

A file is a run of fields, each with the separator after it:

    field     = '"' (any character but '"' | '""')* '"' any text without separator
              | any text without separator that does not begin with '"'
    separator = the delimiter | "\r\n" | "\n" | "\r" | the end of the file

One regular expression reads both, so that what a cell says and the bytes it was written with can't drift apart.
Without quoting a field is any text without separator. The first line may be Excel's ``sep=;``, which is kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import Final, Self, TypeAlias

DELIMITERS: Final = (",", ";", "\t", "|")

Token: TypeAlias = tuple[str, str]
"""A field as it is written, and the separator after it."""

_LINE_BREAK: Final = re.compile(r"\r\n?|\n")
_SEP_LINE: Final = re.compile(r'("?)sep=(?P<delimiter>[^"\r\n])\1(\r\n?|\n)', re.IGNORECASE)
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

    @classmethod
    def of(cls, tokens: list[Token], width: int) -> Self:
        """Gather the tokens of whole records with `width` fields each."""
        fields = [field for field, _ in tokens]
        endings = [separator for _, separator in tokens[width - 1 :: width]]
        return cls([fields[index::width] for index in range(width)], endings)


def made_up_header(first: Records) -> Records:
    """Name the columns of a file without a header, which its output has."""
    names = [[f"column_{number}"] for number in range(1, len(first.fields) + 1)]
    return Records(names, [ending or "\n" for ending in first.endings])


def token_pattern(delimiter: str, *, is_quoted: bool) -> re.Pattern[str]:
    """Give the expression that finds tokens."""
    separator = re.escape(delimiter)
    plain = rf"[^{separator}\r\n]*+"
    if not is_quoted:
        return re.compile(rf"({plain})({separator}|\r\n?|\n|\Z)")
    quoted = r'"(?:[^"]++|"")*+'
    # The last way to read a field is a quoted one whose end has not been read yet.
    return re.compile(rf'({quoted}"{plain}|(?!"){plain}|{quoted})({separator}|\r\n?|\n|\Z)')


def said_delimiter(line: str) -> str | None:
    """Read the delimiter from the line that says it to Excel, ``sep=;``; None where the line is no such one."""
    match = _SEP_LINE.fullmatch(line)
    return match["delimiter"] if match else None


def usual_delimiter(line: str, *, is_quoted: bool) -> str:
    """Choose the delimiter that a first line has most of."""
    text = re.sub(r'"[^"]*"', "", line) if is_quoted else line
    return max(DELIMITERS, key=text.count)


def cell_of(field: str) -> str:
    """Say what is written in a field."""
    if not field.startswith('"'):
        return field
    return _QUOTED.sub(lambda match: match[1].replace('""', '"') + match[2], field)


def joined(tokens: list[Token]) -> str:
    """Give the text of tokens."""
    return "".join(chain.from_iterable(tokens))


def quoted(cell: str, delimiter: str) -> str:
    """Write a cell as a field, in quotes where it needs them."""
    needs_quotes = any(character in cell for character in (delimiter, '"', "\n", "\r"))
    return '"' + cell.replace('"', '""') + '"' if needs_quotes else cell


def n_lines(record: list[Token]) -> int:
    """Count the lines that a record is written on."""
    return len(_lines(record))


def stray_quote(record: list[Token], delimiter: str) -> str | None:
    """Say why a cell that spans lines looks like rows that a stray quote swallowed; None where it doesn't.

    Text after a closing quote is no proof alone, and neither are lines that have a cell for each column: a cell that
    was written as one may look so. Tabs within a cell are rare enough to take either as one.
    """
    spanning = [field for field, _ in record if "\n" in field or "\r" in field]
    is_open = not all(field.endswith('"') for field in spanning)
    if not (is_open if delimiter != "\t" else any(delimiter in field for field in spanning)):
        return None
    if len(record) > 1 and all(line.count(delimiter) == len(record) - 1 for line in _lines(record)):
        return "each of these lines has a cell for each column"
    return "text follows its closing quote" if is_open and delimiter == "\t" else None


def _lines(record: list[Token]) -> list[str]:
    return _LINE_BREAK.split(joined(record[:-1]) + record[-1][0])
