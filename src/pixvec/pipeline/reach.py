"""What decides which rows may have a vector at all: the options that let more in or less, as facts in JSON's types.

They decide no bit of a vector. So between two runs on one output they may let more in, and rows that have a vector stay
as they are; the rows that an option kept out before are those whose code it lifts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from pixvec.codes import CODES
from pixvec.fetch.buckets import parse_bucket
from pixvec.fetch.connections.address import lets_through, parse_allowed
from pixvec.fetch.http.opt_out import parse_opt_out
from pixvec.images.decode import decoded_formats
from pixvec.pipeline.settings import Settings

LIFTABLE: Final = "liftable"
"""The fact that names the codes of rows that were decided before an option was widened."""
_NONE: Final = "none"
_FILES_FOLDER: Final = "files_folder"
"""Of the option `files_under`; where that folder is, `provenance.folder_facts` says."""


def reach(settings: Settings) -> dict[str, Any]:
    """State what lets rows in, by the options' names, and in ``files_folder`` the name of that of ``files_under``."""
    return {
        "allow_address": _joined(map(str, map(parse_allowed, settings.allow_address))),
        "allow_private": settings.allow_private,
        _FILES_FOLDER: None if settings.files_under is None else Path(settings.files_under).resolve().name,
        "allow_bucket": _joined(map(str, map(parse_bucket, settings.allow_bucket))),
        "data_urls": settings.data_urls,
        "opt_out": _joined(parse_opt_out(settings.opt_out)),
        "formats": _joined(decoded_formats(settings.formats)),
        "max_redirects": settings.max_redirects,
        "max_bytes": settings.max_bytes,
        "max_pixels": settings.max_pixels,
    }


def reach_of(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the facts of `reach` from those of a provenance."""
    return {name: facts[name] for name in _LETS_IN_ALL if name in facts}


def is_widened(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Tell whether a fact is an option of reach that has changed and lets in all that it did; another folder may."""
    if name not in _LETS_IN_ALL or name not in then or then[name] == now.get(name):
        return False
    return _LETS_IN_ALL[name](then[name], now[name]) or (name == "allow_address" and _opens_all(then[name], now))


def lifted_codes(then: Mapping[str, Any], now: Mapping[str, Any]) -> set[str]:
    """Name the codes that rows made with the facts `then` may have lost by what `now` lets in."""
    widened = {_OPTIONS.get(name, name) for name in now if is_widened(name, then, now)}
    return {name for name, code in CODES.items() if not widened.isdisjoint(code.lifted_by)} | {*then.get(LIFTABLE, ())}


def _joined(words: Iterable[str]) -> str:
    return ",".join(sorted(words)) or _NONE


def _split(text: str) -> set[str]:
    return {*text.split(",")} - {_NONE}


def _opens_all(then: str, now: Mapping[str, Any]) -> bool:
    allowed = [*map(parse_allowed, _split(now["allow_address"]))]
    return all(
        lets_through(opened, allowed, allow_private=now["allow_private"]) for opened in map(parse_allowed, _split(then))
    )


def _holds_all(then: str, now: str) -> bool:
    return _split(then) <= _split(now)


def _is_no_less(then: int, now: int) -> bool:
    return then <= now


_OPTIONS: Final = {_FILES_FOLDER: "files_under"}

_LETS_IN_ALL: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "allow_address": _holds_all,
    "allow_private": _is_no_less,
    _FILES_FOLDER: lambda _, now: now is not None,
    "allow_bucket": _holds_all,
    "data_urls": _is_no_less,
    "opt_out": lambda then, now: _split(now) <= _split(then),
    "formats": _holds_all,
    "max_redirects": _is_no_less,
    "max_bytes": _is_no_less,
    "max_pixels": _is_no_less,
}
