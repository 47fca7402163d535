"""XML that is written as it comes, so that a graph of any size takes no memory.

Strangers' text may hold characters that XML has no way to write; each becomes a replacement character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO, Final, Self
from xml.sax.saxutils import XMLGenerator

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What is not a ``Char`` of XML 1.0, section 2.2."""


class XmlWriter:
    """Writes elements to a file.

    Parameters
    ----------
    file
        The file, which is closed by whoever opened it.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._generator = XMLGenerator(file, "utf-8", short_empty_elements=True)

    def __enter__(self) -> Self:
        self._generator.startDocument()
        return self

    def __exit__(self, *error: object) -> None:
        self._generator.endDocument()

    @contextmanager
    def element(self, name: str, attributes: Mapping[str, str] | None = None) -> Iterator[None]:
        """Write an element around what is written within."""
        written = {key: _legal(value) for key, value in (attributes or {}).items()}
        self._generator.startElement(name, written)  # type: ignore[arg-type]
        yield
        self._generator.endElement(name)
        self._generator.ignorableWhitespace("\n")

    def leaf(self, name: str, attributes: Mapping[str, str], text: str = "") -> None:
        """Write an element that holds nothing but text."""
        with self.element(name, attributes):
            if text:
                self._generator.characters(_legal(text))


def _legal(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
