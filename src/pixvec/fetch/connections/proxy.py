"""The text of `proxy` -> the URL that requests go through. It must not quote it: it may hold a password."""

from __future__ import annotations

import yarl

from pixvec.errors import UsageError


def parse_proxy(text: str) -> yarl.URL:
    """Read ``http[s]://[USER:PASSWORD@]HOST[:PORT]``.

    Raises
    ------
    UsageError
        For anything else.
    """
    try:
        url = yarl.URL(text)
    except ValueError:
        raise _unreadable("it is no URL") from None
    if url.scheme not in {"http", "https"}:
        raise _unreadable("its scheme must be http or https" if url.scheme else "it begins with http:// or https://")
    if not url.host or url.path not in {"", "/"} or url.query_string or url.fragment:
        raise _unreadable("nothing but a host must follow, with user, password and port where needed")
    if ":" in (url.user or "") or not _is_latin_1(f"{url.user}{url.password}"):
        raise _unreadable("user and password must be Latin-1, and no colon may stand in the user")
    return url


def _is_latin_1(text: str) -> bool:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(reason: str) -> UsageError:
    return UsageError(f"`proxy`: {reason}; expected http://[USER:PASSWORD@]HOST[:PORT]")
