"""X-Robots-Tag headers -> whether the image may be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from pixvec.errors import FetchError, UsageError

_DIRECTIVES: Final = ("noai", "noimageai", "noindex", "noimageindex")
_IMPLIED: Final = {"none": "noindex"}
"""What a word of the standard says besides (https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag)."""

_SCOPED: Final = re.compile(r"(?P<agent>[^\s:,]+)\s*:(?P<directive>.*)", re.DOTALL)
_WITH_VALUE: Final = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])


def parse_opt_out(text: str) -> frozenset[str]:
    """Read which directives count: ``none``, or some of ``noai,noimageai,noindex,noimageindex``.

    Raises
    ------
    UsageError
        For any other word.
    """
    words = [word.strip().lower() for word in text.split(",")]
    if words == ["none"]:
        return frozenset()
    for word in words:
        if word not in _DIRECTIVES:
            raise UsageError(f"`opt_out={text!r}`: expected none, or some of {','.join(_DIRECTIVES)}")
    return frozenset(words)


class OptOut:
    """The directives that count, and the names under which we are meant.

    Parameters
    ----------
    directives
        As `parse_opt_out` gives them.
    user_agent
        The User-Agent header; directives for its first word are for us.
    """

    def __init__(self, directives: frozenset[str], *, user_agent: str) -> None:
        self._directives = directives
        self._agents = {"*", "pixvec", re.split(r"[/\s]", user_agent.strip(), maxsplit=1)[0].lower()}

    def check(self, headers: Iterable[str]) -> None:
        """Refuse an image whose X-Robots-Tag headers ask that it not be used.

        Raises
        ------
        FetchError
            ``opt_out``, naming the directive.
        """
        for header in headers:
            for agent, word in _directives(header.lower()):
                if agent in self._agents and self._directives & {word, _IMPLIED.get(word)}:
                    raise FetchError("opt_out", f"the server's X-Robots-Tag asks that it not be used: {word}")


def _directives(header: str) -> Iterator[tuple[str, str]]:
    """Take a header apart: a user agent's name holds from where it stands to the next one."""
    agent = "*"
    for part in header.split(","):
        word = part.strip()
        # A date's colon stands behind a space, an agent's does not.
        if (scoped := _SCOPED.fullmatch(word)) and scoped["agent"] not in _WITH_VALUE:
            agent, word = scoped["agent"], scoped["directive"].strip()
        yield agent, word
