"""The words of a recipe's text, read one at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass

from pixvec.formatting.names import shown
from pixvec.recipe.errors import Problem, RecipeError
from pixvec.recipe.values import PLAIN_NAME, Place

# A byte order mark is space too: editors write it where nobody sees it.
_SPACE = re.compile(r"(?:[\s\ufeff]++|#[^\r\n]*+)*+")
_TOKEN = re.compile(
    rf"""
      (?P<mark>->|[(){{}}\[\],:.!])
    | (?P<number>-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    | (?P<name>{PLAIN_NAME.pattern})
    | (?P<string>(?P<quote>["'])(?:(?!(?P=quote))[^\\\r\n]|\\[^\r\n])*+(?P=quote))
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))")
_ESCAPED = {'"': '"', "'": "'", "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True, slots=True)
class Token:
    """A word and its place; `kind` is ``name``, ``number``, ``string``, ``end``, or the mark itself."""

    kind: str
    text: str
    place: Place

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else shown(self.text)


class Tokens:
    """The words of a text, with one word of lookahead.

    Parameters
    ----------
    text
        The text of a recipe.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._taken_to = 0
        self.next = self._read()

    def take(self, kind: str, expected: str) -> Token:
        """Take the next word.

        Raises
        ------
        RecipeError
            When it is of another kind.
        """
        token = self.next
        if token.kind != kind:
            raise self.unexpected(expected)
        self._taken_to = token.place.end
        self.next = self._read()
        return token

    def take_if(self, kind: str) -> Token | None:
        """Take the next word if it is of this kind."""
        return self.take(kind, kind) if self.next.kind == kind else None

    def take_string(self, expected: str) -> tuple[str, Place]:
        """Take a quoted text, and say what it says."""
        token = self.take("string", expected)
        try:
            text = _ESCAPE.sub(_unescape, token.text[1:-1])
            # Characters beyond U+FFFF are escaped as two halves.
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le"), token.place
        except (KeyError, UnicodeError):
            raise self.error("the text has an escape that JSON does not know", token.place) from None

    def take_number(self) -> int | float:
        """Take a number: whole where it is written whole."""
        token = self.take("number", "a number")
        try:
            number = int(token.text) if token.text.lstrip("-").isdigit() else float(token.text)
        except ValueError:
            number = float("inf")
        if abs(number) == float("inf"):
            raise self.error("the number is too large", token.place)
        return number

    def place_from(self, start: Place) -> Place:
        """Make the place that begins with `start` and ends with the last word taken."""
        return Place(start.start, self._taken_to)

    def error(self, message: str, place: Place) -> RecipeError:
        """Make the error for a place of this text."""
        return RecipeError(Problem.at(message, self._text, place))

    def unexpected(self, expected: str) -> RecipeError:
        """Make the error for the next word."""
        return self.error(f"expected {expected}, found {self.next}", self.next.place)

    def _read(self) -> Token:
        space = _SPACE.match(self._text, self._taken_to)
        start = space.end() if space else self._taken_to
        if start == len(self._text):
            return Token("end", "", Place(self._taken_to, self._taken_to))
        found = _TOKEN.match(self._text, start)
        if not found:
            raise self._unreadable(start)
        kind = found.lastgroup or ""
        return Token(found[0] if kind == "mark" else kind, found[0], Place(start, found.end()))

    def _unreadable(self, start: int) -> RecipeError:
        character = self._text[start]
        wrong = "the quotes are not closed on this line" if character in "\"'" else f"unexpected {character!r}"
        return self.error(wrong, Place(start, start + 1))


def _unescape(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else _ESCAPED[escape[2]]
