"""What is wrong with a recipe, shown at its place: the line, carets under it, and what was expected."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

from pixvec.errors import UsageError
from pixvec.formatting.width import width
from pixvec.recipe.values import Place

_LINE_END = re.compile(r"\r\n?|\n")
_SHOWN_CHARS = 100
"""How much of a long line is shown before a place and after its beginning."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a recipe.

    Parameters
    ----------
    message
        What is wrong and what was expected, in one line.
    line, column
        Where it begins, counted from 1.
    source_line
        The line of the recipe, as it was written.
    length
        How many characters of that line it spans, at least 1.
    """

    message: str
    line: int
    column: int
    source_line: str
    length: int

    @classmethod
    def at(cls, message: str, text: str, place: Place) -> Self:
        """Find the line of a place in the text of a recipe."""
        ends = [end.end() for end in _LINE_END.finditer(text, 0, place.start)]
        start = ends[-1] if ends else 0
        end = _LINE_END.search(text, start)
        source_line = text[start : end.start() if end else len(text)]
        marked = source_line[place.start - start : place.end - start]
        return cls(message, len(ends) + 1, place.start - start + 1, source_line, max(1, len(marked)))

    def __str__(self) -> str:
        first = max(0, self.column - 1 - _SHOWN_CHARS)
        line = _shown(self.source_line[first : self.column + _SHOWN_CHARS])
        marked = self.column - 1 - first
        carets = "^" * max(1, width(line[marked : marked + self.length]))
        indent = " " * width(line[:marked])
        return f"line {self.line}, column {self.column}: {self.message}\n    {line}\n    {indent}{carets}"


class RecipeError(UsageError):
    """A recipe that cannot be run, found before any work began.

    Parameters
    ----------
    *problems
        What is wrong, in the order of the text: one for a recipe that cannot be read, all (up to twenty) for one
        that was read and checked.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def _shown(line: str) -> str:
    """Replace what a terminal would obey, one for one."""
    return "".join(c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in line)
