"""A cell that is not one URL -> a sentence that says what it seems to be."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

IMAGE_ENDINGS: Final = frozenset(
    ["avif", "bmp", "gif", "heic", "heif", "ico", "jpe", "jpeg", "jpg", "png", "svg", "tif", "tiff", "webp"]
)

_ENDINGS: Final = "|".join(sorted(IMAGE_ENDINGS))
_IMAGE_NAME: Final = re.compile(rf"\.(?:{_ENDINGS})\Z", re.IGNORECASE)
_ANOTHER_URL: Final = re.compile(rf"(?:[\s|]|\.(?:{_ENDINGS})[,;])https?://", re.IGNORECASE)
_SEPARATOR: Final = re.compile(r"[,;|]")
_SPACE: Final = re.compile(r"\s")
_SURE_SEPARATOR: Final = re.compile(r"[,;]\s+|\|")  # a comma alone may be part of a URL
_LIST: Final = re.compile(r"[\[{(]\s*(?:[\"'\[{]|https?://)", re.IGNORECASE)
_ONE_ROW_EACH: Final = "make one row of each, in pandas by"
_URL_WITHIN: Final = re.compile(r"https?://", re.IGNORECASE)


def why_several(text: str) -> str | None:
    """Say so where a text that could be read as one URL holds several."""
    return _several(text) if _ANOTHER_URL.search(text) or _are_images(text, _SURE_SEPARATOR) else None


def why_no_url(text: str) -> str:
    """Say why a text without a scheme is not a URL."""
    if _LIST.match(text):
        return f"the cell holds a list; {_ONE_ROW_EACH} `series.map(json.loads).explode()`"
    if _ANOTHER_URL.search(text) or _are_images(text, _SEPARATOR):
        return _several(text)
    if _URL_WITHIN.search(text):
        return f"no URL: {_name(text[0])} stands before http"
    return "no URL: a host name must stand before the first slash; for files of this machine see `files_under`"


def _several(text: str) -> str:
    """Say which line of pandas makes a row of each; the cells of a column are written alike."""
    found = _SURE_SEPARATOR.search(text) or (None if _SPACE.search(text) else _SEPARATOR.search(text))
    split = f"split({found[0].strip()!r})" if found else "split()"
    return f"the cell holds several URLs; {_ONE_ROW_EACH} `series.str.{split}.explode().str.strip()`"


def _are_images(text: str, separator: re.Pattern[str]) -> bool:
    """Tell whether a text is a list of names of images; a query may hold one."""
    parts = [part for part in map(str.strip, separator.split(text)) if part]
    return len(parts) > 1 and "?" not in text and all(map(_IMAGE_NAME.search, parts))


def _name(character: str) -> str:
    if character.isalnum():
        return "other text"
    return f"{unicodedata.name(character, 'a character').lower()} (U+{ord(character):04X})"
