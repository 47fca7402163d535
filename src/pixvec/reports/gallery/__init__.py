"""Images and words to one HTML page that holds all it shows.

In: sections of tiles. Out: the text of a page that loads nothing, runs nothing and shows whatever strangers wrote as
text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from pixvec.formatting.bidi import ascii_url, isolated

# Autoescaping is on whatever the template is called: it is what makes a stranger's title text. What runs from right to
# left is isolated likewise, wherever it stands.
_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("pixvec.reports.gallery", "."),
    autoescape=True,
    finalize=isolated,
    undefined=StrictUndefined,
    trim_blocks=True,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One image on a section.

    Parameters
    ----------
    caption, note
        A line below the image, and a fainter one below that.
    thumbnail
        A ``data:`` URL; None leaves an empty frame.
    link
        Where its caption leads; no link unless it is http or https.
    missing
        What the empty frame says.
    is_marked
        Whether it stands out from the others of its section.
    """

    caption: str
    note: str = ""
    thumbnail: str | None = None
    link: str | None = None
    missing: str = "no image"
    is_marked: bool = False

    @property
    def href(self) -> str | None:
        """The link, where it is safe to follow."""
        return ascii_url(self.link) if self.link and self.link.lower().startswith(("http://", "https://")) else None


@dataclass(frozen=True, slots=True)
class Section:
    """A row of tiles under a heading."""

    title: str
    tiles: Sequence[Tile] = field(default_factory=tuple)
    text: str = ""


def render_gallery(
    title: str,
    sections: Sequence[Section],
    *,
    text: str = "",
    facts: Mapping[str, str] = MappingProxyType({}),
    sections_per_page: int | None = None,
) -> str:
    """Write the page.

    Parameters
    ----------
    text, facts
        What is said of all sections, as a paragraph, and as names with what they stand for.
    sections_per_page
        How many sections are open at once; None for all.
    """
    size = sections_per_page or max(len(sections), 1)
    pages = [sections[start : start + size] for start in range(0, len(sections), size)]
    return _ENVIRONMENT.get_template("page.html").render(title=title, pages=pages, size=size, text=text, facts=facts)
